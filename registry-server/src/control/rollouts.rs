//! Rollouts of this fleet: what happens to one is decided by `skep_fleet`, written together with what it changes on nodes,
//! and then told to them. Refuses to watch nodes (that is the driver) and to decide what a step means.

use super::offers::HeldPolicy;
use super::{ATTEMPTS_MAX, ControlError, Fleet, change, write};
use crate::clock;
use crate::live::{Desired, Node};
use crate::store::StoreError;
use crate::store::fleet_clock::FleetStamp;
use crate::store::nodes::WantedChange;
use crate::store::policies::StoredPolicy;
use crate::store::rollouts::{RolloutWrite, StoredRollout};
use skep_api::v1::nodes::NodeSummary;
use skep_artifact::digest::Digest;
use skep_fleet::ids::{NodeName, PolicyName};
use skep_fleet::policy::PolicyRevision;
use skep_fleet::rollout::event::Joining;
use skep_fleet::rollout::{Effect, Event, Held, Member, Phase, Rollout, StepError, claims, step};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Earlier revisions kept of a policy: nodes of this many rollouts that were superseded half way keep what they have; one
/// that lags behind more is offered the newest.
const EARLIER_MAX: usize = 16;

/// How often it is kept what a gate says that is not decided, in seconds: as often as agents report counters.
const UNDECIDED_SECS: i64 = 5;

/// Why a rollout did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    #[error(
        "there is no rollout of revision {revision} of policy {policy}, or a newer one took over"
    )]
    NoSuch { policy: PolicyName, revision: u64 },
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(
        "the rollout of policy {policy} is at work on node {node}; it cannot go back there now"
    )]
    InTheWay { node: NodeName, policy: PolicyName },
}

impl Fleet {
    /// Rollouts of the newest revisions, as this server knows them.
    #[must_use]
    pub fn newest_rollouts(&self) -> Vec<Rollout> {
        let policies = self.policies();
        policies.values().filter_map(|held| held.rollout().cloned()).collect()
    }

    /// Every rollout that is kept, the newest of each policy first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn every_rollout(&self) -> Result<Vec<Rollout>, StoreError> {
        let stored = self.store.rollouts().await?;
        Ok(stored.into_iter().map(|rollout| rollout.state).collect())
    }

    /// Lets something happen to a rollout: `events` says what, seeing how it stands now.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn change_rollout(
        &self,
        policy: &PolicyName,
        revision: u64,
        events: &(dyn Fn(&Rollout) -> Vec<Event> + Sync),
    ) -> Result<Rollout, ControlError> {
        let mut stamp = self.changing.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            self.catch_up(&mut stamp).await?;
            match self.try_change_rollout(policy, revision, events, &mut stamp).await {
                Err(ControlError::Store(StoreError::Moved)) => {}
                changed => return changed,
            }
        }
        Err(StoreError::Moved.into())
    }

    async fn try_change_rollout(
        &self,
        policy: &PolicyName,
        revision: u64,
        events: &(dyn Fn(&Rollout) -> Vec<Event> + Sync),
        stamp: &mut FleetStamp,
    ) -> Result<Rollout, ControlError> {
        let mut policies = self.policies().clone();
        let held = policies.get(policy).cloned();
        let of_it = |held: &Arc<HeldPolicy>| held.stored.rollout.clone();
        let before = held.as_ref().and_then(of_it).filter(|found| found.state.to == revision);
        let (Some(held), Some(before)) = (held, before) else {
            let policy = policy.clone();
            return Err(RolloutError::NoSuch { policy, revision }.into());
        };
        let mut write_down = RolloutWrite { rollout: before, events: Vec::new(), bad: None };
        for event in events(&write_down.rollout.state) {
            self.refuse_in_the_way(&write_down.rollout.state, &event)?;
            happen(&mut write_down, event).map_err(RolloutError::Step)?;
        }
        let state = write_down.rollout.state.clone();
        if write_down.events.is_empty() {
            return Ok(state);
        }
        let rollout = Some(write_down.rollout.clone());
        let stored = StoredPolicy { rollout, ..held.stored.clone() };
        policies.insert(policy.clone(), held.with(stored));
        let wakes = self.wakes(&policies)?;
        let changes = changes_of(&wakes);
        let writes = std::slice::from_ref(&write_down);
        *stamp = self.store.put_wanted(None, writes, &changes, *stamp).await?;
        *write(&self.policies) = policies;
        for (node, desired) in wakes {
            node.want(desired);
        }
        Ok(state)
    }

    /// A rollout that is over goes back only where no other is at work.
    fn refuse_in_the_way(&self, it: &Rollout, event: &Event) -> Result<(), RolloutError> {
        if !matches!(event, Event::Rollback { .. }) || !it.phase.is_final() {
            return Ok(());
        }
        match claims::in_the_way(it, &self.newest_rollouts()) {
            Some((node, policy)) => Err(RolloutError::InTheWay { node, policy }),
            None => Ok(()),
        }
    }

    /// What a new revision of a policy brings with it: its own rollout, the end of the last one's, and the revisions
    /// that nodes have meanwhile. Whoever applies a revision in waves saw them and starts it.
    pub(super) fn with_rollout(
        &self,
        stored: StoredPolicy,
        payload: Digest,
        before: Option<&Arc<HeldPolicy>>,
    ) -> Result<(StoredPolicy, Vec<RolloutWrite>), ControlError> {
        let mut writes = Vec::new();
        if let Some(before) = before {
            writes.extend(superseded(before, stored.revision.revision)?);
        }
        let from = before.and_then(|before| before.newcomers_have());
        let Some(first) = Rollout::draft(&stored.revision, payload, from, stored.applied_at) else {
            return Ok((stored, writes));
        };
        let nodes = self.joining(&stored.revision, before);
        let rollout = StoredRollout { state: first.clone(), first, events: 0 };
        let mut begun = RolloutWrite { rollout, events: Vec::new(), bad: None };
        let start = Event::Start { by: stored.applied_by.clone(), hash: None, glass: None };
        for event in [Event::Plan { nodes }, start] {
            happen(&mut begun, event).map_err(RolloutError::Step)?;
        }
        let rollout = begun.rollout.clone();
        writes.push(begun);
        let earlier = before.map(|before| still_held(before, &rollout.state)).unwrap_or_default();
        Ok((StoredPolicy { rollout: Some(rollout), earlier, ..stored }, writes))
    }

    /// Nodes that a revision is for, with what each has of the policy.
    fn joining(&self, revision: &PolicyRevision, before: Option<&Arc<HeldPolicy>>) -> Vec<Joining> {
        let roster = self.roster();
        let meant = roster.by_name.values().filter(|node| revision.nodes.matches(&node.labels));
        let joining = meant.map(|node| Joining {
            member: member(node),
            before: before.and_then(|before| {
                let knows = before.concerns(&node.labels)
                    || node.desired().offer.policies.contains(&revision.name);
                let choice = knows.then(|| before.choice(&node.name, &node.labels)).flatten();
                choice.map(|choice| choice.has)
            }),
        });
        joining.collect()
    }

    /// Nodes that the selector of a rollout's revision means and that the rollout does not know.
    #[must_use]
    pub fn joining_now(&self, it: &Rollout) -> Vec<Joining> {
        let Some(held) = self.policies().get(&it.policy).cloned() else { return Vec::new() };
        let roster = self.roster();
        let unknown = roster
            .by_name
            .values()
            .filter(|node| !it.targets.contains_key(&node.name) && held.concerns(&node.labels));
        let joining = unknown.map(|node| Joining {
            member: member(node),
            before: it.newcomer(&node.name, &node.labels),
        });
        joining.collect()
    }

    /// Ids of the keys that approved each wave of a rollout, as they claim. Nodes verify them.
    #[must_use]
    pub fn approved_waves(&self, it: &Rollout) -> BTreeMap<String, BTreeSet<String>> {
        let mut waves: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for approval in &self.held().approvals {
            let info = &approval.info;
            if info.policy == it.policy.as_str() && info.revision == it.revision {
                let keys = waves.entry(info.wave.clone()).or_default();
                keys.extend(info.signed_by.iter().cloned());
            }
        }
        waves
    }

    /// A node by its name.
    #[must_use]
    pub fn node_named(&self, name: &NodeName) -> Option<Arc<Node>> {
        self.roster().by_name.get(name).cloned()
    }

    /// How a node is doing.
    #[must_use]
    pub fn summary_of(&self, node: &Node) -> NodeSummary {
        node.summary(self.started_at, clock::now())
    }

    /// Whether a rollout that is not over looks at a node.
    pub(super) fn is_watched(&self, node: &NodeName) -> bool {
        let watches = |it: &Rollout| !it.phase.is_final() && it.targets.contains_key(node);
        self.policies().values().filter_map(|held| held.rollout()).any(watches)
    }
}

fn member(node: &Node) -> Member {
    let (name, labels) = (node.name.clone(), node.labels.clone());
    Member { name, labels, class: node.kernel_class() }
}

/// Revisions before a rollout that some node has until the rollout reaches it.
fn still_held(before: &Arc<HeldPolicy>, it: &Rollout) -> Vec<StoredPolicy> {
    let has = it.targets.keys().filter_map(|node| it.holds(node)).chain(it.from);
    let numbers: BTreeSet<u64> = has.map(|held| held.revision).collect();
    let (rollout, none) = (None, Vec::new());
    let newest = StoredPolicy { rollout, earlier: none, ..before.stored.clone() };
    let mut held: Vec<StoredPolicy> =
        before.stored.earlier.iter().cloned().chain([newest]).collect();
    held.retain(|earlier| numbers.contains(&earlier.revision.revision));
    held.drain(..held.len().saturating_sub(EARLIER_MAX));
    held
}

/// Takes one step and remembers it, if anything came of it.
fn happen(write_down: &mut RolloutWrite, event: Event) -> Result<(), StepError> {
    let now = clock::now();
    let (next, effects) = step(&write_down.rollout.state, &event, now)?;
    if is_more_of_the_same(&write_down.rollout.state, &next, &event) {
        return Ok(());
    }
    for effect in &effects {
        match effect {
            Effect::MarkBad { why, .. } => write_down.bad = Some(why.clone()),
            Effect::Tell { what, message } => tell(&next, what, message),
            Effect::Offer { .. } => {}
        }
    }
    if next != write_down.rollout.state {
        write_down.rollout.state = next;
        write_down.rollout.events += 1;
        write_down.events.push((event, now));
    }
    Ok(())
}

/// Whether a gate that is not decided says nothing but another number, a moment after it said the last.
fn is_more_of_the_same(before: &Rollout, after: &Rollout, event: &Event) -> bool {
    let young = after.clock.saturating_sub(before.clock) < UNDECIDED_SECS;
    let measured = matches!(event, Event::Measured(_)) && young;
    measured && before.evidence.len() == after.evidence.len() && before.phase == after.phase
}

fn tell(it: &Rollout, what: &str, message: &str) {
    let (policy, revision) = (&it.policy, it.to);
    match what {
        "gate-failed" | "rolling-back" | "paused" => tracing::warn!(
            %policy, revision, what, "the rollout of {policy} r{revision}: {message}"
        ),
        _ => tracing::info!(
            %policy, revision, what, "the rollout of {policy} r{revision}: {message}"
        ),
    }
}

/// The end of a rollout that a newer revision takes over from.
fn superseded(before: &Arc<HeldPolicy>, by: u64) -> Result<Option<RolloutWrite>, ControlError> {
    let running = before.stored.rollout.clone().filter(|found| !found.state.phase.is_final());
    let Some(rollout) = running else { return Ok(None) };
    let mut write_down = RolloutWrite { rollout, events: Vec::new(), bad: None };
    happen(&mut write_down, Event::Supersede { by }).map_err(RolloutError::Step)?;
    Ok(Some(write_down))
}

pub(super) fn changes_of(wakes: &[(Arc<Node>, Desired)]) -> Vec<WantedChange> {
    let of = |(node, desired): &(Arc<Node>, Desired)| {
        change(&node.name, desired.generation, &desired.offer)
    };
    wakes.iter().map(of).collect()
}

impl HeldPolicy {
    /// The rollout of this very revision.
    pub(super) fn rollout(&self) -> Option<&Rollout> {
        self.stored.rollout.as_ref().map(|rollout| &rollout.state)
    }

    /// What a node that comes now has of the policy, if no later revision is rolled out.
    pub(super) fn newcomers_have(&self) -> Option<Held> {
        let newest = Held { revision: self.stored.revision.revision, fallback: false };
        match self.rollout() {
            None => Some(newest),
            Some(rollout) if rollout.phase == Phase::Succeeded => Some(newest),
            Some(rollout) => rollout.from,
        }
    }

    /// How many waves it goes in; 0 when it goes to all at once.
    pub(super) fn waves(&self) -> usize {
        self.rollout().map_or(0, |rollout| rollout.plan.waves.len())
    }

    /// Whether its rollout went back, or is on its way.
    pub(super) fn went_back(&self) -> bool {
        let back =
            |it: &Rollout| matches!(it.phase, Phase::RollingBack { .. } | Phase::RolledBack { .. });
        self.rollout().is_some_and(back)
    }

    /// The lowest revision that some node may still have, while that is not the newest; 0 for none at all.
    pub(super) fn lowest(&self) -> Option<u64> {
        let rollout = self.rollout().filter(|rollout| rollout.phase != Phase::Succeeded)?;
        let has = rollout.targets.keys().map(|node| rollout.holds(node));
        has.chain([rollout.from]).map(|held| held.map_or(0, |held| held.revision)).min()
    }
}
