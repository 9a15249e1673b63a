//! What the browser verified itself, check by check. It refuses to fetch; it is handed bytes.
//!
//! The keys come from the registry, so these checks catch a registry that mixes things up, a proxy that
//! changes bytes, and a publisher's key that is not the one shown. What a node may run is decided by the
//! node's own policy, which names keys the registry cannot change.

use crate::view::search;
use crate::words;
use serde::{Deserialize, Serialize};
use skep_api::v1::namespaces::NamespaceInfo;
use skep_artifact::digest::Digest;
use skep_artifact::key::KeyId;
use skep_artifact::name::{PackageName, Version};
use skep_artifact::object::ObjectFacts;
use skep_artifact::role::{Role, RoleError};

/// The checks, in the order they are made; each needs the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Step {
    /// The role file is signed by enough of the namespace's keys.
    Signatures,
    /// The role file names this version with the digest that is shown.
    Named,
    /// Every fetched blob has the digest it was asked for by.
    Digests,
    /// The package opens, and its facts are the facts this page shows.
    Facts,
}

/// Where a check stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Waiting,
    Running,
    Passed(String),
    Failed(String),
}

/// What the program that checks tells the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// A check passed; the sentence says what was found.
    Passed(Step, String),
    /// The check that was running failed, and none is made after it.
    Failed(String),
}

/// One check as shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub step: Step,
    pub title: &'static str,
    pub outcome: Outcome,
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    checks: Vec<Check>,
}

/// Why bytes were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("The role file is refused: {0}.")]
    Role(#[from] RoleError),
    #[error("The role file does not name {package} {version}.")]
    NotNamed { package: PackageName, version: Version },
    #[error("The role file names {} for this version; this page shows {}.", named.short(), shown.short())]
    OtherIndex { named: Digest, shown: Digest },
    #[error("What came for {} has the digest {}.", asked.short(), came.short())]
    Bytes { asked: Digest, came: Digest },
    #[error("The facts read from the object here are not those the registry shows.")]
    Facts,
}

impl Default for Verification {
    fn default() -> Self {
        let steps = [
            (Step::Signatures, words::CHECK_SIGNATURES),
            (Step::Named, words::CHECK_NAMED),
            (Step::Digests, words::CHECK_DIGESTS),
            (Step::Facts, words::CHECK_FACTS),
        ];
        let check = |(step, title)| Check { step, title, outcome: Outcome::Waiting };
        Self { checks: steps.into_iter().map(check).collect() }
    }
}

impl Verification {
    /// The checks, in order.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Notes where a check stands.
    pub fn set(&mut self, step: Step, outcome: Outcome) {
        for check in self.checks.iter_mut().filter(|check| check.step == step) {
            check.outcome = outcome.clone();
        }
    }

    /// Notes what was told.
    pub fn take(&mut self, report: Report) {
        match report {
            Report::Passed(step, says) => self.passed(step, says),
            Report::Failed(says) => self.failed(says),
        }
    }

    /// Notes that a check passed and the next one runs.
    pub fn passed(&mut self, step: Step, says: String) {
        self.set(step, Outcome::Passed(says));
        if let Some(next) = self.checks.iter_mut().find(|c| c.outcome == Outcome::Waiting) {
            next.outcome = Outcome::Running;
        }
    }

    /// Notes that the running check failed; those after it are not made.
    pub fn failed(&mut self, says: String) {
        let open = |c: &&mut Check| matches!(c.outcome, Outcome::Running | Outcome::Waiting);
        if let Some(check) = self.checks.iter_mut().find(open) {
            check.outcome = Outcome::Failed(says);
        }
    }

    /// Whether every check passed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.checks.iter().all(|c| matches!(c.outcome, Outcome::Passed(_)))
    }

    /// Whether some check failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.checks.iter().any(|c| matches!(c.outcome, Outcome::Failed(_)))
    }

    /// The verdict for the header of the page.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        match (self.is_complete(), self.has_failed()) {
            (_, true) => words::VERIFIED_NOT,
            (true, false) => words::VERIFIED_HERE,
            (false, false) => words::VERIFYING,
        }
    }
}

/// A role file whose signatures hold, and who made them.
pub struct SignedRole {
    role: Role,
    signed_by: Vec<KeyId>,
}

/// Checks the signatures of a role file against the keys of its namespace.
///
/// # Errors
/// [`Mismatch::Role`] when too few of the keys signed, or the file is not a role of the namespace.
pub fn check_signatures(info: &NamespaceInfo, role: &[u8]) -> Result<SignedRole, Mismatch> {
    let threshold = usize::try_from(info.threshold).unwrap_or(usize::MAX);
    let verified = Role::verify(role, &info.name, &info.keys, threshold)?;
    Ok(SignedRole { role: verified.role().clone(), signed_by: verified.signed_by().to_vec() })
}

impl SignedRole {
    /// What the check found, as a sentence.
    #[must_use]
    pub fn says(&self, info: &NamespaceInfo) -> String {
        let keys: Vec<String> = self.signed_by.iter().map(ToString::to_string).collect();
        words::check_signatures_passed(
            info.name.as_str(),
            self.role.version(),
            &search::short_keys(&keys),
            info.keys.len(),
            info.threshold,
        )
    }

    /// Checks that the role names this version with this index.
    ///
    /// # Errors
    /// [`Mismatch::NotNamed`] or [`Mismatch::OtherIndex`].
    pub fn check_named(
        &self,
        package: &PackageName,
        version: &Version,
        shown: Digest,
    ) -> Result<(), Mismatch> {
        let not_named =
            || Mismatch::NotNamed { package: package.clone(), version: version.clone() };
        let named = self.role.target(package, version).ok_or_else(not_named)?.index;
        if named == shown { Ok(()) } else { Err(Mismatch::OtherIndex { named, shown }) }
    }
}

/// Checks bytes against the digest they were asked for by.
///
/// # Errors
/// [`Mismatch::Bytes`] when they are other bytes.
pub fn check_bytes(asked: Digest, bytes: &[u8]) -> Result<(), Mismatch> {
    let came = Digest::of(bytes);
    if came == asked { Ok(()) } else { Err(Mismatch::Bytes { asked, came }) }
}

/// Checks that the facts read here are the facts the registry shows, in whatever order.
///
/// # Errors
/// [`Mismatch::Facts`] when one side has facts the other has not.
pub fn check_facts(read: &[ObjectFacts], shown: &[ObjectFacts]) -> Result<(), Mismatch> {
    let all_in = |a: &[ObjectFacts], b: &[ObjectFacts]| a.iter().all(|facts| b.contains(facts));
    if all_in(read, shown) && all_in(shown, read) { Ok(()) } else { Err(Mismatch::Facts) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;
    use skep_artifact::key::SecretKey;
    use skep_artifact::role::Target;

    fn signed(index: Digest, keys: &[SecretKey]) -> Vec<u8> {
        let mut role = Role::new("acme".parse().unwrap(), 7, "2027-01-01T00:00:00Z").unwrap();
        role.add(Target {
            package: "acme/ratelimit".parse().unwrap(),
            version: Version::new(1, 4, 2),
            index,
            length: 10,
            release: 1,
            hooks: vec![skep_artifact::hook::Hook::Xdp],
            arch: vec![skep_artifact::manifest::Arch::Amd64],
        })
        .unwrap();
        role.sign(keys).unwrap()
    }

    fn namespace(keys: &[SecretKey], threshold: u32) -> NamespaceInfo {
        NamespaceInfo {
            name: "acme".parse().unwrap(),
            keys: keys.iter().map(SecretKey::public).collect(),
            threshold,
            role_version: 7,
            packages: 1,
        }
    }

    fn keys() -> [SecretKey; 2] {
        [SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32])]
    }

    #[test]
    fn a_signed_role_that_names_the_index_passes() {
        let keys = keys();
        let index = samples::digest(b"index");
        let role = check_signatures(&namespace(&keys, 2), &signed(index, &keys)).ok().unwrap();
        let (package, version) = ("acme/ratelimit".parse().unwrap(), Version::new(1, 4, 2));
        assert_eq!(role.check_named(&package, &version, index), Ok(()));
        assert!(role.says(&namespace(&keys, 2)).starts_with("Version 7 of the role file of acme"));
    }

    #[test]
    fn one_signature_where_two_are_asked_is_refused() {
        let keys = keys();
        let bytes = signed(samples::digest(b"index"), &keys[..1]);
        assert!(matches!(
            check_signatures(&namespace(&keys, 2), &bytes).err(),
            Some(Mismatch::Role(_))
        ));
    }

    #[test]
    fn another_index_than_the_signed_one_is_named() {
        let keys = keys();
        let (named, shown) = (samples::digest(b"index"), samples::digest(b"swapped"));
        let role = check_signatures(&namespace(&keys, 1), &signed(named, &keys)).ok().unwrap();
        let package = "acme/ratelimit".parse().unwrap();
        assert_eq!(
            role.check_named(&package, &Version::new(1, 4, 2), shown),
            Err(Mismatch::OtherIndex { named, shown })
        );
        assert!(matches!(
            role.check_named(&package, &Version::new(9, 9, 9), shown),
            Err(Mismatch::NotNamed { .. })
        ));
    }

    #[test]
    fn changed_bytes_and_changed_facts_are_refused() {
        assert_eq!(check_bytes(Digest::of(b"a"), b"a"), Ok(()));
        assert!(matches!(check_bytes(Digest::of(b"a"), b"b"), Err(Mismatch::Bytes { .. })));
        let facts = [samples::facts()];
        let mut other = facts.clone();
        other[0].programs[0].writes_packets = true;
        assert_eq!(check_facts(&facts, &facts), Ok(()));
        assert_eq!(check_facts(&facts, &other), Err(Mismatch::Facts));
        assert_eq!(check_facts(&facts, &[]), Err(Mismatch::Facts));
    }

    #[test]
    fn a_failed_check_stops_the_rest_and_shows_in_the_header() {
        let mut verification = Verification::default();
        verification.set(Step::Signatures, Outcome::Running);
        verification.passed(Step::Signatures, "ok".into());
        verification.failed("no".into());
        assert_eq!(verification.checks()[1].outcome, Outcome::Failed("no".into()));
        assert_eq!(verification.checks()[2].outcome, Outcome::Waiting);
        assert_eq!(verification.summary(), words::VERIFIED_NOT);
        assert!(!verification.is_complete());
    }

    #[test]
    fn what_is_told_is_read_back() {
        for report in [Report::Passed(Step::Named, "ok".into()), Report::Failed("no".into())] {
            let text = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        }
        let mut verification = Verification::default();
        verification.take(Report::Passed(Step::Signatures, String::new()));
        verification.take(Report::Failed("no".into()));
        assert_eq!(verification.checks()[1].outcome, Outcome::Failed("no".into()));
    }

    #[test]
    fn all_passed_is_verified_here() {
        let mut verification = Verification::default();
        for step in [Step::Signatures, Step::Named, Step::Digests, Step::Facts] {
            assert_eq!(verification.summary(), words::VERIFYING);
            verification.passed(step, String::new());
        }
        assert_eq!(verification.summary(), words::VERIFIED_HERE);
    }
}
