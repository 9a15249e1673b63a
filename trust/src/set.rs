//! Policy sets: which policies an environment has, and how old each may be. Without one a server could leave a policy out
//! and nobody would notice.
//! It refuses to know what a policy says and which nodes it is for: selectors are handed on unread.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use skep_artifact::dsse::SET_PAYLOAD_TYPE;
use skep_artifact::{Digest, KeyId};

use crate::floors::{Floors, SetFloor};
use crate::policy::NodePolicy;
use crate::signed::{self, Codes, NotSigned, check_text, codes};

/// Policies in one set: sixteen times what one node may be asked to follow.
pub const SET_POLICIES_MAX: usize = 4096;
/// Characters of the name of an environment or a policy.
const NAME_CHARS_MAX: usize = 100;
const CODES: Codes = codes!("set");

/// What an operator signs over all policies of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySet {
    /// Which fleet it is for: a set of a test fleet must not pass in another.
    pub environment: String,
    /// Grows when a server was restored from a backup: generations begin anew. The first is 1.
    pub epoch: u64,
    /// Grows with every set of an epoch. The first is 1.
    pub version: u64,
    /// Every policy, and the lowest revision a node may still follow. A removed one names its tombstone's revision.
    pub policies: BTreeMap<String, u64>,
    /// The selector of each policy, so that a node knows which of them it must have been handed. One without a
    /// selector is for every node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, Value>,
}

/// A policy set the operator signed and no floor forbids.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedSet {
    set: PolicySet,
    digest: Digest,
    signed_by: Vec<KeyId>,
}

/// A policy that the set names and the node does not hold as it must.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lacking {
    /// The policy.
    pub policy: String,
    /// The lowest revision the set accepts.
    pub wanted: u64,
    /// The revision the node has, if any.
    pub have: Option<u64>,
}

/// Why a policy set is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetRefusal {
    /// Its signatures or its form.
    #[error("Refused: the policy set cannot be trusted: {0}. Sign it with the operator's keys.")]
    NotSigned(#[from] NotSigned),
    /// A set of another fleet.
    #[error(
        "Refused: the policy set is for the environment {found}, and this node belongs to {wanted}."
    )]
    OtherEnvironment {
        /// Its environment.
        found: String,
        /// This node's.
        wanted: String,
    },
    /// An older epoch than one accepted before.
    #[error(
        "Refused: the policy set is of epoch {found}, and this node accepted epoch {floor} before. Somebody restored a server without `skep policy epoch --bump`."
    )]
    EpochRollback {
        /// Its epoch.
        found: u64,
        /// The epoch accepted before.
        floor: u64,
    },
    /// An older version than one accepted before.
    #[error(
        "Refused: the policy set has version {found}, and this node accepted version {floor} before. An older set could hide a policy; apply the policies again."
    )]
    Rollback {
        /// Its version.
        found: u64,
        /// The version accepted before.
        floor: u64,
    },
    /// Two contents under one number.
    #[error("Refused: version {version} of the policy set is {}, and this node accepted {} under that number before. Somebody signed two; apply the policies again.", found.short(), accepted.short())]
    Equivocation {
        /// The version.
        version: u64,
        /// Digest accepted before.
        accepted: Digest,
        /// Digest of this one.
        found: Digest,
    },
}

impl SetRefusal {
    /// A stable code for programs. It never changes its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSigned(why) => why.code(&CODES),
            Self::OtherEnvironment { .. } => "set.other_environment",
            Self::EpochRollback { .. } => "set.epoch_rollback",
            Self::Rollback { .. } => "set.rollback",
            Self::Equivocation { .. } => "set.equivocation",
        }
    }
}

/// Verifies a policy set before anything it says is acted on.
pub fn verify_set(
    policy: &NodePolicy,
    envelope: &[u8],
    floors: &Floors,
) -> Result<VerifiedSet, SetRefusal> {
    let (keys, threshold) =
        policy.operator().map_or((&[][..], 1), |signers| (&signers.keys[..], signers.threshold));
    let opened = signed::open::<PolicySet>(envelope, SET_PAYLOAD_TYPE, keys, threshold)?;
    let set =
        VerifiedSet { set: opened.document, digest: opened.digest, signed_by: opened.signed_by };
    set.set.check()?;
    let pinned = policy.environment();
    let before = floors.set.as_ref().map(|floor| floor.environment.as_str());
    match pinned.or(before) {
        Some(wanted) if wanted != set.environment() => {
            let (found, wanted) = (set.environment().to_owned(), wanted.to_owned());
            Err(SetRefusal::OtherEnvironment { found, wanted })
        }
        _ => check_floor(set, floors.set.as_ref()),
    }
}

fn check_floor(set: VerifiedSet, floor: Option<&SetFloor>) -> Result<VerifiedSet, SetRefusal> {
    let Some(floor) = floor else { return Ok(set) };
    let (found, version) = (set.epoch(), set.version());
    if found < floor.epoch {
        return Err(SetRefusal::EpochRollback { found, floor: floor.epoch });
    }
    if found == floor.epoch && version < floor.version {
        return Err(SetRefusal::Rollback { found: version, floor: floor.version });
    }
    if (found, version) == (floor.epoch, floor.version) && set.digest != floor.digest {
        let (accepted, found) = (floor.digest, set.digest);
        return Err(SetRefusal::Equivocation { version, accepted, found });
    }
    Ok(set)
}

impl PolicySet {
    /// Reads a set as it stands in an envelope, without looking at signatures: for a server that stores it and for the
    /// operator who signs the next one, never for acting on.
    pub fn read_unverified(payload: &[u8]) -> Result<Self, NotSigned> {
        let set: Self = signed::read(payload)?;
        set.check()?;
        Ok(set)
    }

    fn check(&self) -> Result<(), NotSigned> {
        let malformed = |reason: &str| Err(NotSigned::Malformed { reason: reason.to_owned() });
        check_text("environment", &self.environment, NAME_CHARS_MAX)?;
        if self.epoch == 0 || self.version == 0 {
            return malformed("epochs and versions begin at 1");
        }
        if self.policies.len() > SET_POLICIES_MAX {
            return malformed("it names more policies than are read");
        }
        for (name, revision) in &self.policies {
            check_text("policy name", name, NAME_CHARS_MAX)?;
            if *revision == 0 {
                return malformed("revisions begin at 1");
            }
        }
        if self.nodes.keys().any(|name| !self.policies.contains_key(name)) {
            return malformed("it holds a selector of a policy it does not name");
        }
        Ok(())
    }
}

impl VerifiedSet {
    /// Which fleet it is for.
    pub fn environment(&self) -> &str {
        &self.set.environment
    }

    /// Its epoch.
    pub fn epoch(&self) -> u64 {
        self.set.epoch
    }

    /// Its version within the epoch.
    pub fn version(&self) -> u64 {
        self.set.version
    }

    /// The digest of the signed bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The operator's keys that signed.
    pub fn signed_by(&self) -> &[KeyId] {
        &self.signed_by
    }

    /// The lowest revision it accepts of a policy; `None` when it does not name it.
    pub fn lowest(&self, policy: &str) -> Option<u64> {
        self.set.policies.get(policy).copied()
    }

    /// The selector of a policy as signed; `None` means every node.
    pub fn selector(&self, policy: &str) -> Option<&Value> {
        self.set.nodes.get(policy)
    }

    /// What a node that holds these revisions lacks; `concerns` says whether a policy is for the node at all.
    pub fn lacking(
        &self,
        have: &dyn Fn(&str) -> Option<u64>,
        concerns: &dyn Fn(&str) -> bool,
    ) -> Vec<Lacking> {
        let lacking = |(policy, wanted): (&String, &u64)| {
            let have = have(policy);
            let held = have.is_some_and(|have| have >= *wanted);
            (!held && concerns(policy)).then(|| Lacking {
                policy: policy.clone(),
                wanted: *wanted,
                have,
            })
        };
        self.set.policies.iter().filter_map(lacking).collect()
    }
}
