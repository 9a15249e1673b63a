//! From what an operator wrote to what can be signed: ranges become digests, and config is checked
//! against the package. Refuses to know keys.

mod choice;
mod revoked;

use crate::exit::Ends;
use crate::output::Output;
use choice::{Choice, NoChoice, choose};
use revoked::{Revoked, RevokedVersion};
use skep_api::client::{Client, ClientError};
use skep_api::v1::packages::VersionDetail;
use skep_artifact::config::{ConfigError, encode};
use skep_artifact::hook::Hook;
use skep_artifact::json;
use skep_artifact::manifest::{Manifest, ManifestError};
use skep_artifact::name::PackageName;
use skep_fleet::ids::PolicyName;
use skep_fleet::policy::{
    PackageRange, PinnedProgram, PolicyDocument, PolicyError, PolicyRevision, ProgramDefaults,
    ResolvedPackage,
};
use std::collections::BTreeMap;
use std::str::FromStr;

/// `acme/ratelimit` or `acme/ratelimit@1.4.2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub name: PackageName,
    pub version: Option<semver::Version>,
}

/// Why a text is no reference.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReferenceError {
    #[error("{0}")]
    Name(#[from] skep_artifact::name::NameError),
    #[error("'{text}' is not a version ({reason}). Write it like acme/ratelimit@1.4.2.")]
    Version { text: String, reason: String },
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let parsed = |version: &str| {
            version.parse().map_err(|e: semver::Error| ReferenceError::Version {
                text: version.to_owned(),
                reason: e.to_string(),
            })
        };
        Ok(Self { name: name.parse()?, version: version.map(parsed).transpose()? })
    }
}

/// Why a document could not be made a revision.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("The registry's record of {package} cannot be used.")]
    Manifest { package: String, source: Box<ManifestError> },
    #[error("The registry's record of {package} is not strict JSON.")]
    Json { package: String, source: json::JsonError },
    #[error("Policy {policy}, member {member}: the config does not fit {package}.")]
    Config { policy: String, member: String, package: String, source: Box<ConfigError> },
    #[error(transparent)]
    Policy(Box<PolicyError>),
}

/// One installable version, as the registry describes it.
struct Candidate {
    detail: VersionDetail,
    manifest: Manifest,
}

/// What one policy asks for: another may hold a version of the same range that was yanked since.
type Asked = (PolicyName, String);

/// Everything looked up for a set of documents.
pub(crate) struct Catalogue {
    found: BTreeMap<Asked, Candidate>,
    /// What the operator should hear of the versions that were picked.
    pub warnings: Vec<String>,
}

impl Catalogue {
    /// Asks the registry for every range the documents name; `current` are the revisions that run.
    /// Ranges without a match are left out; resolving says which member wants them.
    ///
    /// # Errors
    /// A registry that fails, a record that cannot be used, or a range in which all is yanked.
    pub(crate) async fn look_up(
        client: &Client,
        documents: &[PolicyDocument],
        current: &[PolicyRevision],
    ) -> anyhow::Result<Self> {
        let mut catalogue = Self { found: BTreeMap::new(), warnings: Vec::new() };
        let revoked = Revoked::of(client.revocations().await?.revocations);
        for document in documents {
            let revision = current.iter().find(|r| r.name == document.name);
            for wish in &document.programs {
                let asked = asked(&document.name, &wish.package);
                if catalogue.found.contains_key(&asked) {
                    continue;
                }
                let pinned = revision.into_iter().flat_map(|r| &r.programs);
                let held = pinned.filter(|p| p.name == wish.name).map(|p| (&p.package, &p.version));
                let held = held.filter(|(package, _)| **package == wish.package.package);
                let held = held.map(|(_, version)| version).next();
                let newest = newest(client, &wish.package, held, &revoked).await?;
                let Some((candidate, warnings)) = newest else { continue };
                catalogue.found.insert(asked, candidate);
                for warning in warnings {
                    if !catalogue.warnings.contains(&warning) {
                        catalogue.warnings.push(warning);
                    }
                }
            }
        }
        Ok(catalogue)
    }

    /// Fixes ranges to digests and checks every config against the package it is for.
    pub(crate) fn resolve(
        &self,
        document: &PolicyDocument,
        revision: u64,
    ) -> Result<PolicyRevision, ResolveError> {
        let lookup = |range: &PackageRange, hook: Hook| self.lookup(&document.name, range, hook);
        let resolved = document
            .resolve(revision, &lookup)
            .map_err(|source| ResolveError::Policy(Box::new(source)))?;
        for (wish, pinned) in document.programs.iter().zip(&resolved.programs) {
            self.check_config(document, &wish.package, pinned)?;
        }
        Ok(resolved)
    }

    fn lookup(
        &self,
        policy: &PolicyName,
        range: &PackageRange,
        hook: Hook,
    ) -> Option<ResolvedPackage> {
        let candidate = self.found.get(&asked(policy, range))?;
        let fitting = candidate.manifest.programs.iter().filter(|p| p.hooks().contains(&hook));
        let defaults = fitting.map(|p| ProgramDefaults {
            name: p.name.clone(),
            priority: Some(p.priority),
            proceed_on: Some(p.proceed_on()),
        });
        Some(ResolvedPackage {
            version: candidate.detail.summary.version.clone(),
            index: candidate.detail.summary.index,
            programs: defaults.collect(),
        })
    }

    /// Nodes check again; here the operator hears of it before anything is signed.
    fn check_config(
        &self,
        document: &PolicyDocument,
        range: &PackageRange,
        pinned: &PinnedProgram,
    ) -> Result<(), ResolveError> {
        let Some(candidate) = self.found.get(&asked(&document.name, range)) else {
            return Ok(());
        };
        for facts in &candidate.detail.facts {
            encode(&candidate.manifest, facts, &pinned.config).map_err(|source| {
                ResolveError::Config {
                    policy: document.name.to_string(),
                    member: pinned.name.to_string(),
                    package: format!("{} {}", pinned.package, pinned.version),
                    source: Box::new(source),
                }
            })?;
        }
        Ok(())
    }
}

/// The highest version in a range that may be picked anew; what to know about it is said.
///
/// # Errors
/// A registry that fails, or no such version.
pub(crate) async fn highest(
    client: &Client,
    range: &PackageRange,
    out: Output,
) -> anyhow::Result<semver::Version> {
    let package = client.package(&range.package).await?;
    match choose(&package, &range.versions, None) {
        Ok(choice) => {
            choice.warnings.iter().for_each(|warning| out.say(warning));
            Ok(choice.version)
        }
        Err(NoChoice::Nothing) => {
            let (name, range) = (&range.package, &range.versions);
            let message =
                format!("No version of {name} fits {range}. `skep info {name}` lists them.");
            Err(Ends::not_found(message).into())
        }
        Err(yanked @ NoChoice::Yanked { .. }) => Err(Ends::refusal(yanked.to_string()).into()),
    }
}

fn asked(policy: &PolicyName, range: &PackageRange) -> Asked {
    (policy.clone(), String::from(range.clone()))
}

async fn newest(
    client: &Client,
    range: &PackageRange,
    held: Option<&semver::Version>,
    revoked: &Revoked,
) -> anyhow::Result<Option<(Candidate, Vec<String>)>> {
    let mut package = match client.package(&range.package).await {
        Ok(package) => package,
        Err(ClientError::Refused { status: 404, .. }) => return Ok(None),
        Err(e @ ClientError::Refused { status: 410, .. }) => {
            // A deleted package runs on where it runs.
            let Some(held) = held.filter(|version| range.versions.matches(version)) else {
                return Err(e.into());
            };
            let candidate = candidate(client, range, held).await?;
            let warning = format!("{} {held} is kept because it runs. {e}", range.package);
            return Ok(Some((candidate, vec![warning])));
        }
        Err(e) => return Err(e.into()),
    };
    // Every node would refuse it: not even what runs already is kept.
    let taken_out = revoked.take_out(&mut package);
    let chosen = choose(&package, &range.versions, held);
    let over = |than: Option<&semver::Version>| passed_over(&taken_out, range, than, held);
    let Choice { version, warnings } = match chosen {
        Ok(Choice { version, warnings }) => {
            Choice { warnings: [over(Some(&version)), warnings].concat(), version }
        }
        Err(NoChoice::Nothing) if over(None).is_empty() => return Ok(None),
        Err(NoChoice::Nothing) => return Err(Ends::refusal(over(None).join(" ")).into()),
        Err(yanked @ NoChoice::Yanked { .. }) => {
            return Err(Ends::refusal(yanked.to_string()).into());
        }
    };
    Ok(Some((candidate(client, range, &version).await?, warnings)))
}

/// What to say about revoked versions of a range: those that would have been picked before the one that was, and the
/// one that the policy holds.
fn passed_over(
    revoked: &[RevokedVersion],
    range: &PackageRange,
    picked: Option<&semver::Version>,
    held: Option<&semver::Version>,
) -> Vec<String> {
    let fits = revoked.iter().filter(|one| range.versions.matches(&one.version));
    let matters = fits.filter(|one| {
        picked.is_none_or(|picked| one.version > *picked) || Some(&one.version) == held
    });
    let say = |RevokedVersion { version, reason }: &RevokedVersion| {
        format!("{} {version} is passed over: it was revoked ({reason}).", range.package)
    };
    matters.map(say).collect()
}

async fn candidate(
    client: &Client,
    range: &PackageRange,
    version: &semver::Version,
) -> anyhow::Result<Candidate> {
    let detail = client.version(&range.package, version).await?;
    if detail.name != range.package || detail.summary.version != *version {
        let message = format!(
            "The registry answered with {} {} when asked for {} {version}.",
            detail.name, detail.summary.version, range.package
        );
        return Err(Ends::refusal(message).into());
    }
    let manifest = manifest_of(&detail)?;
    Ok(Candidate { detail, manifest })
}

/// The manifest in a registry's answer.
pub(crate) fn manifest_of(detail: &VersionDetail) -> Result<Manifest, ResolveError> {
    let package = || format!("{} {}", detail.name, detail.summary.version);
    let bytes = json::canonical(&detail.manifest)
        .map_err(|source| ResolveError::Json { package: package(), source })?;
    Manifest::from_canonical_json(&bytes)
        .map_err(|source| ResolveError::Manifest { package: package(), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_name_and_perhaps_a_version() {
        let both: Reference = "acme/ratelimit@1.4.2".parse().unwrap();
        assert_eq!(both.name.to_string(), "acme/ratelimit");
        assert_eq!(both.version, Some("1.4.2".parse().unwrap()));
        let name: Reference = "acme/ratelimit".parse().unwrap();
        assert_eq!(name.version, None);
        assert!(matches!("acme".parse::<Reference>(), Err(ReferenceError::Name(_))));
        assert!(matches!("a/b@1.4".parse::<Reference>(), Err(ReferenceError::Version { .. })));
    }
}
