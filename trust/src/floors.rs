//! What a node has accepted already, below which it does not go again.
//! It refuses to know where it is stored; the agent keeps it. A package's semver has no floor: an operator may sign an older one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skep_artifact::{Digest, Namespace};

use crate::verified::{VerifiedPackage, VerifiedRevision};

/// The highest role version of each namespace, and the highest revision of each policy with the digest of its payload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floors {
    /// Role file versions: a lower one hides a version or a revocation.
    #[serde(default)]
    pub roles: BTreeMap<Namespace, u64>,
    /// Policy revisions by policy name: a lower one walks the node backwards, the same one with another
    /// payload was signed twice.
    #[serde(default)]
    pub revisions: BTreeMap<String, (u64, Digest)>,
}

impl Floors {
    /// The floors after a package was accepted. Floors only rise.
    #[must_use]
    pub fn raise(&self, package: &VerifiedPackage) -> Self {
        let mut next = self.clone();
        let floor = next.roles.entry(package.name().namespace().clone()).or_default();
        *floor = package.role_version().max(*floor);
        next
    }

    /// The floors after a policy revision was accepted. Floors only rise.
    #[must_use]
    pub fn raise_revision(&self, revision: &VerifiedRevision) -> Self {
        let mut next = self.clone();
        let accepted = (revision.revision(), revision.digest());
        let floor = next.revisions.entry(revision.name().to_owned()).or_insert(accepted);
        if floor.0 < accepted.0 {
            *floor = accepted;
        }
        next
    }
}
