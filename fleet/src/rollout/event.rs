//! What can happen to a rollout, and what follows from it. Plain data, kept in the order it happened: the same events
//! give the same state. Refuses to know where events come from.

use super::gate::Observations;
use super::plan::Member;
use super::state::{Because, Held};
use super::strategy::Freeze;
use crate::ids::NodeName;
use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use std::collections::BTreeSet;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// The nodes it is for were looked up.
    Plan {
        nodes: Vec<Joining>,
    },
    /// Somebody starts it; a hash says what they saw of the plan.
    Start {
        by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hash: Option<Digest>,
        /// Why freezes, windows and what is known to be bad do not count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        glass: Option<String>,
    },
    /// Nodes came that the selector means.
    Join {
        nodes: Vec<Joining>,
    },
    /// A node is no longer part of the fleet.
    Leave {
        node: NodeName,
    },
    /// What nodes said of themselves, or that they were silent.
    Seen {
        nodes: Vec<Seen>,
    },
    Approved {
        wave: String,
        keys: BTreeSet<String>,
    },
    /// The gates were asked.
    Measured(Measured),
    /// Time went by.
    Tick(Surroundings),
    Pause {
        by: String,
        why: String,
    },
    Resume {
        by: String,
    },
    /// Failed nodes try again.
    Retry {
        by: String,
    },
    /// The next wave begins now, whatever the gates say.
    Promote {
        by: String,
    },
    /// Nothing more is dispatched; every node keeps what it has.
    Cancel {
        by: String,
        why: String,
    },
    /// Every node goes back.
    Rollback {
        by: String,
        why: String,
    },
    /// A newer revision takes over, node by node from what each has.
    Supersede {
        by: u64,
    },
    BreakGlass(Because),
}

/// A node that becomes part of the rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joining {
    pub member: Member,
    pub before: Option<Held>,
}

/// One node's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub node: NodeName,
    pub said: Said,
}

/// What a node said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// It runs this of the policy, and accepted nothing newer.
    Runs(Held),
    /// It looked at what it was offered and does not run it.
    Refuses { offered: Held, code: String, message: String },
    /// It was not heard of for longer than the server allows.
    Silent,
    /// It is there, and has not come to a result.
    Busy,
}

/// What was observed in a wave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub wave: usize,
    pub seen: Observations,
}

/// What is true around a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Surroundings {
    /// Nodes on whose hook another rollout comes first.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub held: BTreeSet<NodeName>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Freeze>,
    /// What it runs was rolled back before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known_bad: bool,
    /// Kernels on which it was proved to load in other ways.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub proven: BTreeSet<String>,
}

/// What follows. What a node is offered follows from the state alone; these say where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// What this node is offered changed.
    Offer { node: NodeName },
    /// What it runs is bad: never dispatch it again.
    MarkBad { content: Digest, why: String },
    /// Something worth telling happened; it is the newest evidence.
    Tell { what: String, message: String },
}

/// Why an operator's wish is refused; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    #[error("the rollout is {phase}; it cannot be {wish} now")]
    Phase { phase: &'static str, wish: &'static str },
    #[error("the plan is {found} now, not {named}: nodes came or went since. Look at it again")]
    OtherPlan { found: Digest, named: Digest },
    #[error(
        "the revision names nothing to fall back to; apply a newer revision, or remove the policy"
    )]
    NothingToFallBackTo,
    #[error("no node failed")]
    NothingFailed,
    #[error("the wave is still being given out; pause or cancel it, or wait")]
    StillDispatching,
}
