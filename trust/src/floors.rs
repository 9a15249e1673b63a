//! What a node has accepted already, below which it does not go again.
//! It refuses to know where it is stored; the agent keeps it. A package's semver has no floor: an operator may sign an older one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skep_artifact::{Digest, Namespace};

use crate::assignment::VerifiedAssignment;
use crate::revocation::{KnownRevocation, VerifiedRevocation};
use crate::set::VerifiedSet;
use crate::verified::{VerifiedPackage, VerifiedRevision};
use crate::verify::Wanted;

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
    /// The newest policy set: an older one hides a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<SetFloor>,
    /// The newest assignment. There is one as soon as this node saw a signed one; it takes no unsigned state from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned: Option<AssignmentFloor>,
    /// What is known to be bad, by the digest of the signed document. Nothing is ever forgotten.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revoked: BTreeMap<Digest, KnownRevocation>,
}

/// The newest policy set a node accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetFloor {
    /// The fleet this node belongs to from then on.
    pub environment: String,
    /// Its epoch.
    pub epoch: u64,
    /// Its version within the epoch.
    pub version: u64,
    /// The digest of its signed bytes.
    pub digest: Digest,
}

/// The newest assignment a node followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignmentFloor {
    /// Its epoch.
    pub epoch: u64,
    /// Its generation within the epoch.
    pub generation: u64,
    /// The digest of what it chose.
    pub chosen: Digest,
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

    /// The floors after a policy set was accepted. Floors only rise.
    #[must_use]
    pub fn raise_set(&self, set: &VerifiedSet) -> Self {
        let accepted = SetFloor {
            environment: set.environment().to_owned(),
            epoch: set.epoch(),
            version: set.version(),
            digest: set.digest(),
        };
        let place = |floor: &SetFloor| (floor.epoch, floor.version);
        let newer = self.set.as_ref().is_none_or(|floor| place(floor) < place(&accepted));
        Self { set: if newer { Some(accepted) } else { self.set.clone() }, ..self.clone() }
    }

    /// The floors after an assignment was followed. Floors only rise.
    #[must_use]
    pub fn raise_assignment(&self, assignment: &VerifiedAssignment) -> Self {
        let accepted = assignment.floor();
        let place = |floor: &AssignmentFloor| (floor.epoch, floor.generation);
        let newer = self.assigned.is_none_or(|floor| place(&floor) < place(&accepted));
        Self { assigned: if newer { Some(accepted) } else { self.assigned }, ..self.clone() }
    }

    /// The floors after a revocation, or the lift of one, was accepted. A lifted one stays lifted.
    #[must_use]
    pub fn raise_revocation(&self, verified: &VerifiedRevocation) -> Self {
        let mut next = self.clone();
        match verified {
            VerifiedRevocation::Deny { revocation, digest, by, .. } => {
                let known =
                    KnownRevocation { revocation: revocation.clone(), by: *by, lifted: false };
                next.revoked.entry(*digest).or_insert(known);
            }
            VerifiedRevocation::Allow { lift, .. } => {
                if let Some(known) = next.revoked.get_mut(&lift.revocation) {
                    known.lifted = true;
                }
            }
        }
        next
    }

    /// The epoch operators signed last; 1 before any set.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.set.as_ref().map_or(1, |set| set.epoch)
    }

    /// The revocation that forbids a package, if one does.
    #[must_use]
    pub fn revocation_of(&self, wanted: &Wanted) -> Option<&KnownRevocation> {
        let mut all = self.revoked.values();
        all.find(|known| !known.lifted && known.revocation.covers(wanted))
    }
}
