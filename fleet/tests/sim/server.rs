//! A server: hears nodes, drives rollouts while it holds the lease, and may die between any two of its steps. Refuses to
//! decide what a step means: that is `skep_fleet::rollout::step`.

use crate::agent::{Offer, Word};
use crate::database::{Database, Wanted};
use skep_fleet::rollout::event::{Joining, Measured, Said, Seen, Surroundings};
use skep_fleet::rollout::gate::Observations;
use skep_fleet::rollout::{
    Effect, Event, Held, Member, Phase, Rollout, Sample, StepError, TargetState, claims, step,
};
use skep_fleet::{NodeName, PolicyRevision};
use std::collections::BTreeMap;

/// Seconds of silence after which a node is unknown.
const SILENT_SECS: i64 = 60;
/// How long a driver drives without renewing its lease.
const LEASE_SECS: i64 = 20;

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) number: usize,
    pub(crate) down_until: i64,
    pub(crate) started_at: i64,
    /// How far its clock is off.
    pub(crate) skew: i64,
    /// The last word of every node, and when: lost with the process.
    pub(crate) heard: BTreeMap<NodeName, (Word, i64)>,
}

/// A change that is ready to be written, based on a version of the database.
pub(crate) struct Change {
    based_on: u64,
    policy: usize,
    event: Event,
    at: i64,
    next: Rollout,
    effects: Vec<Effect>,
}

impl Server {
    pub(crate) fn crash(&mut self, now: i64, for_secs: i64) {
        self.heard.clear();
        self.down_until = now + for_secs;
        self.started_at = self.down_until;
    }

    pub(crate) fn hear(&mut self, word: Word, now: i64) {
        let newer =
            self.heard.get(&word.node).is_none_or(|(old, _)| old.generation <= word.generation);
        if newer {
            self.heard.insert(word.node.clone(), (word, now));
        }
    }

    /// Takes or renews the lease by its own clock; another holder that does not renew loses it.
    pub(crate) fn leads(&self, database: &mut Database, now: i64) -> bool {
        let here = now + self.skew;
        match database.lease {
            Some((holder, until)) if holder != self.number && here < until => false,
            _ => {
                database.lease = Some((self.number, here + LEASE_SECS));
                true
            }
        }
    }

    /// What it would write, seeing the database as it is now.
    pub(crate) fn prepare(
        &self,
        database: &Database,
        policy: usize,
        event: Event,
        now: i64,
    ) -> Result<Option<Change>, StepError> {
        let state = &database.rollouts[policy].state;
        let at = now + self.skew;
        let (next, effects) = step(state, &event, at)?;
        let changed = next != *state || effects.iter().any(|e| matches!(e, Effect::MarkBad { .. }));
        Ok(changed.then_some(Change {
            based_on: database.version,
            policy,
            event,
            at,
            next,
            effects,
        }))
    }

    /// Writes it, unless somebody wrote in between.
    pub(crate) fn commit(&self, database: &mut Database, change: Change) -> bool {
        if database.version != change.based_on {
            return false;
        }
        database.version += 1;
        let kept = &mut database.rollouts[change.policy];
        kept.events.push((change.event, change.at));
        kept.state = change.next;
        for effect in change.effects {
            if let Effect::MarkBad { content, .. } = effect {
                database.bad.insert(content);
            }
        }
        want(database);
        true
    }

    /// Everything the driver of a rollout learned since.
    pub(crate) fn news(&self, database: &Database, policy: usize, now: i64) -> Vec<Event> {
        let state = &database.rollouts[policy].state;
        if state.phase.is_final() {
            return Vec::new();
        }
        let seen: Vec<Seen> = state
            .targets
            .keys()
            .filter_map(|node| self.said(database, policy, node, now))
            .collect();
        let mut events = Vec::new();
        if !seen.is_empty() {
            events.push(Event::Seen { nodes: seen });
        }
        if let Phase::Running { wave, .. } = state.phase {
            let seen = self.observed(state, policy);
            events.push(Event::Measured(Measured { wave, seen }));
        }
        let others = database.rollouts.iter().map(|kept| &kept.state);
        let held = claims::held_by_others(state, others);
        let known_bad = database.bad.contains(&state.content);
        events.push(Event::Tick(Surroundings { held, known_bad, ..Surroundings::default() }));
        events
    }

    fn said(&self, database: &Database, policy: usize, node: &NodeName, now: i64) -> Option<Seen> {
        let target = database.rollouts[policy].state.targets.get(node)?;
        let wanted = database.wanted.get(node)?;
        let said = match self.heard.get(node) {
            // After a start nobody is silent before they had the time to call.
            None if now - self.started_at < SILENT_SECS => return None,
            Some((_, at)) if now - at < SILENT_SECS => {
                let (word, _) = self.heard.get(node)?;
                // A word about an older state says nothing about this one.
                if word.generation != wanted.generation {
                    Said::Busy
                } else {
                    word.said.get(&policy).cloned().unwrap_or(Said::Busy)
                }
            }
            _ => Said::Silent,
        };
        let news = match &said {
            Said::Silent => !target.silent,
            Said::Busy => target.silent,
            _ => {
                let settled = matches!(
                    target.state,
                    TargetState::Applied { .. }
                        | TargetState::Reverted { .. }
                        | TargetState::Waiting
                );
                target.silent || !settled || matches!(said, Said::Refuses { .. })
            }
        };
        news.then(|| Seen { node: node.clone(), said })
    }

    fn observed(&self, state: &Rollout, policy: usize) -> Observations {
        let sample = |node: &NodeName| {
            let (word, _) = self.heard.get(node)?;
            let (packets, dropped) = *word.counted.get(&policy)?;
            let member = "m".parse().unwrap();
            Some(Sample { node: node.clone(), member, packets, dropped, ns: 0, timed: 0 })
        };
        let of = |wanted: fn(&TargetState) -> bool| {
            let nodes = state.targets.iter().filter(|(_, target)| wanted(&target.state));
            nodes.filter_map(|(node, _)| sample(node)).collect()
        };
        Observations {
            treated: of(|state| matches!(state, TargetState::Applied { .. })),
            untreated: of(|state| matches!(state, TargetState::Waiting)),
            before: Vec::new(),
            values: Vec::new(),
        }
    }
}

/// What every node is wanted to have, by the rollouts alone. A node whose wish changed gets the next number.
pub(crate) fn want(database: &mut Database) {
    let mut has: BTreeMap<NodeName, BTreeMap<usize, (Held, u32)>> = BTreeMap::new();
    for (policy, kept) in database.rollouts.iter().enumerate() {
        for (node, target) in &kept.state.targets {
            if let Some(held) = kept.state.holds(node) {
                has.entry(node.clone()).or_default().insert(policy, (held, target.attempt));
            }
        }
    }
    for (node, has) in has {
        let wanted = database.wanted.entry(node).or_default();
        if wanted.has != has {
            wanted.generation.0 += 1;
            wanted.has = has;
        }
    }
}

pub(crate) fn offer(wanted: &Wanted) -> Offer {
    let has = wanted.has.iter().map(|(policy, (held, _))| (*policy, *held)).collect();
    Offer { generation: wanted.generation, has }
}

/// A rollout whose nodes are looked up, ready to be started.
pub(crate) fn planned(
    revision: &PolicyRevision,
    members: &[Member],
    before: Option<Held>,
    now: i64,
) -> (Rollout, Event) {
    let payload = skep_artifact::digest::Digest::of(&revision.to_json().unwrap());
    let draft = Rollout::draft(revision, payload, before, now).unwrap();
    let nodes = members.iter().map(|member| Joining { member: member.clone(), before }).collect();
    (draft, Event::Plan { nodes })
}
