//! Assignments: what the server's online key says to one node. It can only choose among what operators signed.
//! It refuses to know how the node came by the server's key.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use skep_artifact::dsse::ASSIGNMENT_PAYLOAD_TYPE;
use skep_artifact::{Digest, PublicKey, json};

use crate::floors::{AssignmentFloor, Floors};
use crate::signed::{self, Codes, NotSigned, check_text, codes};
use crate::verify::UnixSeconds;

/// Longest validity of an assignment: what a stolen online key signed is worth nothing an hour later.
pub const ASSIGNMENT_SECS_MAX: i64 = 3600;
/// Revisions one assignment may name: as many as one node may be asked to follow.
pub const ASSIGNED_MAX: usize = 256;
/// Characters of a node's name.
const NAME_CHARS_MAX: usize = 100;
const CODES: Codes = codes!("assignment");

/// What a server signs for one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The node.
    pub node: String,
    /// The epoch of the policy set; 1 before there is any.
    pub epoch: u64,
    /// The number of the desired state.
    pub generation: u64,
    /// The version of the policy set; absent before there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<u64>,
    /// Digests of the signed bytes of the revisions that were chosen.
    pub revisions: BTreeSet<Digest>,
    /// Those of them whose signed fallback the node shall run instead: a rollout goes back.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fallback: BTreeSet<Digest>,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// Until when it may be accepted for the first time.
    pub expires_at: UnixSeconds,
}

/// What a node holds an assignment against.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// The key of the server this node is enrolled at.
    pub server: &'a PublicKey,
    /// This node.
    pub node: &'a str,
    /// The number of the desired state it came with.
    pub generation: u64,
    /// Digests of the revisions that came with it and that operators signed.
    pub signed: &'a BTreeSet<Digest>,
}

/// An assignment this node may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAssignment {
    assignment: Assignment,
    chosen: Digest,
}

/// Why an assignment is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentRefusal {
    /// Its signatures or its form.
    #[error(
        "Refused: the server's assignment cannot be trusted: {0}. If the server has a new key, enrol this node again."
    )]
    NotSigned(#[from] NotSigned),
    /// None came, and this node has seen signed ones.
    #[error(
        "Refused: the server sent a state without a signed assignment, and it has sent signed ones before. Something between the server and this node takes it off, or the server was put back to an old release."
    )]
    Unsigned,
    /// For somebody else.
    #[error("Refused: the assignment is for the node {found}, and this node is {wanted}.")]
    OtherNode {
        /// Whom it is for.
        found: String,
        /// This node.
        wanted: String,
    },
    /// Valid longer than a server may say.
    #[error(
        "Refused: the assignment is valid for {secs} seconds; at most {ASSIGNMENT_SECS_MAX} are accepted, so that a stolen one is worth nothing an hour later."
    )]
    Lifetime {
        /// Its validity.
        secs: i64,
    },
    /// Too old to be accepted for the first time.
    #[error(
        "Refused: the assignment was valid until {expires_at} and it is {now} (seconds since 1970). Somebody delays or repeats it, or a clock is wrong."
    )]
    Expired {
        /// Until when it could be accepted.
        expires_at: UnixSeconds,
        /// The time of this node.
        now: UnixSeconds,
    },
    /// An older one than was accepted before.
    #[error(
        "Refused: the assignment is for generation {found}, and this node followed generation {floor} before."
    )]
    Rollback {
        /// Its generation.
        found: u64,
        /// The generation followed before.
        floor: u64,
    },
    /// Of another state than it came with.
    #[error(
        "Refused: the assignment is for generation {found}, and the state it came with is generation {offered}."
    )]
    OtherGeneration {
        /// Its generation.
        found: u64,
        /// The generation of the state.
        offered: u64,
    },
    /// Two choices under one number.
    #[error(
        "Refused: the server chose twice under generation {generation}, each time differently."
    )]
    Equivocation {
        /// The generation.
        generation: u64,
    },
    /// An epoch that operators left behind.
    #[error("Refused: the assignment is of epoch {found}, and operators signed epoch {signed}.")]
    EpochRollback {
        /// Its epoch.
        found: u64,
        /// The newest epoch operators signed.
        signed: u64,
    },
    /// An epoch that no operator signed.
    #[error(
        "Refused: the assignment is of epoch {found}, and operators signed {signed} last. Only an operator begins an epoch."
    )]
    EpochNotSigned {
        /// Its epoch.
        found: u64,
        /// The newest epoch operators signed.
        signed: u64,
    },
    /// An older policy set than this node has, or none.
    #[error(
        "Refused: the assignment follows version {} of the policy set, and this node has version {floor}.", found.unwrap_or(0)
    )]
    SetRollback {
        /// The version it names.
        found: Option<u64>,
        /// The version this node has.
        floor: u64,
    },
    /// A policy set that no operator signed.
    #[error(
        "Refused: the assignment follows version {found} of the policy set, which no operator signed."
    )]
    SetNotSigned {
        /// The version it names.
        found: u64,
    },
    /// A revision that no operator signed.
    #[error("Refused: the assignment chooses the revision {}, which no operator signed. A server can only choose among signed ones.", revision.short())]
    RevisionNotSigned {
        /// The digest it names.
        revision: Digest,
    },
    /// A fallback of a revision that it does not choose.
    #[error("Refused: the assignment falls back from the revision {}, which it does not choose.", revision.short())]
    FallbackNotChosen {
        /// The digest it names.
        revision: Digest,
    },
    /// A revision that came with it and that it does not choose.
    #[error("Refused: the revision {} came with an assignment that does not choose it.", revision.short())]
    RevisionNotChosen {
        /// The digest of the revision.
        revision: Digest,
    },
}

impl AssignmentRefusal {
    /// A stable code for programs. It never changes its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSigned(why) => why.code(&CODES),
            Self::Unsigned => "assignment.unsigned",
            Self::OtherNode { .. } => "assignment.other_node",
            Self::Lifetime { .. } => "assignment.lifetime",
            Self::Expired { .. } => "assignment.expired",
            Self::Rollback { .. } => "assignment.rollback",
            Self::OtherGeneration { .. } => "assignment.other_generation",
            Self::Equivocation { .. } => "assignment.equivocation",
            Self::EpochRollback { .. } => "assignment.epoch_rollback",
            Self::EpochNotSigned { .. } => "assignment.epoch_not_signed",
            Self::SetRollback { .. } => "assignment.set_rollback",
            Self::SetNotSigned { .. } => "assignment.set_not_signed",
            Self::RevisionNotSigned { .. } => "assignment.revision_not_signed",
            Self::RevisionNotChosen { .. } => "assignment.revision_not_chosen",
            Self::FallbackNotChosen { .. } => "assignment.fallback_not_chosen",
        }
    }
}

/// A state without an assignment comes from a server of the release before; once a node saw a signed one it takes no other.
pub fn accept_unsigned(floors: &Floors) -> Result<(), AssignmentRefusal> {
    match floors.assigned {
        None => Ok(()),
        Some(_) => Err(AssignmentRefusal::Unsigned),
    }
}

/// Verifies an assignment against the state it came with. `floors` hold the policy set that came with it already.
pub fn verify_assignment(
    envelope: &[u8],
    expected: &Expected<'_>,
    floors: &Floors,
    now: UnixSeconds,
) -> Result<VerifiedAssignment, AssignmentRefusal> {
    let keys = std::slice::from_ref(expected.server);
    let opened = signed::open::<Assignment>(envelope, ASSIGNMENT_PAYLOAD_TYPE, keys, 1)?;
    let assignment = opened.document;
    check_text("node", &assignment.node, NAME_CHARS_MAX)?;
    if assignment.revisions.len() > ASSIGNED_MAX {
        let reason = "it chooses more revisions than a node may follow".to_owned();
        return Err(NotSigned::Malformed { reason }.into());
    }
    if assignment.node != expected.node {
        let (found, wanted) = (assignment.node, expected.node.to_owned());
        return Err(AssignmentRefusal::OtherNode { found, wanted });
    }
    check_place(&assignment, floors)?;
    check_number(&assignment, expected, floors)?;
    check_choice(&assignment, expected)?;
    let verified = VerifiedAssignment { chosen: chosen(&assignment)?, assignment };
    check_time(&verified, floors, now)?;
    Ok(verified)
}

/// Epoch and set are the operators' to say.
fn check_place(assignment: &Assignment, floors: &Floors) -> Result<(), AssignmentRefusal> {
    let (found, signed) = (assignment.epoch, floors.epoch());
    if found < signed {
        return Err(AssignmentRefusal::EpochRollback { found, signed });
    }
    if found > signed {
        return Err(AssignmentRefusal::EpochNotSigned { found, signed });
    }
    let floor = floors.set.as_ref().map(|set| set.version);
    match (assignment.set, floor) {
        (found, Some(floor)) if found.is_none_or(|found| found < floor) => {
            Err(AssignmentRefusal::SetRollback { found, floor })
        }
        (Some(found), floor) if floor.is_none_or(|floor| found > floor) => {
            Err(AssignmentRefusal::SetNotSigned { found })
        }
        _ => Ok(()),
    }
}

fn check_number(
    assignment: &Assignment,
    expected: &Expected<'_>,
    floors: &Floors,
) -> Result<(), AssignmentRefusal> {
    let found = assignment.generation;
    if let Some(before) = floors.assigned.filter(|before| before.epoch == assignment.epoch)
        && found < before.generation
    {
        return Err(AssignmentRefusal::Rollback { found, floor: before.generation });
    }
    if found != expected.generation {
        return Err(AssignmentRefusal::OtherGeneration { found, offered: expected.generation });
    }
    Ok(())
}

fn check_choice(assignment: &Assignment, expected: &Expected<'_>) -> Result<(), AssignmentRefusal> {
    if let Some(revision) = assignment.revisions.difference(expected.signed).next() {
        return Err(AssignmentRefusal::RevisionNotSigned { revision: *revision });
    }
    if let Some(revision) = expected.signed.difference(&assignment.revisions).next() {
        return Err(AssignmentRefusal::RevisionNotChosen { revision: *revision });
    }
    if let Some(revision) = assignment.fallback.difference(&assignment.revisions).next() {
        return Err(AssignmentRefusal::FallbackNotChosen { revision: *revision });
    }
    Ok(())
}

/// Expiry limits first acceptance only: the same choice again is no new one.
fn check_time(
    verified: &VerifiedAssignment,
    floors: &Floors,
    now: UnixSeconds,
) -> Result<(), AssignmentRefusal> {
    let Assignment { generation, issued_at, expires_at, .. } = verified.assignment;
    let secs = expires_at.saturating_sub(issued_at);
    if secs <= 0 || secs > ASSIGNMENT_SECS_MAX {
        return Err(AssignmentRefusal::Lifetime { secs });
    }
    let before = floors.assigned.filter(|before| {
        (before.epoch, before.generation) == (verified.assignment.epoch, generation)
    });
    match before {
        Some(before) if before.chosen != verified.chosen => {
            Err(AssignmentRefusal::Equivocation { generation })
        }
        None if expires_at <= now => Err(AssignmentRefusal::Expired { expires_at, now }),
        _ => Ok(()),
    }
}

/// What tells two choices under one number apart. Without fallbacks it is what it always was, so that floors of the
/// release before go on counting.
fn chosen(assignment: &Assignment) -> Result<Digest, NotSigned> {
    let Assignment { revisions, fallback, .. } = assignment;
    let written = match fallback.is_empty() {
        true => json::canonical(revisions),
        false => json::canonical(&(revisions, fallback)),
    };
    let bytes = written.map_err(|error| NotSigned::Malformed { reason: error.to_string() })?;
    Ok(Digest::of(&bytes))
}

impl VerifiedAssignment {
    /// What the server signed.
    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    pub(crate) fn floor(&self) -> AssignmentFloor {
        let Assignment { epoch, generation, .. } = self.assignment;
        AssignmentFloor { epoch, generation, chosen: self.chosen }
    }
}
