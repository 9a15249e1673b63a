//! The twelve promises of a rollout, each as a property over whatever may happen in whatever order.

use crate::fleet_of::{
    BACK, CAREFUL, NEW, OLD, joining, measured, members, node, planned, refuses, seen, start,
    strategy, tick,
};
use proptest::prelude::*;
use skep_fleet::rollout::event::{Said, Surroundings};
use skep_fleet::rollout::gate::{Observations, evaluate};
use skep_fleet::rollout::{
    BlockedOn, Event, Gate, Held, NoData, Phase, Rollout, TargetState, Verdict, claims, replay,
    step,
};
use std::collections::BTreeSet;

const NODES: usize = 12;

/// Something that happens, and how long after the last.
#[derive(Debug, Clone)]
struct Act {
    what: u32,
    node: usize,
    number: u64,
    secs: i64,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0u32..40, 0..NODES + 3, 0u64..1000, 0i64..120)
        .prop_map(|(what, node, number, secs)| Act { what, node, number, secs });
    prop::collection::vec(act, 1..120)
}

/// What it is. Mostly time, and nodes that answer.
fn event(it: &Rollout, act: &Act) -> Event {
    let (n, by, why) = (node(act.node), "ada".to_owned(), "because".to_owned());
    match act.what {
        0..=11 => tick(),
        12..=19 => seen(&n, it.holds(&n).map_or(Said::Busy, Said::Runs)),
        20 => refuses(&n),
        21 => seen(&n, Said::Silent),
        22 => seen(&n, Said::Busy),
        23..=26 => measured(it, &n, 1000, act.number / 15),
        27 => Event::Join { nodes: vec![joining(&members(NODES + 3)[act.node])] },
        28 => Event::Leave { node: n },
        29 => Event::Pause { by, why },
        30 | 31 => Event::Resume { by },
        32 => Event::Retry { by },
        33 => Event::Promote { by },
        34 if act.number < 200 => Event::Rollback { by, why },
        35 if act.number < 100 => Event::Cancel { by, why },
        36 if act.number < 50 => Event::Supersede { by: 3 },
        37 => Event::Tick(Surroundings { known_bad: act.number < 100, ..Surroundings::default() }),
        _ => tick(),
    }
}

/// Lets it all happen and looks after each step: what was, what happened, what is.
fn happen(
    acts: &[Act],
    mut look: impl FnMut(&Rollout, &Event, &Rollout) -> Result<(), TestCaseError>,
) -> Result<Vec<(Event, i64)>, TestCaseError> {
    let mut it = planned("p", &strategy(CAREFUL), &members(NODES));
    let (mut now, mut log) = (0, Vec::new());
    let begin = Act { what: 0, node: 0, number: 0, secs: 1 };
    for (at, act) in std::iter::once(&begin).chain(acts).enumerate() {
        now += act.secs;
        let event = if at == 0 { start() } else { event(&it, act) };
        let Ok((next, _)) = step(&it, &event, now) else { continue };
        look(&it, &event, &next)?;
        if next != it {
            log.push((event, now));
        }
        it = next;
    }
    Ok(log)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn promise_1_nodes_in_flight_never_exceed_the_limit(acts in acts()) {
        happen(&acts, |before, _, after| {
            // Who leaves makes the fleet smaller; what is in flight then is no decision.
            prop_assert!(after.in_flight() <= after.limit().max(before.in_flight()));
            Ok(())
        })?;
    }

    #[test]
    fn promise_2_no_node_outside_the_plan_changes(acts in acts()) {
        let known: BTreeSet<_> = (0..NODES + 3).map(node).collect();
        happen(&acts, |before, event, after| {
            for (name, target) in &after.targets {
                prop_assert!(known.contains(name));
                let new = !before.targets.contains_key(name);
                prop_assert!(!new || matches!(event, Event::Join { .. }), "{} came from nowhere", name);
                prop_assert!(!new || target.state == TargetState::Waiting);
            }
            Ok(())
        })?;
    }

    #[test]
    fn promise_3_whatever_is_not_over_says_what_it_waits_for_and_until_when(acts in acts()) {
        happen(&acts, |_, _, after| {
            let over = after.phase.is_final();
            prop_assert_eq!(over, after.deadline().is_none(), "{:?}", after.phase);
            prop_assert_eq!(over, after.blocked_on == BlockedOn::Nothing, "{:?}", after.phase);
            Ok(())
        })?;
    }

    #[test]
    fn promise_4_a_node_is_given_old_new_or_the_signed_fallback(acts in acts()) {
        happen(&acts, |_, _, after| {
            for name in after.targets.keys() {
                let held = after.holds(name);
                prop_assert!([Some(OLD), Some(NEW), Some(BACK)].contains(&held), "{:?}", held);
            }
            Ok(())
        })?;
    }

    #[test]
    fn promise_5_no_node_is_ever_given_a_lower_revision(acts in acts()) {
        happen(&acts, |before, _, after| {
            for name in after.targets.keys().filter(|name| before.targets.contains_key(*name)) {
                let number = |held: Option<Held>| held.map(|held| held.revision);
                prop_assert!(number(after.holds(name)) >= number(before.holds(name)));
            }
            prop_assert!(after.clock >= before.clock);
            Ok(())
        })?;
    }

    #[test]
    fn promise_6_nothing_is_given_out_while_it_is_paused(acts in acts()) {
        happen(&acts, |before, _, after| {
            let stands = matches!(before.phase, Phase::Paused { .. }) && matches!(after.phase, Phase::Paused { .. });
            for (name, target) in after.targets.iter().filter(|_| stands) {
                let was = before.targets.get(name).is_some_and(|target| target.state.in_flight());
                prop_assert!(was || !target.state.in_flight(), "{}", name);
            }
            Ok(())
        })?;
    }

    #[test]
    fn promise_7_a_rollback_asks_for_nothing_that_is_not_on_the_node(acts in acts()) {
        happen(&acts, |before, _, after| {
            let begins = !matches!(before.phase, Phase::RollingBack { .. })
                && matches!(after.phase, Phase::RollingBack { .. });
            for (name, target) in after.targets.iter().filter(|_| begins) {
                // At once, every node that was ever given the revision: its fallback is signed into what it has.
                let wanted = if target.state.touched() { BACK } else { OLD };
                prop_assert_eq!(after.holds(name), Some(wanted));
            }
            Ok(())
        })?;
    }

    #[test]
    fn promise_8_two_rollouts_never_hold_the_same_place(
        turns in prop::collection::vec((any::<bool>(), 0u32..30, 0..NODES, 0i64..60), 1..150),
    ) {
        let fleet = members(NODES);
        let mut both = [planned("p", &strategy(CAREFUL), &fleet), planned("q", &strategy(CAREFUL), &fleet)];
        let mut now = 0;
        for (second, what, n, secs) in turns {
            now += secs;
            let me = usize::from(second);
            let held = claims::held_by_others(&both[me], [&both[1 - me]]);
            let act = Act { what, node: n, number: 0, secs };
            let event = match what {
                _ if matches!(both[me].phase, Phase::Planned { .. }) => start(),
                0..=11 => Event::Tick(Surroundings { held, ..Surroundings::default() }),
                _ => event(&both[me], &act),
            };
            // A rollout that is over goes back only where nobody else is at work.
            let over = both[me].phase.is_final();
            if over && claims::in_the_way(&both[me], [&both[1 - me]]).is_some() {
                continue;
            }
            let event = match event {
                Event::Tick(_) => Event::Tick(Surroundings {
                    held: claims::held_by_others(&both[me], [&both[1 - me]]),
                    ..Surroundings::default()
                }),
                other => other,
            };
            if let Ok((next, _)) = step(&both[me], &event, now) {
                both[me] = next;
            }
            let holds = |it: &Rollout| -> BTreeSet<_> {
                let nodes = it.targets.iter().filter(|(_, t)| !it.phase.is_final() && t.state.touched());
                nodes.map(|(name, _)| name.clone()).collect()
            };
            prop_assert!(holds(&both[0]).is_disjoint(&holds(&both[1])));
        }
    }

    #[test]
    fn promise_9_nobody_counts_as_a_success_who_did_not_say_so(acts in acts()) {
        happen(&acts, |before, event, after| {
            for (name, target) in &after.targets {
                let applied = |state: &TargetState| matches!(state, TargetState::Applied { .. });
                let was = before.targets.get(name).is_some_and(|target| applied(&target.state));
                let said = matches!(event, Event::Seen { nodes } if nodes.iter().any(|s| s.node == *name && s.said == Said::Runs(NEW)));
                prop_assert!(!applied(&target.state) || was || said, "{}", name);
            }
            Ok(())
        })?;
    }

    #[test]
    fn promise_10_the_events_alone_give_the_state(acts in acts()) {
        let mut last = None;
        let log = happen(&acts, |_, _, after| {
            last = Some(after.clone());
            Ok(())
        })?;
        let first = planned("p", &strategy(CAREFUL), &members(NODES));
        let again = replay(first, log.iter().map(|(event, at)| (event, *at)));
        prop_assert_eq!(Some(again), last);
    }

    #[test]
    fn promise_11_missing_data_never_passes_by_itself(packets in 0u64..100, no_data in 0usize..3, what in 0usize..3) {
        let no_data = [NoData::Hold, NoData::Pass, NoData::Fail][no_data];
        let gate = match what {
            0 => Gate::Verdicts { of: None, drop: "+2%".parse().unwrap(), min_packets: 100, no_data,
                compared_to: skep_fleet::rollout::gate::ComparedTo::Untreated },
            1 => Gate::Cost { of: None, at_most: "250ns".parse().unwrap(), min_packets: 100, no_data },
            _ => Gate::Promql { query: "up".to_owned(), at_most: Some(1.0), at_least: None, no_data },
        };
        let it = planned("p", &strategy(CAREFUL), &members(NODES));
        let Event::Measured(little) = measured(&it, &node(0), packets, 0) else { unreachable!() };
        let nan = Observations { values: vec![(0, Some(f64::NAN))], ..little.seen };
        let verdict = evaluate(&gate, 0, &nan);
        let follows = match no_data {
            NoData::Hold => matches!(verdict, Verdict::Hold { .. }),
            NoData::Pass => matches!(verdict, Verdict::Pass { .. }),
            NoData::Fail => matches!(verdict, Verdict::Fail { .. }),
        };
        prop_assert!(follows, "{:?}", verdict);
    }

    #[test]
    fn promise_12_silence_is_never_bad_health(acts in acts()) {
        let quiet: Vec<Act> = acts.into_iter()
            .map(|act| match act.what { 20 | 23..=26 | 34..=36 => Act { what: 21, ..act }, _ => act })
            .collect();
        happen(&quiet, |_, _, after| {
            let back = matches!(after.phase, Phase::RollingBack { .. } | Phase::RolledBack { .. });
            prop_assert!(!back);
            let failed = |state: &TargetState| matches!(state, TargetState::Failed { .. });
            prop_assert!(!after.targets.values().any(|target| failed(&target.state)));
            Ok(())
        })?;
    }
}
