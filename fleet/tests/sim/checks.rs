//! What must hold after every step, whatever went wrong, and what must hold at rest. Each check names the promise of the
//! design it stands for.

use crate::world::World;
use skep_fleet::rollout::{BlockedOn, Held, Phase, Rollout, TargetState, replay};
use std::collections::BTreeSet;

#[track_caller]
fn promise(world: &World, number: u32, holds: bool, what: &str) {
    assert!(
        holds,
        "seed {}, second {}: promise {number} broken: {what}",
        world.seed,
        world.now - 1_000_000
    );
}

/// After every change of a rollout.
pub(crate) fn step(world: &World, policy: usize, before: &Rollout) {
    let after = &world.database.rollouts[policy].state;
    let forward = |it: &Rollout| it.in_flight();
    promise(world, 1, forward(after) <= after.limit(), "more nodes in flight than the limit");
    if !after.phase.is_final() {
        let says = after.blocked_on != BlockedOn::Nothing && after.deadline().is_some();
        promise(world, 3, says, &format!("{:?} says nothing", after.phase));
    }
    promise(world, 10, after.clock >= before.clock, "time ran backwards");
    let paused = |it: &Rollout| matches!(it.phase, Phase::Paused { .. });
    for (node, target) in &after.targets {
        let was = before.targets.get(node).map(|target| &target.state);
        let newly = target.state.in_flight() && !was.is_some_and(TargetState::in_flight);
        promise(world, 6, !(newly && paused(before) && paused(after)), "dispatched while paused");
        let newly_applied = matches!(target.state, TargetState::Applied { .. })
            && !matches!(was, Some(TargetState::Applied { .. }));
        if newly_applied {
            let agent = world.agents.iter().find(|agent| agent.name == *node).unwrap();
            let held = Held { revision: after.to, fallback: false };
            promise(world, 9, agent.ran.contains(&(policy, held)), "a success nobody saw");
        }
    }
    one_rollout_on_a_place(world);
    bad_versions_stay_in_their_wave(world, policy);
}

fn one_rollout_on_a_place(world: &World) {
    let touched = |it: &Rollout| -> BTreeSet<_> {
        let nodes = it.targets.iter().filter(|(_, target)| target.state.touched());
        nodes.filter(|_| !it.phase.is_final()).map(|(node, _)| node.clone()).collect()
    };
    if let [p, q] = &world.database.rollouts[..] {
        let (p, q) = (touched(&p.state), touched(&q.state));
        promise(world, 8, p.is_disjoint(&q), "two rollouts on one place");
    }
}

/// Nobody but a person takes a version further that drops what it should pass, and no good one goes back by itself.
fn bad_versions_stay_in_their_wave(world: &World, policy: usize) {
    let it = &world.database.rollouts[policy].state;
    if world.bad[policy] && !world.overruled[policy] {
        let mut waves: Vec<usize> =
            it.targets.values().filter(|t| t.state.touched()).map(|t| t.wave).collect();
        waves.sort_unstable();
        waves.dedup();
        promise(world, 11, waves.len() <= 1, "a bad version passed a gate");
    }
    let went_back = matches!(it.phase, Phase::RollingBack { .. } | Phase::RolledBack { .. });
    let could_not = world.agents.iter().any(|agent| agent.cannot.contains_key(&(policy, 2)));
    let reason = world.bad[policy] || world.asked_back[policy] || could_not || world.healed;
    promise(world, 12, !went_back || reason, "silence alone made a good version go back");
}

/// What agents hold, every few seconds.
pub(crate) fn agents(world: &mut World) {
    for agent in &world.agents {
        for (policy, held) in &agent.runs {
            let known = [(1, false), (2, false), (2, true)];
            let fine = known.contains(&(held.revision, held.fallback));
            promise(world, 4, fine, "a node runs neither old, new nor fallback");
            let touched = world.database.rollouts[*policy].state.targets.get(&agent.name);
            let planned = touched.is_some_and(|target| target.state.touched());
            promise(world, 2, held.revision == 1 || planned, "a node outside the plan changed");
        }
        let wanted = world.database.wanted.get(&agent.name).map(|wanted| wanted.generation);
        let fine = wanted.is_none_or(|wanted| agent.generation <= wanted);
        promise(world, 5, fine, "a node is ahead of what was ever wanted");
    }
}

/// Every rollout is over, and every node has what it says.
pub(crate) fn at_rest(world: &World) -> bool {
    world.database.rollouts.iter().enumerate().all(|(policy, kept)| {
        let over = kept.state.phase.is_final();
        over && world.agents.iter().all(|agent| match kept.state.holds(&agent.name) {
            Some(held) => agent.runs.get(&policy) == Some(&held),
            None => true,
        })
    })
}

pub(crate) fn at_the_end(world: &World) {
    for (policy, kept) in world.database.rollouts.iter().enumerate() {
        let events = kept.events.iter().map(|(event, at)| (event, *at));
        let again = replay(kept.first.clone(), events);
        promise(world, 10, again == kept.state, "the events give another state");
        let new = Held { revision: 2, fallback: false };
        for agent in &world.agents {
            let runs = agent.runs.get(&policy);
            match kept.state.phase {
                Phase::Succeeded if kept.state.targets.contains_key(&agent.name) => {
                    promise(world, 9, runs == Some(&new), "succeeded, and a node does not run it");
                }
                Phase::RolledBack { .. } => {
                    promise(world, 7, runs != Some(&new), "rolled back, and a node runs it");
                }
                _ => {}
            }
        }
        if world.bad[policy]
            && !world.overruled[policy]
            && !matches!(kept.state.phase, Phase::Cancelled { .. })
        {
            let back = matches!(kept.state.phase, Phase::RolledBack { .. });
            promise(world, 11, back, &format!("a bad version ended as {:?}", kept.state.phase));
            let told = kept
                .state
                .evidence
                .iter()
                .any(|it| it.what == "gate-failed" || it.what == "rolling-back");
            promise(world, 3, told, "it went back and no evidence says why");
        }
    }
}
