//! Which version of a package a range means: the highest that may be picked, and what to say about it.
//! Pure: refuses to know registries.

use crate::render::life;
use semver::{Version, VersionReq};
use skep_api::v1::packages::{PackageDetail, VersionSummary};

/// A version, and what an operator should hear before choosing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub version: Version,
    pub warnings: Vec<String>,
}

/// Why no version can be picked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoChoice {
    #[error("no version fits")]
    Nothing,
    #[error(
        "{package} {version} was yanked: {message} Nothing new picks it. `skep info {package}` lists the others."
    )]
    Yanked { package: String, version: Version, message: String },
}

/// The highest version in a range that is not yanked. A version that the policy holds already is
/// kept although it is yanked, unless a higher one fits: a yank stops new uses, and going back is
/// for the operator to say.
///
/// # Errors
/// [`NoChoice`].
pub(crate) fn choose(
    package: &PackageDetail,
    range: &VersionReq,
    held: Option<&Version>,
) -> Result<Choice, NoChoice> {
    let fits = || package.versions.iter().filter(|v| range.matches(&v.version));
    let highest = |yanked: bool| {
        let of_kind = fits().filter(|v| v.yanked == yanked);
        of_kind.max_by(|a, b| a.version.cmp(&b.version))
    };
    let (open, yanked) = (highest(false), highest(true));
    let held = fits().find(|v| v.yanked && Some(&v.version) == held);
    let name = &package.summary.name;
    let chosen = match (open, held) {
        (Some(open), Some(held)) if open.version < held.version => held,
        (Some(open), _) => open,
        (None, Some(held)) => held,
        (None, None) => {
            return Err(match yanked {
                None => NoChoice::Nothing,
                Some(v) => NoChoice::Yanked {
                    package: name.to_string(),
                    version: v.version.clone(),
                    message: message(v).to_owned(),
                },
            });
        }
    };
    let mut warnings = Vec::new();
    if chosen.yanked {
        warnings.push(format!(
            "{name} {} was yanked: {} It is kept because it runs; no newer version fits. To go back, ask for an older one, like {name}@={}.",
            chosen.version,
            message(chosen),
            open.map_or_else(|| "1.2.3".to_owned(), |v| v.version.to_string()),
        ));
    } else if let Some(passed) = yanked.filter(|v| v.version > chosen.version) {
        let (over, why) = (&passed.version, message(passed));
        warnings.push(format!("{name} {over} is passed over: it was yanked. {why}"));
    }
    if let Some(why) = &chosen.deprecated {
        warnings.push(format!("{name} {} is deprecated: {}", chosen.version, life::why(why)));
    }
    if let Some(why) = &package.summary.deprecated {
        warnings.push(format!("{name} is deprecated: {}", life::why(why)));
    }
    Ok(Choice { version: chosen.version.clone(), warnings })
}

fn message(version: &VersionSummary) -> &str {
    version.yank_message.as_deref().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use skep_api::v1::life::Deprecation;
    use skep_api::v1::packages::PackageSummary;
    use skep_artifact::digest::Digest;

    /// `1.0.0 1.1.0!` is two versions of which the second is yanked.
    pub(crate) fn package(versions: &str) -> PackageDetail {
        let version = |text: &str| {
            let yanked = text.ends_with('!');
            VersionSummary {
                log_index: None,
                version: text.trim_end_matches('!').parse().unwrap(),
                release: 1,
                index: Digest::of(text.as_bytes()),
                published_at: 0,
                yanked,
                yank_message: yanked.then(|| "Broken.".to_owned()),
                deprecated: None,
                size_bytes: 1,
            }
        };
        PackageDetail {
            summary: PackageSummary {
                name: "acme/pass".parse().unwrap(),
                version: Version::new(1, 0, 0),
                description: String::new(),
                hooks: Vec::new(),
                license: String::new(),
                lowest_kernel: None,
                signed_by: Vec::new(),
                installs: 0,
                downloads: 0,
                published_at: 0,
                deprecated: None,
            },
            repository: None,
            keywords: Vec::new(),
            categories: Vec::new(),
            readme_html: String::new(),
            versions: versions.split_whitespace().map(version).collect(),
        }
    }

    #[track_caller]
    fn check(versions: &str, range: &str, held: &str, expected: &str) {
        let held: Option<Version> = held.parse().ok();
        let chosen = choose(&package(versions), &range.parse().unwrap(), held.as_ref());
        let found = match chosen {
            Ok(Choice { version, warnings }) => format!("{version} {}", warnings.len()),
            Err(NoChoice::Nothing) => "nothing".to_owned(),
            Err(NoChoice::Yanked { version, .. }) => format!("yanked {version}"),
        };
        assert_eq!(found, expected, "{versions} {range}");
    }

    #[test]
    fn the_highest_version_that_is_not_yanked_is_picked() {
        check("1.0.0 1.1.0 2.0.0", "^1", "", "1.1.0 0");
        check("1.0.0 1.1.0!", "^1", "", "1.0.0 1");
        check("1.0.0! 1.1.0", "^1", "", "1.1.0 0");
        check("1.0.0 1.1.0!", "=1.1.0", "", "yanked 1.1.0");
        check("1.0.0!", "^1", "", "yanked 1.0.0");
        check("1.0.0", "^2", "", "nothing");
    }

    #[test]
    fn a_yanked_version_is_kept_where_it_runs_until_a_newer_one_fits() {
        check("1.0.0 1.1.0!", "^1", "1.1.0", "1.1.0 1");
        check("1.0.0 1.1.0! 1.2.0", "^1", "1.1.0", "1.2.0 0");
        check("1.0.0 1.1.0!", "=1.0.0", "1.1.0", "1.0.0 0");
        check("1.1.0!", "=1.1.0", "1.1.0", "1.1.0 1");
    }

    #[test]
    fn a_deprecated_version_is_picked_with_its_reason_and_what_replaces_it() {
        let mut deprecated = package("1.0.0");
        let replacement = Some("acme/limiter".parse().unwrap());
        deprecated.summary.deprecated = Some(Deprecation { message: "Old.".into(), replacement });
        deprecated.versions[0].deprecated =
            Some(Deprecation { message: "Slow.".into(), replacement: None });
        let chosen = choose(&deprecated, &"^1".parse().unwrap(), None).unwrap();
        assert_eq!(
            chosen.warnings,
            [
                "acme/pass 1.0.0 is deprecated: Slow.",
                "acme/pass is deprecated: Old. Use acme/limiter instead.",
            ]
        );
    }
}
