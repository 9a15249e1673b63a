//! Operators: they start, stop, overrule and change their minds, several at once and through whichever server. When all
//! is healed one of them sees to what stands still.

use crate::world::World;
use skep_fleet::rollout::event::Joining;
use skep_fleet::rollout::state::PauseReason;
use skep_fleet::rollout::{Event, Held, Phase, TargetState, claims};
use std::collections::BTreeSet;

pub(crate) fn act(world: &mut World) {
    for policy in 0..world.database.rollouts.len() {
        if matches!(world.database.rollouts[policy].state.phase, Phase::Planned { .. }) {
            if world.random.per_mille(200) {
                let glass = world.random.per_mille(100).then(|| "urgent".to_owned());
                wish(world, policy, Event::Start { by: "ada".to_owned(), hash: None, glass });
            }
            continue;
        }
        if world.random.per_mille(40) {
            joiners(world, policy);
        }
        if world.random.per_mille(60) {
            approve(world, policy);
        }
        if world.random.per_mille(15) {
            let event = drawn(world);
            wish(world, policy, event);
        }
    }
}

fn drawn(world: &mut World) -> Event {
    let by = (*world.random.pick(&["ada", "grace"])).to_owned();
    let why = "they said so".to_owned();
    match world.random.below(10) {
        0..=2 => Event::Pause { by, why },
        3..=5 => Event::Resume { by },
        6 => Event::Promote { by },
        7 => Event::Retry { by },
        8 => Event::Rollback { by, why },
        _ => Event::Cancel { by, why },
    }
}

fn wish(world: &mut World, policy: usize, event: Event) {
    let which = usize::try_from(world.random.below(2)).unwrap();
    if world.now < world.servers[which].down_until {
        return;
    }
    let others = world.database.states();
    let state = &world.database.rollouts[policy].state;
    match &event {
        Event::Rollback { .. }
            if state.phase.is_final() && claims::in_the_way(state, &others).is_some() =>
        {
            return;
        }
        Event::Rollback { .. } => world.asked_back[policy] = true,
        Event::Promote { .. } | Event::Resume { .. } => world.overruled[policy] = true,
        _ => {}
    }
    world.write(which, policy, event);
}

fn joiners(world: &mut World, policy: usize) {
    let state = &world.database.rollouts[policy].state;
    let unknown: Vec<Joining> = (world.members().into_iter())
        .filter(|member| !state.targets.contains_key(&member.name))
        .take(2)
        .map(|member| Joining { member, before: Some(Held { revision: 1, fallback: false }) })
        .collect();
    if !unknown.is_empty() {
        wish(world, policy, Event::Join { nodes: unknown });
    }
}

fn approve(world: &mut World, policy: usize) {
    let key = (*world.random.pick(&["key-a", "key-b"])).to_owned();
    let wave = "wave-2".to_owned();
    wish(world, policy, Event::Approved { wave, keys: BTreeSet::from([key]) });
}

/// Does what the state asks a person to do, and nothing else.
pub(crate) fn see_to_it(world: &mut World) {
    for policy in 0..world.database.rollouts.len() {
        let by = "grace".to_owned();
        let event = match &world.database.rollouts[policy].state.phase {
            Phase::Planned { .. } => Event::Start { by, hash: None, glass: None },
            Phase::AwaitingApproval { .. } => {
                let keys = BTreeSet::from(["key-a".to_owned(), "key-b".to_owned()]);
                Event::Approved { wave: "wave-2".to_owned(), keys }
            }
            Phase::Paused { reason: PauseReason::Failure, .. } if world.bad[policy] => {
                Event::Rollback { by, why: "it is bad".to_owned() }
            }
            Phase::Paused { reason: PauseReason::RollbackLate, .. } => continue,
            Phase::Paused { reason: PauseReason::Failure, .. } if any_failed(world, policy) => {
                Event::Retry { by }
            }
            Phase::Paused { reason: PauseReason::KnownBad, .. } => {
                Event::Cancel { by, why: "it is known to be bad".to_owned() }
            }
            Phase::Paused { .. } => Event::Resume { by },
            _ => continue,
        };
        wish(world, policy, event);
    }
}

/// A node may have found its way by itself meanwhile.
fn any_failed(world: &World, policy: usize) -> bool {
    let targets = &world.database.rollouts[policy].state.targets;
    targets.values().any(|target| matches!(target.state, TargetState::Failed { .. }))
}
