//! What a node says runs on it. Refuses to know what was wanted.

use crate::how::How;
use crate::ids::{MemberName, PolicyName};
use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_artifact::name::PackageName;

/// The chain that runs on one (interface, hook).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedChain {
    pub interface: String,
    pub hook: Hook,
    pub members: Vec<ObservedMember>,
    /// How it is built and attached, as far as that is known; of a wanted chain: how it shall be.
    #[serde(default, skip_serializing_if = "How::is_default")]
    pub how: How,
}

impl ObservedChain {
    /// Whether this chain, which runs, is the one that is wanted.
    #[must_use]
    pub fn serves(&self, wanted: &Self) -> bool {
        let same_place = (&self.interface, self.hook) == (&wanted.interface, wanted.hook);
        same_place && self.members == wanted.members && self.how.serves(&wanted.how)
    }
}

/// One program as it runs: everything that decides what it does to packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedMember {
    pub policy: PolicyName,
    pub name: MemberName,
    pub package: PackageName,
    pub version: semver::Version,
    pub index: Digest,
    pub program: String,
    pub priority: u32,
    pub proceed_on: VerdictSet,
    pub mode: Mode,
    pub failure: Failure,
    /// Digest of the encoded config the program was loaded with.
    pub config: Digest,
}
