//! Packages: search results, one package, one version, a namespace. Refuses to know a clock.

use crate::render::table::{Cell, layout};
use crate::render::{facts, life, paint, units};
use skep_api::v1::facets::{FacetValue, Facets};
use skep_api::v1::namespaces::NamespaceInfo;
use skep_api::v1::packages::{
    PackageDetail, PackagePage, PackageSummary, PublishReceipt, VersionDetail, VersionSummary,
};
use skep_artifact::hook::Hook;
use std::fmt::Write as _;

/// One page of search results.
pub(crate) fn page(page: &PackagePage, now: i64) -> String {
    if page.packages.is_empty() {
        return "No package matches. `skep search` without words lists all.\n".to_owned();
    }
    let heads = ["package", "version", "hooks", "kernel", "installs", "published", "description"];
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    rows.extend(page.packages.iter().map(|package| row(package, now)));
    let mut text = layout(&rows, 0);
    if let Some(next) = &page.next {
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{} of {}. More with --after {next}",
            page.packages.len(),
            units::count(page.total)
        );
    }
    text
}

/// By what the packages found can be narrowed further.
pub(crate) fn facets(facets: &Facets) -> String {
    let mut text = format!(
        "{} can be narrowed by:\n",
        units::plural(
            usize::try_from(facets.packages).unwrap_or(usize::MAX),
            "package",
            "packages"
        )
    );
    for facet in &facets.facets {
        let flag = format!("--{}", facet.name.as_str().replace('_', "-"));
        let _ = writeln!(text, "\n{}", paint::bold(&flag));
        let row = |value: &FacetValue| {
            vec![Cell::new(&value.value), Cell::number(units::count(value.packages))]
        };
        let rows: Vec<Vec<Cell>> = facet.values.iter().map(row).collect();
        text.push_str(&layout(&rows, 2));
        if facet.more > 0 {
            let _ = writeln!(text, "  {}", paint::dim(&format!("and {} more", facet.more)));
        }
    }
    text
}

fn row(package: &PackageSummary, now: i64) -> Vec<Cell> {
    vec![
        Cell::new(package.name.to_string()).paint(paint::bold),
        Cell::new(package.version.to_string()),
        Cell::new(hooks(&package.hooks)).paint(paint::slate),
        Cell::new(package.lowest_kernel.clone().unwrap_or_else(|| "?".to_owned())),
        Cell::number(units::count(package.installs)),
        Cell::new(units::ago(package.published_at, now)),
        match &package.deprecated {
            None => Cell::new(&package.description),
            Some(why) => Cell::new(format!("deprecated: {}", life::why(why))).paint(paint::honey),
        },
    ]
}

fn hooks(hooks: &[Hook]) -> String {
    hooks.iter().map(|hook| hook.as_str()).collect::<Vec<_>>().join(" ")
}

/// The first digits of each key id.
fn signers(ids: &[String]) -> String {
    ids.iter()
        .map(|id| format!("{}…", id.chars().take(8).collect::<String>()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// One package with its versions.
pub(crate) fn detail(detail: &PackageDetail, now: i64) -> String {
    let package = &detail.summary;
    let mut text = format!(
        "{}  {} · {}\n  {}\n",
        paint::bold(&package.name.to_string()),
        package.version,
        package.license,
        package.description
    );
    let facts = [
        ("hooks", hooks(&package.hooks)),
        ("lowest kernel", package.lowest_kernel.clone().unwrap_or_default()),
        ("signed by", signers(&package.signed_by)),
        ("installs", units::count(package.installs)),
        ("repository", detail.repository.clone().unwrap_or_default()),
        ("keywords", detail.keywords.join(" ")),
        ("deprecated", package.deprecated.as_ref().map(life::why).unwrap_or_default()),
    ];
    text.push_str(&pairs(&facts));
    text.push('\n');
    let heads = ["version", "release", "published", "size", "digest", ""];
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    rows.extend(detail.versions.iter().map(|version| version_row(version, now)));
    text.push_str(&layout(&rows, 2));
    text
}

fn pairs(rows: &[(&str, String)]) -> String {
    let shown = rows.iter().filter(|(_, value)| !value.is_empty());
    let cells = shown
        .map(|(name, value)| vec![Cell::new(*name).paint(paint::dim), Cell::new(value.clone())]);
    layout(&cells.collect::<Vec<_>>(), 2)
}

fn version_row(version: &VersionSummary, now: i64) -> Vec<Cell> {
    vec![
        Cell::new(version.version.to_string()),
        Cell::number(version.release.to_string()),
        Cell::new(units::ago(version.published_at, now)),
        Cell::number(units::bytes(version.size_bytes)),
        Cell::new(version.index.short()).paint(paint::slate),
        Cell::new(fate(version)).paint(paint::clay),
    ]
}

/// What became of a version, in a word and its reason.
fn fate(version: &VersionSummary) -> String {
    match (version.yanked, &version.deprecated) {
        (true, _) => format!("yanked: {}", version.yank_message.as_deref().unwrap_or_default()),
        (false, Some(why)) => format!("deprecated: {}", life::why(why)),
        (false, None) => String::new(),
    }
}

/// One version of a package.
pub(crate) fn version(detail: &VersionDetail, now: i64) -> String {
    let mut text = format!(
        "{}  {}\n",
        paint::bold(&format!("{} {}", detail.name, detail.summary.version)),
        paint::dim(&format!(
            "published {} by {}",
            units::ago(detail.summary.published_at, now),
            detail.published_by
        )),
    );
    let summary = &detail.summary;
    let yanked = summary.yanked.then(|| summary.yank_message.clone().unwrap_or_default());
    text.push_str(&pairs(&[
        ("digest", detail.summary.index.to_string()),
        ("release", detail.summary.release.to_string()),
        (
            "signed by",
            format!(
                "{} ({} of {} needed)",
                signers(&detail.signed_by),
                detail.signed_by.len(),
                detail.threshold
            ),
        ),
        ("log", detail.summary.log_index.map(|at| format!("entry {at}")).unwrap_or_default()),
        ("yanked", yanked.unwrap_or_default()),
        ("deprecated", summary.deprecated.as_ref().map(life::why).unwrap_or_default()),
        ("deleted", detail.tombstoned.clone().unwrap_or_default()),
    ]));
    for object in &detail.facts {
        text.push('\n');
        text.push_str(&facts::object(&facts::Title::facts_only(), object));
    }
    text
}

/// A namespace and who may sign for it.
pub(crate) fn namespace(info: &NamespaceInfo) -> String {
    let mut text = format!(
        "{}  {} of {} must sign · role version {} · {}\n",
        paint::bold(info.name.as_str()),
        info.threshold,
        units::plural(info.keys.len(), "key", "keys"),
        info.role_version,
        units::plural(usize::try_from(info.packages).unwrap_or(usize::MAX), "package", "packages"),
    );
    for key in &info.keys {
        let _ = writeln!(text, "  {key}  {}", paint::dim(&key.key_id().short()));
    }
    text
}

/// What a publish led to.
pub(crate) fn published(receipt: &PublishReceipt, server: &str) -> String {
    format!(
        "{} {} {} {}\n  digest   {}\n  log      entry {}, proved\n  address  {server}/p/{}\n  pull     skep pull {}@{} --key PUBLIC_KEY\n",
        paint::moss("Published"),
        receipt.name,
        receipt.version,
        paint::dim(&format!("· role version {}", receipt.role_version)),
        receipt.index,
        receipt.log.index,
        receipt.name,
        receipt.name,
        receipt.version,
    )
}
