//! Approvals: operators' signatures over one wave of one revision. A wave that asks for them is not taken without.
//! It refuses to know which wave a node is in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use skep_artifact::dsse::APPROVAL_PAYLOAD_TYPE;
use skep_artifact::{Digest, KeyId};

use crate::policy::NodePolicy;
use crate::signed::{self, Codes, NotSigned, check_text, codes};

/// Approval envelopes that are looked at for one wave: every operator key there may be, each in one of its own, twice.
pub const APPROVALS_MAX: usize = 64;
/// Characters of a policy's or a wave's name.
const NAME_CHARS_MAX: usize = 100;
const CODES: Codes = codes!("approval");

/// What an operator signs to let a wave begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The policy.
    pub policy: String,
    /// The digest of the revision's signed bytes: a number could be signed twice.
    pub revision: Digest,
    /// The wave.
    pub wave: String,
}

/// A wave that enough operators approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedApproval {
    approval: Approval,
    approved_by: Vec<KeyId>,
}

/// Why an approval does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalRefusal {
    /// Its signatures or its form.
    #[error("Refused: an approval cannot be trusted: {0}. Sign it with an operator's key.")]
    NotSigned(#[from] NotSigned),
    /// Of another policy.
    #[error("Refused: an approval is for the policy {found}, not for {wanted}.")]
    OtherPolicy {
        /// What it approves.
        found: String,
        /// What is to be approved.
        wanted: String,
    },
    /// Of other content.
    #[error("Refused: an approval of the policy {policy} is for the revision {}, not for {}.", found.short(), wanted.short())]
    OtherRevision {
        /// The policy.
        policy: String,
        /// What it approves.
        found: Digest,
        /// What is to be approved.
        wanted: Digest,
    },
    /// Of another wave.
    #[error(
        "Refused: an approval of the policy {policy} is for the wave {found}, not for {wanted}."
    )]
    OtherWave {
        /// The policy.
        policy: String,
        /// What it approves.
        found: String,
        /// What is to be approved.
        wanted: String,
    },
    /// Fewer operators than the revision asks for.
    #[error(
        "Refused: the policy {policy} asks for the approval of {needed} operators before the wave {wave}, and {valid} approved. Approve it with `skep approve {policy} --wave {wave}`."
    )]
    NotEnough {
        /// The policy.
        policy: String,
        /// The wave.
        wave: String,
        /// Operators who approved.
        valid: usize,
        /// How many must.
        needed: usize,
    },
}

impl ApprovalRefusal {
    /// A stable code for programs. It never changes its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSigned(why) => why.code(&CODES),
            Self::OtherPolicy { .. } => "approval.other_policy",
            Self::OtherRevision { .. } => "approval.other_revision",
            Self::OtherWave { .. } => "approval.other_wave",
            Self::NotEnough { .. } => "approval.not_enough",
        }
    }
}

/// The operators who signed one approval of exactly this.
pub fn verify_approval(
    policy: &NodePolicy,
    envelope: &[u8],
    wanted: &Approval,
) -> Result<Vec<KeyId>, ApprovalRefusal> {
    let keys = policy.operator().map_or(&[][..], |signers| &signers.keys[..]);
    let opened = signed::open::<Approval>(envelope, APPROVAL_PAYLOAD_TYPE, keys, 1)?;
    let found = opened.document;
    found.check()?;
    if found.policy != wanted.policy {
        let (found, wanted) = (found.policy, wanted.policy.clone());
        return Err(ApprovalRefusal::OtherPolicy { found, wanted });
    }
    let policy = found.policy;
    if found.revision != wanted.revision {
        let (found, wanted) = (found.revision, wanted.revision);
        return Err(ApprovalRefusal::OtherRevision { policy, found, wanted });
    }
    if found.wave != wanted.wave {
        let (found, wanted) = (found.wave, wanted.wave.clone());
        return Err(ApprovalRefusal::OtherWave { policy, found, wanted });
    }
    Ok(opened.signed_by)
}

/// Counts the distinct operators who approved a wave. Envelopes about something else, or that cannot be trusted, count
/// nothing and stop nobody: a server could otherwise block a wave by adding one.
pub fn verify_approvals(
    policy: &NodePolicy,
    envelopes: &[Vec<u8>],
    wanted: &Approval,
    needed: usize,
) -> Result<VerifiedApproval, ApprovalRefusal> {
    let read = envelopes.iter().take(APPROVALS_MAX);
    let counted = read.filter_map(|envelope| verify_approval(policy, envelope, wanted).ok());
    let approved_by: BTreeSet<KeyId> = counted.flatten().collect();
    let valid = approved_by.len();
    // A revision that asks for nobody's approval does not ask for approval.
    if valid < needed.max(1) {
        let Approval { policy, wave, .. } = wanted.clone();
        return Err(ApprovalRefusal::NotEnough { policy, wave, valid, needed: needed.max(1) });
    }
    let approved_by = approved_by.into_iter().collect();
    Ok(VerifiedApproval { approval: wanted.clone(), approved_by })
}

impl Approval {
    /// Reads an approval as it stands in an envelope, without looking at signatures: for a server that stores it.
    pub fn read_unverified(payload: &[u8]) -> Result<Self, NotSigned> {
        let approval: Self = signed::read(payload)?;
        approval.check()?;
        Ok(approval)
    }

    fn check(&self) -> Result<(), NotSigned> {
        check_text("policy name", &self.policy, NAME_CHARS_MAX)?;
        check_text("wave", &self.wave, NAME_CHARS_MAX)
    }
}

impl VerifiedApproval {
    /// What was approved.
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// The operators' keys, sorted.
    pub fn approved_by(&self) -> &[KeyId] {
        &self.approved_by
    }
}
