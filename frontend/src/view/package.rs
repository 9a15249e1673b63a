//! A package and one of its versions as header, tables and snippets.
//! It refuses to know whether the signatures hold: `verification` shows that.

mod rows;
mod snippets;

pub(super) use rows::settings;
pub use rows::{GlobalRow, MapRow, ProgramRow, SettingRow};
pub use snippets::Snippet;

use crate::view::{format, link, permissions, search};
use crate::words;
use skep_api::v1::packages::{PackageDetail, VersionDetail, VersionSummary};
use skep_artifact::manifest::Manifest;
use skep_artifact::object::ObjectFacts;

/// A label and what it stands for, with what to show on hover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub label: &'static str,
    pub value: String,
    pub hover: String,
}

/// One row of the version list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    pub href: String,
    pub version: String,
    pub release: String,
    pub size: String,
    pub digest_short: String,
    pub digest: String,
    pub published_at: i64,
    pub yanked: bool,
    pub current: bool,
}

/// The package page, without what is verified in the browser.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageView {
    pub name: String,
    pub version: String,
    pub description: String,
    pub signed: String,
    pub readme_html: String,
    pub hooks: Vec<&'static str>,
    pub about: Vec<Fact>,
    pub published_at: i64,
    pub repository: Option<String>,
    pub keywords: Vec<String>,
    /// What somebody should know before choosing it: yanked, deprecated, deleted.
    pub warnings: Vec<String>,
    /// Its number in the transparency log, as people read it.
    pub log_entry: Option<String>,
    pub newest: Option<String>,
    /// The version released before it.
    pub before: Option<String>,
    pub versions: Vec<VersionRow>,
    pub permissions: Vec<permissions::Permission>,
    pub programs: Vec<ProgramRow>,
    pub maps: Vec<MapRow>,
    pub globals: Vec<GlobalRow>,
    pub settings: Vec<SettingRow>,
    pub snippets: Vec<Snippet>,
}

/// The whole page of one version.
#[must_use]
pub fn view(package: &PackageDetail, version: &VersionDetail) -> PackageView {
    let manifest: Option<Manifest> = serde_json::from_value(version.manifest.clone()).ok();
    let name = version.name.to_string();
    let own = version.summary.version.to_string();
    let newest = package.summary.version.to_string();
    PackageView {
        signed: words::signed_header(
            version.name.namespace().as_str(),
            &search::short_keys(&version.signed_by),
            version.signed_by.len(),
            version.threshold,
        ),
        description: manifest
            .as_ref()
            .map_or_else(|| package.summary.description.clone(), |m| m.package.description.clone()),
        readme_html: version.readme_html.clone(),
        hooks: package.summary.hooks.iter().map(|hook| hook.as_str()).collect(),
        about: about(package, version, manifest.as_ref()),
        published_at: version.summary.published_at,
        repository: package.repository.clone().filter(|url| url.starts_with("https://")),
        keywords: package.keywords.clone(),
        warnings: warnings(package, version),
        log_entry: version.summary.log_index.map(|at| words::log_entry(&format::count(at))),
        before: before(package, version),
        newest: (newest != own).then_some(newest),
        versions: package.versions.iter().map(|v| version_row(&name, v, &own)).collect(),
        permissions: permissions::of(&version.facts),
        programs: rows::programs(&version.facts),
        maps: rows::maps(&version.facts, manifest.as_ref()),
        globals: rows::globals(&version.facts, manifest.as_ref()),
        settings: manifest.as_ref().map(settings).unwrap_or_default(),
        snippets: snippets::of(&name, &own, version, manifest.as_ref()),
        version: own,
        name,
    }
}

fn about(
    package: &PackageDetail,
    version: &VersionDetail,
    manifest: Option<&Manifest>,
) -> Vec<Fact> {
    let fact = |label, value: String| Fact { label, value, hover: String::new() };
    let index = &version.summary.index;
    let license =
        manifest.map_or_else(|| package.summary.license.clone(), |m| m.package.license.clone());
    vec![
        fact(words::LABEL_LICENSE, license),
        fact(words::LABEL_KERNEL, words::lowest_kernel(lowest_kernel(&version.facts).as_deref())),
        fact(words::LABEL_SIZE, format::bytes(version.summary.size_bytes)),
        fact(words::LABEL_INSTALLS, words::installs(package.summary.installs)),
        fact(words::LABEL_PUBLISHED_BY, version.published_by.clone()),
        fact(words::LABEL_RELEASE, format::count(version.summary.release)),
        fact(words::LABEL_ROLE, words::role_version(version.role_version)),
        Fact { label: words::LABEL_DIGEST, value: index.short(), hover: index.to_string() },
    ]
}

/// The lowest kernel that has everything every program asks for; unknown when one is unknown.
fn lowest_kernel(facts: &[ObjectFacts]) -> Option<String> {
    let programs = facts.iter().flat_map(|f| &f.programs);
    let all: Option<Vec<_>> = programs.map(|p| p.lowest_kernel).collect();
    all?.into_iter().max().map(|kernel| kernel.to_string())
}

fn version_row(name: &str, version: &VersionSummary, current: &str) -> VersionRow {
    let text = version.version.to_string();
    VersionRow {
        href: link::version(name, &text),
        release: format::count(version.release),
        size: format::bytes(version.size_bytes),
        digest_short: version.index.short(),
        digest: version.index.to_string(),
        published_at: version.published_at,
        yanked: version.yanked,
        current: text == current,
        version: text,
    }
}

fn warnings(package: &PackageDetail, version: &VersionDetail) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(why) = &version.tombstoned {
        warnings.push(words::deleted(why));
    }
    if version.summary.yanked {
        let why = version.summary.yank_message.as_deref().unwrap_or_default();
        warnings.push(words::yanked(why));
    }
    let deprecations = [&package.summary.deprecated, &version.summary.deprecated];
    for deprecation in deprecations.into_iter().flatten() {
        let instead = deprecation.replacement.as_ref().map(ToString::to_string);
        warnings.push(words::deprecated(&deprecation.message, instead.as_deref()));
    }
    warnings
}

/// The version with the highest release below its own.
fn before(package: &PackageDetail, version: &VersionDetail) -> Option<String> {
    let older = package.versions.iter().filter(|v| v.release < version.summary.release);
    let newest = older.max_by_key(|v| v.release);
    // The first release is compared with whatever came later, when a reader asks for it.
    let other = || package.versions.iter().find(|v| v.version != version.summary.version);
    newest.or_else(other).map(|v| v.version.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn the_header_says_who_signed_and_what_was_asked() {
        let view = view(&samples::package(), &samples::version());
        assert_eq!(view.name, "acme/ratelimit");
        assert_eq!(view.signed, "Signed by acme with 7c1f09aa…, 01ab99ff… (2 keys, 2 required)");
        assert_eq!(view.newest, None);
    }

    #[test]
    fn an_older_version_points_to_the_newest() {
        let mut package = samples::package();
        package.summary.version = semver::Version::new(2, 0, 0);
        assert_eq!(view(&package, &samples::version()).newest.as_deref(), Some("2.0.0"));
    }

    #[test]
    fn settings_show_default_range_and_unit() {
        let rows = view(&samples::package(), &samples::version()).settings;
        assert_eq!(rows[0].name, "blocklist");
        assert_eq!(rows[0].ty, "map from cidr to u8");
        assert_eq!(rows[1].name, "rate");
        assert_eq!(rows[1].default, "1,000 packets/s");
        assert_eq!(rows[1].range, "1 to 1,000,000 packets/s");
    }

    #[test]
    fn maps_that_operators_fill_are_told_from_state() {
        let rows = view(&samples::package(), &samples::version()).maps;
        let roles: Vec<_> = rows.iter().map(|r| (r.name.as_str(), r.role)).collect();
        assert_eq!(roles, [("blocklist", words::MAP_CONFIG), ("buckets", words::MAP_STATE)]);
    }

    #[test]
    fn the_same_program_for_two_architectures_is_one_row() {
        let mut version = samples::version();
        version.facts.push(samples::facts());
        assert_eq!(view(&samples::package(), &version).programs.len(), 1);
    }

    #[test]
    fn the_policy_snippet_is_a_policy_the_fleet_accepts_the_shape_of() {
        let view = view(&samples::package(), &samples::version());
        let policy = &view.snippets[1].text;
        assert!(policy.contains("package: acme/ratelimit@^1.4.2\n"));
        assert!(policy.ends_with("    config:\n      rate: 1000\n"), "{policy}");
    }

    #[test]
    fn a_repository_that_is_not_https_is_no_link() {
        let mut package = samples::package();
        package.repository = Some("javascript:alert(1)".into());
        assert_eq!(view(&package, &samples::version()).repository, None);
    }

    #[test]
    fn a_reader_is_warned_of_what_was_yanked_and_deprecated() {
        let (mut package, mut version) = (samples::package(), samples::version());
        assert!(view(&package, &version).warnings.is_empty());
        version.summary.yanked = true;
        version.summary.yank_message = Some("It drops DNS.".into());
        package.summary.deprecated = Some(skep_api::v1::life::Deprecation {
            message: "Old.".into(),
            replacement: Some("acme/shaper".parse().unwrap()),
        });
        let warnings = view(&package, &version).warnings;
        assert!(warnings[0].contains("It drops DNS."), "{warnings:?}");
        assert_eq!(warnings[1], "Deprecated: Old. Use acme/shaper instead.");
    }

    #[test]
    fn a_comparison_starts_from_the_release_before() {
        let (mut package, version) = (samples::package(), samples::version());
        assert_eq!(view(&package, &version).before, None);
        for (major, release) in [(1, 1), (2, 2), (3, 4)] {
            let mut other = package.versions[0].clone();
            (other.version, other.release) = (semver::Version::new(major, 0, 0), release);
            package.versions.push(other);
        }
        assert_eq!(view(&package, &version).before.as_deref(), Some("2.0.0"));
    }

    #[test]
    fn an_unreadable_manifest_leaves_the_facts() {
        let mut version = samples::version();
        version.manifest = serde_json::json!({"package": 1});
        let view = view(&samples::package(), &version);
        assert!(view.settings.is_empty());
        assert_eq!(view.programs.len(), 1);
    }
}
