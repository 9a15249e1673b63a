//! One version of a package as a page: who signed it, README, programs, versions, how to get it. Refuses to look
//! anything up, and to believe what an author wrote: every text of theirs is escaped by the template.

use super::{Context, Head, show};
use askama::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use skep_api::v1::life::Deprecation;
use skep_api::v1::packages::{PackageDetail, VersionDetail, VersionSummary};
use skep_artifact::object::ProgramFacts;

/// What stays as it is in a segment of an address.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.');

#[derive(Template)]
#[template(path = "package.html")]
pub(super) struct View {
    head: Head,
    name: String,
    version: String,
    description: String,
    signed: String,
    log_entry: Option<u64>,
    hooks: Vec<&'static str>,
    published: String,
    published_by: String,
    warnings: Vec<String>,
    /// The newest version, where another one is shown.
    newest: Option<String>,
    /// Sanitised HTML.
    readme: String,
    programs: Vec<ProgramRow>,
    versions: Vec<VersionRow>,
    install: String,
    license: String,
    kernel: String,
    size: String,
    installs: String,
    /// An address with `https://`.
    repository: Option<String>,
    keywords: String,
}

struct ProgramRow {
    name: String,
    kind: String,
    instructions: u32,
    kernel: String,
    helpers: String,
}

struct VersionRow {
    version: String,
    href: String,
    published: String,
    size: String,
    index: String,
    yanked: bool,
}

pub(super) fn view(context: &Context<'_>, package: &PackageDetail, detail: &VersionDetail) -> View {
    let (name, version) = (detail.name.to_string(), detail.summary.version.to_string());
    let said = |key: &str| {
        let text = detail.manifest.get("package").and_then(|package| package.get(key));
        text.and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    let description = said("description").unwrap_or_else(|| package.summary.description.clone());
    let newest = package.summary.version.to_string();
    let path = format!("/p/{name}/{}", segment(&version));
    let (title, shown_at) = if newest == version {
        (name.clone(), format!("/p/{name}"))
    } else {
        (format!("{name} {version}"), path)
    };
    let feed = (format!("New versions of {name}"), format!("/v1/packages/{name}/feed.atom"));
    let head = Head { feed: Some(feed), ..context.head(&title, &description, &shown_at) };
    let programs = detail.facts.iter().flat_map(|facts| &facts.programs);
    View {
        head,
        signed: format!(
            "Signed by {} with {} ({} required)",
            detail.name.namespace(),
            show::keys(&detail.signed_by),
            detail.threshold
        ),
        log_entry: detail.summary.log_index,
        hooks: package.summary.hooks.iter().map(|hook| hook.as_str()).collect(),
        published: show::day(detail.summary.published_at),
        published_by: detail.published_by.clone(),
        warnings: warnings(package, detail),
        newest: (newest != version).then_some(newest),
        readme: detail.readme_html.clone(),
        programs: programs.map(program).collect(),
        versions: package.versions.iter().map(row).collect(),
        install: format!("skep pull {name}@{version} --policy /etc/skep/policy.toml"),
        license: said("license").unwrap_or_else(|| package.summary.license.clone()),
        kernel: show::kernel(package.summary.lowest_kernel.as_deref()),
        size: show::bytes(detail.summary.size_bytes),
        installs: show::installs(package.summary.installs),
        repository: package.repository.clone().filter(|url| url.starts_with("https://")),
        keywords: package.keywords.join(", "),
        description,
        name,
        version,
    }
}

/// What somebody should know before choosing it.
fn warnings(package: &PackageDetail, detail: &VersionDetail) -> Vec<String> {
    let mut warnings = Vec::new();
    if detail.summary.yanked {
        let why = detail.summary.yank_message.as_deref().unwrap_or_default();
        warnings.push(format!("This version was yanked by its publisher. {why}"));
    }
    let deprecations = [&package.summary.deprecated, &detail.summary.deprecated];
    for Deprecation { message, replacement } in deprecations.into_iter().flatten() {
        let instead = replacement.as_ref().map(|name| format!(" Use {name} instead."));
        warnings.push(format!("Deprecated: {message}{}", instead.unwrap_or_default()));
    }
    warnings
}

fn program(program: &ProgramFacts) -> ProgramRow {
    let kind = serde_json::to_value(program.kind).ok();
    ProgramRow {
        name: program.name.clone(),
        kind: kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or("unknown").replace('_', " "),
        instructions: program.insns,
        kernel: program.lowest_kernel.map_or_else(|| "unknown".to_owned(), |k| k.to_string()),
        helpers: program.helpers.join(", "),
    }
}

fn row(version: &VersionSummary) -> VersionRow {
    let text = version.version.to_string();
    VersionRow {
        href: segment(&text),
        published: show::day(version.published_at),
        size: show::bytes(version.size_bytes),
        index: version.index.short(),
        yanked: version.yanked,
        version: text,
    }
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}
