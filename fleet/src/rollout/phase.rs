//! Where a rollout stands, why it stands still, and what it waits for. Refuses to know which nodes it has.

use crate::ids::NodeName;
use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Phase {
    /// Made, and not looked at yet which nodes it is for.
    Draft,
    /// The plan stands; whoever starts it names this hash of it.
    Planned {
        hash: Digest,
    },
    AwaitingApproval {
        wave: usize,
    },
    Running {
        wave: usize,
        stage: Stage,
    },
    Paused {
        reason: PauseReason,
        why: String,
        wave: usize,
        stage: Stage,
    },
    RollingBack {
        why: String,
    },
    Succeeded,
    RolledBack {
        why: String,
    },
    Cancelled {
        why: String,
    },
    Superseded {
        by: u64,
    },
}

/// What a wave does. Each follows the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Nodes are offered the revision.
    Dispatch,
    /// All were; they are waited for.
    Converge,
    /// All run it; it is watched.
    Bake,
    /// Watched long enough; the gates are asked.
    Gate,
}

/// Why a rollout stands still until somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PauseReason {
    /// A person wanted it.
    Asked,
    /// A gate failed, or too many nodes did, and the strategy holds then.
    Failure,
    /// Failure, and the revision names nothing to go back to.
    NothingToFallBackTo,
    /// Nodes did not answer in time.
    ConvergeLate,
    /// The gates had no answer in time.
    GateUndecided,
    /// Nobody approved in time.
    ApprovalLate,
    /// What it runs was rolled back before.
    KnownBad,
    /// Nodes did not confirm in time that they went back.
    RollbackLate,
}

/// What a rollout waits for: of every state that is not final, never nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum BlockedOn {
    /// Final.
    Nothing,
    /// Its nodes must be looked up.
    Plan,
    Start,
    Approval {
        wave: String,
        have: usize,
        need: usize,
    },
    Window {
        opens_at: i64,
    },
    Freeze {
        name: String,
        until: i64,
        reason: String,
    },
    /// As many nodes as may are in flight or failed.
    Unavailable {
        now: usize,
        limit: usize,
    },
    Rate {
        until: i64,
    },
    /// Nodes that another rollout holds, or whose failure domain is busy.
    Others {
        nodes: Vec<NodeName>,
    },
    /// Nodes that have not confirmed.
    Nodes {
        waiting: usize,
        some: Vec<NodeName>,
    },
    Bake {
        until: i64,
    },
    Gate {
        gate: String,
        why: String,
    },
    /// Kernels on which nothing proved that it loads.
    Kernels {
        classes: Vec<String>,
    },
    Operator {
        why: String,
    },
}

impl Phase {
    /// Nothing happens by itself any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::RolledBack { .. }
                | Self::Cancelled { .. }
                | Self::Superseded { .. }
        )
    }

    /// The phase in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Planned { .. } => "planned",
            Self::AwaitingApproval { .. } => "awaiting approval",
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::RollingBack { .. } => "rolling back",
            Self::Succeeded => "succeeded",
            Self::RolledBack { .. } => "rolled back",
            Self::Cancelled { .. } => "cancelled",
            Self::Superseded { .. } => "superseded",
        }
    }

    /// The wave under way.
    #[must_use]
    pub fn wave(&self) -> Option<usize> {
        match self {
            Self::AwaitingApproval { wave }
            | Self::Running { wave, .. }
            | Self::Paused { wave, .. } => Some(*wave),
            _ => None,
        }
    }
}
