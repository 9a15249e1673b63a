//! A package and one of its versions as header, tables and snippets.
//! It refuses to know whether the signatures hold: `verification` shows that.

use crate::view::{format, link, permissions, search};
use crate::words;
use skep_api::v1::packages::{PackageDetail, VersionDetail, VersionSummary};
use skep_artifact::manifest::{Manifest, Scalar, SettingTarget};
use skep_artifact::object::{IntType, MapFacts, ObjectFacts, ProgramFacts, ProgramKind};

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

/// One row of the table of programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramRow {
    pub name: String,
    pub kind: String,
    pub section: String,
    pub instructions: String,
    pub kernel: String,
    pub because: String,
    pub helpers: String,
}

/// One row of the table of maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapRow {
    pub name: String,
    pub kind: String,
    pub entries: String,
    pub key: String,
    pub value: String,
    /// Whether operators fill it, or the programs keep state in it.
    pub role: &'static str,
}

/// One row of the configuration reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingRow {
    pub name: String,
    pub ty: String,
    pub default: String,
    pub range: String,
    pub about: String,
}

/// A command or file to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    pub title: &'static str,
    pub text: String,
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
    pub yanked: bool,
    pub newest: Option<String>,
    pub versions: Vec<VersionRow>,
    pub permissions: Vec<permissions::Permission>,
    pub programs: Vec<ProgramRow>,
    pub maps: Vec<MapRow>,
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
        yanked: version.summary.yanked,
        newest: (newest != own).then_some(newest),
        versions: package.versions.iter().map(|v| version_row(&name, v, &own)).collect(),
        permissions: permissions::of(&version.facts),
        programs: rows_of(&version.facts, |facts| facts.programs.iter().map(program_row).collect()),
        maps: rows_of(&version.facts, |facts| {
            facts.maps.iter().map(|map| map_row(map, manifest.as_ref())).collect()
        }),
        settings: manifest.as_ref().map(settings).unwrap_or_default(),
        snippets: snippets(&name, &own, version, manifest.as_ref()),
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

/// Rows of every object; objects for several architectures repeat rows, which are shown once.
fn rows_of<R: PartialEq>(facts: &[ObjectFacts], rows: impl Fn(&ObjectFacts) -> Vec<R>) -> Vec<R> {
    let mut all: Vec<R> = Vec::new();
    for row in facts.iter().flat_map(rows) {
        if !all.contains(&row) {
            all.push(row);
        }
    }
    all
}

fn program_row(program: &ProgramFacts) -> ProgramRow {
    ProgramRow {
        name: program.name.clone(),
        kind: kind_name(program.kind),
        section: program.section.clone(),
        instructions: format::count(u64::from(program.insns)),
        kernel: program.lowest_kernel.map_or_else(|| words::UNKNOWN.to_owned(), |k| k.to_string()),
        because: program.because.clone(),
        helpers: program.helpers.join(", "),
    }
}

fn kind_name(kind: ProgramKind) -> String {
    let text = serde_json::to_value(kind).ok();
    text.as_ref().and_then(|v| v.as_str()).unwrap_or(words::UNKNOWN).replace('_', " ")
}

fn map_row(map: &MapFacts, manifest: Option<&Manifest>) -> MapRow {
    let configured = manifest.is_some_and(|m| {
        m.config
            .values()
            .any(|s| matches!(&s.target, SettingTarget::Map { map: name, .. } if *name == map.name))
    });
    MapRow {
        name: map.name.clone(),
        kind: map.kind.replace('_', " "),
        entries: format::count(u64::from(map.max_entries)),
        key: format::bytes(u64::from(map.key_size)),
        value: format::bytes(u64::from(map.value_size)),
        role: if configured { words::MAP_CONFIG } else { words::MAP_STATE },
    }
}

fn settings(manifest: &Manifest) -> Vec<SettingRow> {
    let row = |(name, setting): (&String, &skep_artifact::manifest::Setting)| {
        let about = setting.about.clone().unwrap_or_default();
        match &setting.target {
            SettingTarget::Global { ty, default, min, max, unit, .. } => {
                let unit = unit.as_deref().unwrap_or_default();
                SettingRow {
                    name: name.clone(),
                    ty: ty.to_string(),
                    default: default.map_or_else(
                        || words::DEFAULT_COMPILED.to_owned(),
                        |d| with_unit(&scalar(d), unit),
                    ),
                    range: range(*ty, *min, *max, unit),
                    about,
                }
            }
            SettingTarget::Map { key, value, .. } => SettingRow {
                name: name.clone(),
                ty: words::map_setting(&key_name(key), value.as_str()),
                default: words::DEFAULT_EMPTY.to_owned(),
                range: String::new(),
                about,
            },
        }
    };
    manifest.config.iter().map(row).collect()
}

fn key_name(key: &skep_artifact::manifest::KeyType) -> String {
    let text = serde_json::to_value(key).ok();
    text.as_ref().and_then(|v| v.as_str()).unwrap_or(words::UNKNOWN).to_owned()
}

fn scalar(value: Scalar) -> String {
    match value {
        Scalar::Bool(flag) => flag.to_string(),
        Scalar::Number(n) => format::count(n),
    }
}

fn range(ty: IntType, min: Option<u64>, max: Option<u64>, unit: &str) -> String {
    match (ty, min, max) {
        (IntType::Bool, _, _) | (_, None, None) => String::new(),
        (_, min, max) => {
            let (low, high) = (min.unwrap_or(0), max.unwrap_or_else(|| ty.largest()));
            with_unit(&format!("{} to {}", format::count(low), format::count(high)), unit)
        }
    }
}

fn with_unit(text: &str, unit: &str) -> String {
    if unit.is_empty() { text.to_owned() } else { format!("{text} {unit}") }
}

fn snippets(
    name: &str,
    version: &str,
    detail: &VersionDetail,
    manifest: Option<&Manifest>,
) -> Vec<Snippet> {
    let short = detail.name.short();
    let hook = detail
        .facts
        .iter()
        .flat_map(|f| &f.programs)
        .find_map(|p| p.kind.hooks().first())
        .map_or("xdp", |hook| hook.as_str());
    let config = manifest.map(example_config).unwrap_or_default();
    let policy = format!(
        "kind: Policy\nname: {short}\nnodes: {{ matchLabels: {{ role: edge }} }}\nattach: {{ hook: {hook}, interfaces: {{ match: [\"eth*\"] }} }}\nprograms:\n  - name: {short}\n    package: {name}@^{version}\n{config}"
    );
    vec![
        Snippet {
            title: words::SNIPPET_PULL,
            text: format!("skep pull {name}@{version} --policy /etc/skep/policy.toml"),
        },
        Snippet { title: words::SNIPPET_POLICY, text: policy },
        Snippet {
            title: words::SNIPPET_APPLY,
            text: format!(
                "skep plan -f {short}.yaml\nskep apply -f {short}.yaml --key operator.key"
            ),
        },
    ]
}

/// The `config:` block of a policy with every default of the package written out.
fn example_config(manifest: &Manifest) -> String {
    let lines: Vec<String> = manifest
        .config
        .iter()
        .filter_map(|(name, setting)| match &setting.target {
            SettingTarget::Global { default: Some(Scalar::Bool(flag)), .. } => {
                Some(format!("      {name}: {flag}\n"))
            }
            SettingTarget::Global { default: Some(Scalar::Number(n)), .. } => {
                Some(format!("      {name}: {n}\n"))
            }
            SettingTarget::Global { default: None, .. } | SettingTarget::Map { .. } => None,
        })
        .collect();
    if lines.is_empty() { String::new() } else { format!("    config:\n{}", lines.concat()) }
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
    fn an_unreadable_manifest_leaves_the_facts() {
        let mut version = samples::version();
        version.manifest = serde_json::json!({"package": 1});
        let view = view(&samples::package(), &version);
        assert!(view.settings.is_empty());
        assert_eq!(view.programs.len(), 1);
    }
}
