//! What a rollout waits for, in a form that programs read: no state may stand still without saying why. Refuses to
//! change anything.

use super::advance::asks_for_data;
use super::event::Surroundings;
use super::state::{BlockedOn, Phase, Rollout, Stage, Target, TargetState};
use super::strategy::FreezeRule;
use super::window;
use crate::ids::NodeName;
use std::collections::BTreeSet;

/// Nodes named where many are waited for: a person looks at the first few.
const NAMED_MAX: usize = 10;
const MINUTE: i64 = 60;

pub(super) fn blocked_on(it: &Rollout, around: &Surroundings, now: i64) -> BlockedOn {
    match &it.phase {
        Phase::Draft => BlockedOn::Plan,
        Phase::Planned { .. } => BlockedOn::Start,
        Phase::AwaitingApproval { wave } => match approvals_lack(it, *wave) {
            Some(Lack { wave, have, need }) => BlockedOn::Approval { wave, have, need },
            None => BlockedOn::Start,
        },
        Phase::Running { wave, stage: Stage::Dispatch } => {
            held_back(it, *wave, around, now).unwrap_or_else(|| unconfirmed(it, *wave))
        }
        Phase::Running { wave, stage: Stage::Converge } => unconfirmed(it, *wave),
        Phase::Running { stage: Stage::Bake, .. } => {
            BlockedOn::Bake { until: it.deadline().unwrap_or(now) }
        }
        Phase::Running { wave, stage: Stage::Gate } => gate(it, *wave, around),
        Phase::Paused { why, .. } => BlockedOn::Operator { why: why.clone() },
        Phase::RollingBack { .. } => {
            let reverts = |t: &Target| matches!(t.state, TargetState::Reverting { .. });
            nodes(it.targets.iter().filter(|(_, t)| reverts(t)).map(|(node, _)| node))
        }
        _ => BlockedOn::Nothing,
    }
}

/// A wave that lacks approvals.
pub(super) struct Lack {
    pub(super) wave: String,
    pub(super) have: usize,
    pub(super) need: usize,
}

/// The first of the waves up to this one that was not approved by enough operators.
pub(super) fn approvals_lack(it: &Rollout, wave: usize) -> Option<Lack> {
    let rule = it.approval.as_ref()?;
    let need = usize::try_from(rule.by).unwrap_or(usize::MAX).max(1);
    let have = |wave: &str| it.approvals.get(wave).map_or(0, BTreeSet::len);
    let lacking = it.plan.asking(rule, wave).into_iter().find(|wave| have(wave) < need)?;
    Some(Lack { wave: lacking.to_owned(), have: have(lacking), need })
}

/// Kernels of the rollout on which nothing proved that it loads.
pub(super) fn kernels_lack(it: &Rollout, proven: &BTreeSet<String>) -> Vec<String> {
    let all: BTreeSet<&String> = it.targets.values().map(|target| &target.class).collect();
    let applied = |target: &&Target| matches!(target.state, TargetState::Applied { .. });
    let here: BTreeSet<&String> =
        it.targets.values().filter(applied).map(|target| &target.class).collect();
    let lacks = |class: &&&String| {
        !class.is_empty() && !here.contains(**class) && !proven.contains(**class)
    };
    all.iter().filter(lacks).map(|class| (*class).clone()).collect()
}

/// Nodes in flight and nodes that failed: what the limit counts.
pub(super) fn unavailable(it: &Rollout) -> usize {
    let counts = |target: &&Target| {
        target.state.in_flight()
            || matches!(target.state, TargetState::Failed { excused: false, .. })
    };
    it.targets.values().filter(counts).count()
}

/// When each node was offered the revision, of those to whom it was after `from`.
pub(super) fn given_out_since(it: &Rollout, from: i64) -> Vec<i64> {
    let at = |target: &Target| match target.state {
        TargetState::Dispatched { at }
        | TargetState::Applied { at }
        | TargetState::Failed { at, .. } => Some(at),
        _ => None,
    };
    it.targets.values().filter_map(at).filter(|at| *at > from).collect()
}

/// Why nodes of a wave that wait are not given the revision now.
fn held_back(it: &Rollout, wave: usize, around: &Surroundings, now: i64) -> Option<BlockedOn> {
    let waits = |t: &Target| matches!(t.state, TargetState::Waiting | TargetState::Again);
    let waiting = || it.targets.iter().filter(|(_, t)| t.wave <= wave && waits(t));
    waiting().next()?;
    if it.glass.is_none() {
        if let Some(opens_at) = window::opens_at(&it.plan.windows, now) {
            return Some(BlockedOn::Window { opens_at });
        }
        let freeze = window::frozen(&around.freezes, it.policy.as_str(), now);
        if let Some(freeze) = freeze.filter(|_| it.plan.freeze == FreezeRule::Honours) {
            let (name, reason, until) = (freeze.name, freeze.reason, freeze.until.0);
            return Some(BlockedOn::Freeze { name, until, reason });
        }
    }
    let (unavailable, limit) = (unavailable(it), it.limit());
    if unavailable >= limit {
        return Some(BlockedOn::Unavailable { now: unavailable, limit });
    }
    let recent = given_out_since(it, now - MINUTE);
    if let Some(most) = it.plan.limits.per_minute
        && recent.len() >= most
    {
        let until = recent.into_iter().min().map_or(now, |oldest| oldest + MINUTE);
        return Some(BlockedOn::Rate { until });
    }
    let others: Vec<NodeName> = waiting()
        .filter(|(node, t)| !t.silent || around.held.contains(*node))
        .map(|(node, _)| node.clone())
        .take(NAMED_MAX)
        .collect();
    (!others.is_empty()).then_some(BlockedOn::Others { nodes: others })
}

fn unconfirmed(it: &Rollout, wave: usize) -> BlockedOn {
    let open = |t: &Target| {
        matches!(
            t.state,
            TargetState::Waiting | TargetState::Again | TargetState::Dispatched { .. }
        )
    };
    nodes(it.targets.iter().filter(|(_, t)| t.wave <= wave && open(t)).map(|(node, _)| node))
}

fn nodes<'a>(all: impl Iterator<Item = &'a NodeName>) -> BlockedOn {
    let all: Vec<&NodeName> = all.collect();
    let some = all.iter().take(NAMED_MAX).map(|node| (*node).clone()).collect();
    BlockedOn::Nodes { waiting: all.len(), some }
}

fn gate(it: &Rollout, wave: usize, around: &Surroundings) -> BlockedOn {
    if wave == 0 {
        let classes = kernels_lack(it, &around.proven);
        if !classes.is_empty() {
            return BlockedOn::Kernels { classes };
        }
    }
    match &it.blocked_on {
        known @ BlockedOn::Gate { .. } => known.clone(),
        _ => {
            let first = it.plan.gates.iter().find(|gate| asks_for_data(gate));
            let gate = first.map_or_else(String::new, ToString::to_string);
            BlockedOn::Gate { gate, why: "it was not asked yet".to_owned() }
        }
    }
}
