//! One rollout as it stands: who has what, which wave, what happened. Plain data, and questions that change nothing.
//! Refuses to know how it got there.

use super::gate::{Gate, Sample};
pub use super::phase::{BlockedOn, PauseReason, Phase, Stage};

use super::plan::RolloutPlan;
use super::units::Share;
use crate::ids::{NodeName, PolicyName};
use crate::policy::{ApprovalRule, InterfaceMatch, PolicyRevision};
use crate::selector::Labels;
use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_artifact::hook::Hook;
use std::collections::{BTreeMap, BTreeSet};

/// Evidence kept of one rollout: a pause an hour for a week, and as much again.
pub const EVIDENCE_MAX: usize = 336;
/// Samples kept with one piece of evidence: what fits on a screen.
pub const SAMPLES_SHOWN_MAX: usize = 16;

/// What a node has of a policy: a revision, or the fallback signed into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    pub revision: u64,
    /// Whether the node runs what the revision allows instead of its own programs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fallback: bool,
}

/// A rollout of one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    pub policy: PolicyName,
    /// The revision that is rolled out.
    pub to: u64,
    /// What nodes outside the reached waves have; absent for the first revision.
    pub from: Option<Held>,
    /// Digest of the revision's signed bytes: what approvals name.
    pub revision: Digest,
    /// Digest of what it runs, numbers aside: what is remembered as bad.
    pub content: Digest,
    pub hook: Hook,
    pub interfaces: InterfaceMatch,
    pub plan: RolloutPlan,
    pub approval: Option<ApprovalRule>,
    /// Whether the revision names what may run instead.
    pub reversible: bool,
    pub targets: BTreeMap<NodeName, Target>,
    pub phase: Phase,
    /// When the phase, or the stage of its wave, began.
    pub since: i64,
    /// When anything last changed: time never runs backwards here, whatever a server's clock does.
    pub clock: i64,
    /// When somebody started it.
    pub started_at: Option<i64>,
    /// The last wave that nodes were given.
    pub reached: Option<usize>,
    /// Ids of the keys that approved, by wave.
    pub approvals: BTreeMap<String, BTreeSet<String>>,
    /// Who let it pass freezes, windows and the list of what is known to be bad, and why.
    pub glass: Option<Because>,
    pub blocked_on: BlockedOn,
    pub evidence: Vec<Evidence>,
}

/// Who did something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    pub by: String,
    pub why: String,
}

/// One node of the rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub wave: usize,
    /// Value of the label that its wave's failure domain goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    pub class: String,
    /// What it had when the rollout began; nothing when it had nothing of the policy.
    pub before: Option<Held>,
    pub state: TargetState,
    /// How often it was told to try again.
    #[serde(default)]
    pub attempt: u32,
    /// Not heard of for longer than the server allows: unknown, which is neither good nor bad.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
}

/// How far one node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum TargetState {
    /// Has what it had.
    Waiting,
    /// Failed before and waits for its turn once more; it keeps being offered the revision.
    Again,
    /// Offered the revision, not confirmed yet: in flight.
    Dispatched {
        at: i64,
    },
    Applied {
        at: i64,
    },
    /// Refused it, or could not run it; what ran before runs on.
    Failed {
        at: i64,
        code: String,
        message: String,
        /// An operator went on all the same.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        excused: bool,
    },
    /// Was not heard of until the end; gets the revision when it comes back, as whoever joins then.
    Owed,
    /// Offered what the revision falls back to.
    Reverting {
        at: i64,
    },
    Reverted {
        at: i64,
    },
}

/// What was seen when something was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    pub at: i64,
    /// Name of the wave, while one was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    /// Stable word for programs: `paused`, `gate-failed`, …
    pub what: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

impl TargetState {
    /// Whether the node was ever offered the revision.
    #[must_use]
    pub fn touched(&self) -> bool {
        !matches!(self, Self::Waiting)
    }

    /// Whether the node may be between two versions now.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        matches!(self, Self::Dispatched { .. })
    }
}

impl Rollout {
    /// A rollout of a signed revision, before anything is known of nodes. `None` when it signs no plan.
    #[must_use]
    pub fn draft(
        revision: &PolicyRevision,
        payload: Digest,
        from: Option<Held>,
        now: i64,
    ) -> Option<Self> {
        let plan = revision.rollout.clone()?;
        Some(Self {
            policy: revision.name.clone(),
            to: revision.revision,
            from,
            revision: payload,
            content: content(revision),
            hook: revision.attach.hook,
            interfaces: revision.attach.interfaces.clone(),
            plan,
            approval: revision.approval.clone(),
            reversible: revision.fallback.is_some(),
            targets: BTreeMap::new(),
            phase: Phase::Draft,
            since: now,
            clock: now,
            started_at: None,
            reached: None,
            approvals: BTreeMap::new(),
            glass: None,
            blocked_on: BlockedOn::Plan,
            evidence: Vec::new(),
        })
    }

    /// What a node must have of the policy now. This alone decides what it is offered.
    #[must_use]
    pub fn holds(&self, node: &NodeName) -> Option<Held> {
        let target = self.targets.get(node)?;
        match target.state {
            TargetState::Waiting => target.before,
            TargetState::Reverting { .. } | TargetState::Reverted { .. } => {
                Some(Held { revision: self.to, fallback: true })
            }
            _ => Some(Held { revision: self.to, fallback: false }),
        }
    }

    /// What a node that the rollout does not know has: it is over, and this one came later.
    #[must_use]
    pub fn newcomer(&self, node: &NodeName, labels: &Labels) -> Option<Held> {
        let new = Some(Held { revision: self.to, fallback: false });
        let wave = self.plan.wave_of(&self.policy, self.to, node, labels);
        match self.phase {
            Phase::Succeeded => new,
            Phase::RolledBack { .. } | Phase::RollingBack { .. } => self.from,
            _ if self.reached.is_some_and(|reached| wave <= reached) && self.phase.is_final() => {
                new
            }
            _ => self.from,
        }
    }

    /// Nodes that may be between two versions.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.targets.values().filter(|target| target.state.in_flight()).count()
    }

    /// How many nodes may be in flight or failed at any instant.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.plan.limits.unavailable.floor_of(self.targets.len()).max(1)
    }

    /// The share of a wave's nodes that must run the revision: what the plan asks, else all.
    #[must_use]
    pub fn applied_at_least(&self) -> Share {
        let asked = self.plan.gates.iter().filter_map(|gate| match gate {
            Gate::Applied { at_least } => Some(*at_least),
            _ => None,
        });
        asked.max().unwrap_or(Share::ALL)
    }

    /// The name of a wave.
    #[must_use]
    pub fn wave_name(&self, wave: usize) -> &str {
        self.plan.waves.get(wave).map_or("", |wave| wave.name.as_str())
    }

    /// When the present state ends by itself if nothing else happens; `None` when it is final.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        let secs = match &self.phase {
            Phase::Draft
            | Phase::Planned { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Paused { .. } => super::advance::PATIENCE_SECS,
            Phase::Running { stage: Stage::Dispatch | Stage::Converge, .. }
            | Phase::RollingBack { .. } => self.plan.converge.signed(),
            Phase::Running { stage: Stage::Bake, .. } => self.plan.bake.min.signed(),
            // The gate stage begins when the least bake is over.
            Phase::Running { stage: Stage::Gate, .. } => {
                self.plan.bake.max.signed().saturating_sub(self.plan.bake.min.signed())
            }
            _ => return None,
        };
        let waits_until = match &self.blocked_on {
            BlockedOn::Window { opens_at } => *opens_at,
            BlockedOn::Freeze { until, .. } => *until,
            _ => self.since,
        };
        Some(waits_until.max(self.since).saturating_add(secs))
    }

    /// What the operator confirms when the rollout is started: the revision and who gets it when.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let mut lines = format!("skep rollout\n{}\n{}\n{}\n", self.policy, self.to, self.revision);
        for (node, target) in &self.targets {
            lines.push_str(&format!("{} {node}\n", target.wave));
        }
        Digest::of(lines.as_bytes())
    }

    pub(super) fn keep(&mut self, what: &str, message: String, samples: &[Sample]) {
        if self.evidence.len() >= EVIDENCE_MAX {
            self.evidence.remove(0);
        }
        let wave = self.phase.wave().map(|wave| self.wave_name(wave).to_owned());
        let samples = samples.iter().take(SAMPLES_SHOWN_MAX).cloned().collect();
        let at = self.clock;
        self.evidence.push(Evidence { at, wave, what: what.to_owned(), message, samples });
    }
}

/// What a revision runs, whatever its number: the same bad version signed once more is the same.
#[must_use]
pub fn content(revision: &PolicyRevision) -> Digest {
    let what = (&revision.attach, &revision.programs);
    serde_json::to_vec(&what).map_or_else(|_| Digest::of(b""), |bytes| Digest::of(&bytes))
}
