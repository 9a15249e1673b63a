//! Commands and files to copy for a version. It refuses to run them.

use crate::words;
use skep_api::v1::packages::VersionDetail;
use skep_artifact::manifest::{Manifest, Scalar, SettingTarget};

/// A command or file to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    pub title: &'static str,
    pub text: String,
}

/// What a reader may want to copy.
pub(super) fn of(
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
