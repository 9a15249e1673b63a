//! Which versions of a package the registry knows to be revoked, so that a plan does not sign what every node would
//! refuse. Pure: refuses to know registries, and whose signature counts: each node decides that.

use skep_api::v1::operators::RevocationInfo;
use skep_api::v1::packages::{PackageDetail, VersionSummary};
use skep_artifact::digest::Digest;
use std::collections::BTreeSet;

/// Revocations that were not taken back.
#[derive(Debug, Default)]
pub(crate) struct Revoked(Vec<RevocationInfo>);

/// A version that is revoked, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RevokedVersion {
    pub version: semver::Version,
    pub reason: String,
}

impl Revoked {
    /// Those of a registry that stand.
    pub(crate) fn of(all: Vec<RevocationInfo>) -> Self {
        let lifted: BTreeSet<Digest> = all.iter().filter_map(|one| one.lifts).collect();
        let stands = |one: &RevocationInfo| one.lifts.is_none() && !lifted.contains(&one.digest);
        Self(all.into_iter().filter(stands).collect())
    }

    /// Why a version may not run anywhere, if it may not.
    fn reason(&self, package: &str, version: &VersionSummary) -> Option<&str> {
        let number = version.version.to_string();
        let covers = |one: &&RevocationInfo| {
            one.package == package
                && (one.versions.contains(&number) || one.digests.contains(&version.index))
        };
        self.0.iter().find(covers).map(|one| one.reason.as_str())
    }

    /// Takes revoked versions out of a package; gives those it took, highest first.
    pub(crate) fn take_out(&self, package: &mut PackageDetail) -> Vec<RevokedVersion> {
        let name = package.summary.name.to_string();
        let mut taken = Vec::new();
        package.versions.retain(|version| match self.reason(&name, version) {
            None => true,
            Some(reason) => {
                let (version, reason) = (version.version.clone(), reason.to_owned());
                taken.push(RevokedVersion { version, reason });
                false
            }
        });
        taken.sort_by(|a, b| b.version.cmp(&a.version));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::choice::tests::package;

    /// A revocation whose signed bytes are its reason.
    fn revocation(versions: &[&str], digests: &[&str], reason: &str) -> RevocationInfo {
        RevocationInfo {
            digest: Digest::of(reason.as_bytes()),
            package: "acme/pass".to_owned(),
            versions: versions.iter().map(|version| (*version).to_owned()).collect(),
            digests: digests.iter().map(|text| Digest::of(text.as_bytes())).collect(),
            reason: reason.to_owned(),
            severity: "high".to_owned(),
            lifts: None,
            signed_by: Vec::new(),
            envelope: String::new(),
            revoked_at: 0,
            revoked_by: String::new(),
        }
    }

    #[track_caller]
    fn check(all: Vec<RevocationInfo>, left: &[&str], taken: &[&str]) {
        let mut package = package("1.0.0 1.1.0 1.2.0!");
        let out = Revoked::of(all).take_out(&mut package);
        let out: Vec<String> =
            out.iter().map(|one| format!("{} {}", one.version, one.reason)).collect();
        assert_eq!(out, taken);
        let versions: Vec<String> =
            package.versions.iter().map(|version| version.version.to_string()).collect();
        assert_eq!(versions, left);
    }

    #[test]
    fn versions_that_are_revoked_by_number_or_by_content_are_taken_out_unless_that_was_lifted() {
        check(Vec::new(), &["1.0.0", "1.1.0", "1.2.0"], &[]);
        let bad = revocation(&["1.1.0"], &[], "bad");
        check(vec![bad.clone()], &["1.0.0", "1.2.0"], &["1.1.0 bad"]);
        // The content of the helper's versions is their text.
        let by_content = revocation(&[], &["1.0.0"], "worse");
        check(vec![bad.clone(), by_content], &["1.2.0"], &["1.1.0 bad", "1.0.0 worse"]);
        let other = RevocationInfo { package: "acme/other".to_owned(), ..bad.clone() };
        check(vec![other], &["1.0.0", "1.1.0", "1.2.0"], &[]);
        let lift = RevocationInfo { lifts: Some(bad.digest), ..revocation(&[], &[], "good") };
        check(vec![bad.clone(), lift.clone()], &["1.0.0", "1.1.0", "1.2.0"], &[]);
        // A lift of one does not lift another of the same version.
        let again = revocation(&["1.1.0"], &[], "again");
        check(vec![bad, lift, again], &["1.0.0", "1.2.0"], &["1.1.0 again"]);
    }
}
