//! Rollouts on the wire: how far each is, what it waits for, what was seen; and what operators wish. Refuses to decide.

use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_fleet::rollout::gate::Gate;
use skep_fleet::rollout::{BlockedOn, Evidence, Freeze, Held, Phase, Rollout, TargetState};

/// Every rollout, the newest of each policy first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutList {
    pub rollouts: Vec<RolloutSummary>,
    /// Server time when this answer was made.
    pub now: i64,
}

/// One rollout in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutSummary {
    pub policy: String,
    pub revision: u64,
    /// What nodes have that were not reached: revision and whether it is its fallback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub from: Option<Held>,
    pub strategy: String,
    /// draft, planned, awaiting approval, running, paused, rolling back, succeeded, rolled back, cancelled, superseded.
    pub phase: String,
    /// Nothing happens by itself any more.
    pub is_final: bool,
    /// The wave under way, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    /// dispatch, converge, bake or gate, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    pub nodes: NodeCounts,
    /// What it waits for, for programs; never nothing before it is over.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub blocked_on: BlockedOn,
    /// The same in a sentence.
    pub waits_for: String,
    /// When it stops by itself if nothing else happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<i64>,
    pub since: i64,
}

/// Nodes by how far they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeCounts {
    pub all: usize,
    pub waiting: usize,
    pub in_flight: usize,
    pub applied: usize,
    pub failed: usize,
    pub reverting: usize,
    pub reverted: usize,
    /// Not heard of; they are counted above as well.
    pub silent: usize,
}

/// Everything about a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutDetail {
    pub summary: RolloutSummary,
    /// Over the revision and who gets it when.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: Digest,
    pub waves: Vec<WaveInfo>,
    /// In words.
    pub gates: Vec<String>,
    pub evidence: Vec<EvidenceInfo>,
    pub targets: Vec<TargetInfo>,
    pub now: i64,
}

/// One wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WaveInfo {
    pub name: String,
    pub nodes: NodeCounts,
    /// Operators that approved, and how many must; absent where none must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals_needed: Option<u32>,
}

/// What was seen when something was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvidenceInfo {
    pub at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    /// A stable word: started, wave, gate-passed, gate-failed, paused, rolling-back, …
    pub what: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<SampleInfo>,
}

/// What one member of one node counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SampleInfo {
    pub node: String,
    pub member: String,
    pub packets: u64,
    pub dropped: u64,
}

/// One node of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TargetInfo {
    pub node: String,
    pub wave: String,
    /// waiting, again, dispatched, applied, failed, owed, reverting, reverted.
    pub state: String,
    pub silent: bool,
    /// Why it failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What an operator wishes of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RolloutWish {
    pub wish: WishKind,
    #[serde(default)]
    pub why: String,
}

/// The wishes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WishKind {
    /// Nothing more is given out, at once.
    Pause,
    Resume,
    /// The next wave begins, whatever the gates say.
    Promote,
    /// Failed nodes try again.
    Retry,
    /// Nothing more is given out, for good; every node keeps what it has.
    Cancel,
    /// Every node goes back.
    Rollback,
    /// Freezes, windows and what is known to be bad do not count any more.
    BreakGlass,
}

/// Times in which rollouts stand still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FreezeList {
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub freezes: Vec<Freeze>,
}

/// Sets a freeze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetFreeze {
    /// The document, as `kind: Freeze` is written.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub freeze: Freeze,
}

impl NodeCounts {
    /// The counts over some nodes.
    fn over<'a>(targets: impl Iterator<Item = &'a skep_fleet::rollout::Target>) -> Self {
        let mut counts = Self::default();
        for target in targets {
            counts.all += 1;
            counts.silent += usize::from(target.silent);
            let place = match target.state {
                TargetState::Waiting | TargetState::Again | TargetState::Owed => {
                    &mut counts.waiting
                }
                TargetState::Dispatched { .. } => &mut counts.in_flight,
                TargetState::Applied { .. } => &mut counts.applied,
                TargetState::Failed { .. } => &mut counts.failed,
                TargetState::Reverting { .. } => &mut counts.reverting,
                TargetState::Reverted { .. } => &mut counts.reverted,
            };
            *place += 1;
        }
        counts
    }
}

impl From<&Rollout> for RolloutSummary {
    fn from(it: &Rollout) -> Self {
        let stage = match &it.phase {
            Phase::Running { stage, .. } => Some(word_of(stage)),
            _ => None,
        };
        Self {
            policy: it.policy.to_string(),
            revision: it.to,
            from: it.from,
            strategy: it.plan.strategy.clone(),
            phase: it.phase.word().to_owned(),
            is_final: it.phase.is_final(),
            wave: it.phase.wave().map(|wave| it.wave_name(wave).to_owned()),
            stage,
            nodes: NodeCounts::over(it.targets.values()),
            blocked_on: it.blocked_on.clone(),
            waits_for: waits_for(it),
            deadline: it.deadline(),
            since: it.since,
        }
    }
}

impl RolloutDetail {
    /// A rollout as it is shown at `now`.
    #[must_use]
    pub fn of(it: &Rollout, now: i64) -> Self {
        let waves = it.plan.waves.iter().enumerate().map(|(at, wave)| {
            let asks = it.approval.as_ref().filter(|rule| rule.before.contains(&wave.name));
            WaveInfo {
                name: wave.name.clone(),
                nodes: NodeCounts::over(it.targets.values().filter(|target| target.wave == at)),
                approved: asks.map(|_| it.approvals.get(&wave.name).map_or(0, |keys| keys.len())),
                approvals_needed: asks.map(|rule| rule.by),
            }
        });
        let targets = it.targets.iter().map(|(node, target)| TargetInfo {
            node: node.to_string(),
            wave: it.wave_name(target.wave).to_owned(),
            state: word_of_state(&target.state).to_owned(),
            silent: target.silent,
            message: match &target.state {
                TargetState::Failed { code, message, .. } => Some(format!("{message} ({code})")),
                _ => None,
            },
        });
        Self {
            summary: it.into(),
            hash: it.hash(),
            waves: waves.collect(),
            gates: it.plan.gates.iter().map(Gate::to_string).collect(),
            evidence: it.evidence.iter().map(EvidenceInfo::from).collect(),
            targets: targets.collect(),
            now,
        }
    }
}

impl From<&Evidence> for EvidenceInfo {
    fn from(it: &Evidence) -> Self {
        let sample = |sample: &skep_fleet::rollout::Sample| SampleInfo {
            node: sample.node.to_string(),
            member: sample.member.to_string(),
            packets: sample.packets,
            dropped: sample.dropped,
        };
        Self {
            at: it.at,
            wave: it.wave.clone(),
            what: it.what.clone(),
            message: it.message.clone(),
            samples: it.samples.iter().map(sample).collect(),
        }
    }
}

/// What a rollout waits for, in a sentence.
#[must_use]
pub fn waits_for(it: &Rollout) -> String {
    let names = |nodes: &[skep_fleet::NodeName]| {
        nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    match &it.blocked_on {
        BlockedOn::Nothing => String::new(),
        BlockedOn::Plan => "its nodes to be looked up".to_owned(),
        BlockedOn::Start => "the registry to begin".to_owned(),
        BlockedOn::Approval { wave, have, need } => format!(
            "{need} approvals of the wave {wave}, {have} are there: skep rollout approve {} --wave {wave}",
            it.policy
        ),
        BlockedOn::Window { .. } => "its window to open".to_owned(),
        BlockedOn::Freeze { name, reason, .. } => format!("the freeze {name} to end: {reason}"),
        BlockedOn::Unavailable { now, limit } => {
            format!("nodes that are in flight or failed: {now} are, {limit} may be")
        }
        BlockedOn::Rate { .. } => "the limit of nodes a minute".to_owned(),
        BlockedOn::Others { nodes } => {
            format!("nodes that another rollout or a busy domain holds: {}", names(nodes))
        }
        BlockedOn::Nodes { waiting, some } => format!("{waiting} nodes to answer: {}", names(some)),
        BlockedOn::Bake { .. } => "the bake to be over".to_owned(),
        BlockedOn::Gate { gate, why } => format!("the gate '{gate}': {why}"),
        BlockedOn::Kernels { classes } => {
            format!("proof that it loads on {}", classes.join(", "))
        }
        BlockedOn::Operator { why } => format!("an operator: {why}"),
    }
}

fn word_of<T: Serialize>(word: &T) -> String {
    let value = serde_json::to_value(word).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn word_of_state(state: &TargetState) -> &'static str {
    match state {
        TargetState::Waiting => "waiting",
        TargetState::Again => "again",
        TargetState::Dispatched { .. } => "dispatched",
        TargetState::Applied { .. } => "applied",
        TargetState::Failed { .. } => "failed",
        TargetState::Owed => "owed",
        TargetState::Reverting { .. } => "reverting",
        TargetState::Reverted { .. } => "reverted",
    }
}
