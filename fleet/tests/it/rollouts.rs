//! The story of a rollout, case by case: what each event means in each state.

use crate::fleet_of::{
    BACK, CAREFUL, NEW, OLD, Story, careful_with, measured, members, node, planned, refuses, seen,
    start, strategy, tick,
};
use skep_fleet::rollout::event::{Said, Surroundings};
use skep_fleet::rollout::state::PauseReason;
use skep_fleet::rollout::{
    BlockedOn, Effect, Event, Freeze, Phase, RolloutStrategy, Stage, StepError, TargetState,
    claims, step,
};
use std::collections::BTreeSet;

fn ada() -> String {
    "ada".to_owned()
}

fn begun(strategy: &RolloutStrategy, nodes: usize) -> Story {
    let mut story = Story::of(strategy, nodes);
    story.then(&start()).then(&tick());
    story
}

#[track_caller]
fn paused(story: &Story, wanted: PauseReason) {
    match &story.it.phase {
        Phase::Paused { reason, .. } => assert_eq!(*reason, wanted),
        other => panic!("not paused but {other:?}"),
    }
}

#[test]
fn a_good_version_goes_through_all_waves() {
    let mut story = begun(&strategy(CAREFUL), 20);
    assert_eq!(story.touched(), 1, "the canary");
    story.converge();
    assert!(matches!(story.it.blocked_on, BlockedOn::Bake { .. }), "{:?}", story.it.blocked_on);
    story.after(30);
    assert_eq!(story.touched(), 1, "still watched");
    story.after(30).bake();
    assert_eq!(story.it.phase.wave(), Some(1));
    story.converge().bake();
    story.converge().bake();
    assert_eq!(story.it.phase, Phase::Succeeded);
    assert_eq!(story.it.blocked_on, BlockedOn::Nothing);
    assert!(story.it.targets.keys().all(|node| story.it.holds(node) == Some(NEW)));
}

#[test]
fn a_bad_version_goes_back_from_the_canary_alone_and_is_remembered() {
    let mut story = begun(&strategy(CAREFUL), 20);
    let canary = story.dispatched()[0].clone();
    story.converge();
    let bad = measured(&story.it, &canary, 1000, 400);
    let (it, effects) = step(&story.it, &bad, story.now).unwrap();
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::MarkBad { content, .. } if *content == it.content))
    );
    story.it = it;
    assert!(matches!(story.it.phase, Phase::RollingBack { .. }), "before the bake is over");
    assert_eq!(story.it.holds(&canary), Some(BACK));
    story.then(&seen(&canary, Said::Runs(BACK))).after(1);
    assert!(matches!(story.it.phase, Phase::RolledBack { .. }));
    assert_eq!(story.touched(), 1);
    let evidence = story.it.evidence.iter().find(|it| it.what == "gate-failed").unwrap();
    assert_eq!(evidence.samples[0].dropped, 400);
    assert!(evidence.message.contains("40% of 1000 packets"), "{}", evidence.message);
}

#[test]
fn what_was_rolled_back_is_not_given_out_again_without_a_word() {
    let mut story = Story::of(&strategy(CAREFUL), 5);
    let bad = Event::Tick(Surroundings { known_bad: true, ..Surroundings::default() });
    story.then(&start()).then(&bad);
    paused(&story, PauseReason::KnownBad);
    assert_eq!(story.touched(), 0);
    assert!(step(&story.it, &Event::Resume { by: ada() }, story.now).is_err());
    let because =
        skep_fleet::rollout::state::Because { by: ada(), why: "it was the test".to_owned() };
    story.then(&Event::BreakGlass(because)).then(&Event::Resume { by: ada() }).then(&bad);
    assert_eq!(story.touched(), 1);
}

#[test]
fn a_node_that_refuses_the_version_makes_it_go_back_or_hold() {
    let mut story = begun(&strategy(CAREFUL), 20);
    let canary = story.dispatched()[0].clone();
    story.then(&refuses(&canary)).then(&tick());
    assert!(matches!(story.it.phase, Phase::RollingBack { .. }));
    let hold = careful_with(r#""bake""#, r#""onFailure":"hold","bake""#);
    let mut story = begun(&hold, 20);
    let canary = story.dispatched()[0].clone();
    story.then(&refuses(&canary)).then(&tick());
    paused(&story, PauseReason::Failure);
    story.then(&Event::Retry { by: ada() }).then(&tick());
    assert_eq!(story.it.holds(&canary), Some(NEW), "it is not taken back in between");
    assert_eq!(story.it.targets[&canary].attempt, 1);
    story.converge();
    assert_eq!(story.it.targets[&canary].state, TargetState::Applied { at: story.now - 1 });
}

#[test]
fn a_first_revision_that_fails_has_nothing_to_go_back_to_and_says_so() {
    let mut story = begun(&strategy(CAREFUL), 20);
    story.it.reversible = false;
    let canary = story.dispatched()[0].clone();
    story.then(&refuses(&canary)).then(&tick());
    paused(&story, PauseReason::NothingToFallBackTo);
    let asked = Event::Rollback { by: ada(), why: "please".to_owned() };
    assert_eq!(step(&story.it, &asked, story.now), Err(StepError::NothingToFallBackTo));
}

#[test]
fn a_wave_waits_for_as_many_approvals_as_it_asks_for() {
    let asks = careful_with(r#""bake""#, r#""approval":{"before":["wave-2"],"by":2},"bake""#);
    let mut story = begun(&asks, 20);
    story.converge().bake();
    assert_eq!(story.it.phase, Phase::AwaitingApproval { wave: 1 });
    let blocked = BlockedOn::Approval { wave: "wave-2".to_owned(), have: 0, need: 2 };
    assert_eq!(story.it.blocked_on, blocked);
    let by = |key: &str| Event::Approved {
        wave: "wave-2".to_owned(),
        keys: BTreeSet::from([key.to_owned()]),
    };
    story.then(&by("a")).then(&by("a")).after(1);
    assert_eq!(story.touched(), 1, "the same key twice is one approval");
    story.then(&by("b")).after(1);
    assert_eq!(story.it.phase.wave(), Some(1));
    assert!(story.touched() > 1);
    let late = begun(&asks, 20).converge().bake().after(8 * 86_400).is_paused();
    assert!(late, "nobody approves for a week");
}

#[test]
fn pause_stops_at_once_and_resume_goes_on_where_it_stood() {
    let mut story = begun(&strategy(CAREFUL), 40);
    story.converge().bake();
    let in_flight = story.dispatched();
    assert!(!in_flight.is_empty());
    story.then(&Event::Pause { by: ada(), why: "lunch".to_owned() });
    for node in &in_flight {
        story.then(&seen(node, Said::Runs(NEW)));
    }
    let touched = story.touched();
    story.after(100);
    assert_eq!(story.touched(), touched, "nothing is given out while it is paused");
    story.then(&Event::Resume { by: ada() }).after(1);
    assert!(story.touched() > touched);
}

#[test]
fn a_plan_that_changed_since_somebody_looked_is_not_started() {
    let story = Story::of(&strategy(CAREFUL), 20);
    let Phase::Planned { hash } = story.it.phase else { panic!("not planned") };
    let named = |hash| Event::Start { by: ada(), hash: Some(hash), glass: None };
    assert!(step(&story.it, &named(hash), 0).is_ok());
    let late = members(21).pop().unwrap();
    let join = Event::Join { nodes: vec![crate::fleet_of::joining(&late)] };
    let (joined, _) = step(&story.it, &join, 0).unwrap();
    assert!(matches!(step(&joined, &named(hash), 0), Err(StepError::OtherPlan { .. })));
}

#[test]
fn late_joiners_get_what_their_wave_has() {
    let mut story = begun(&strategy(CAREFUL), 20);
    story.converge().bake();
    story.converge();
    let fleet = members(400);
    let of_wave = |wanted: usize| {
        let it = &story.it;
        let late = fleet[20..]
            .iter()
            .filter(|m| it.plan.wave_of(&it.policy, 2, &m.name, &m.labels) == wanted);
        late.into_iter().next().unwrap().clone()
    };
    let (early, last) = (of_wave(1), of_wave(2));
    let nodes = [&early, &last].map(crate::fleet_of::joining).to_vec();
    story.then(&Event::Join { nodes }).after(1);
    assert_eq!(story.it.holds(&early.name), Some(NEW));
    assert_eq!(story.it.holds(&last.name), Some(OLD));
}

#[test]
fn who_is_silent_is_unknown_and_gets_it_at_the_end() {
    let most = careful_with(r#""gates":["#, r#""gates":[{"builtin":"applied","atLeast":"90%"},"#);
    let mut story = begun(&most, 20);
    let silent = (0..20).map(node).find(|node| story.it.targets[node].wave == 2).unwrap();
    story.then(&seen(&silent, Said::Silent));
    story.converge().bake();
    story.converge().bake();
    story.converge();
    assert!(matches!(story.it.phase, Phase::Running { stage: Stage::Converge, .. }));
    story.after(300).bake();
    assert_eq!(story.it.phase, Phase::Succeeded);
    assert_eq!(story.it.targets[&silent].state, TargetState::Owed);
    assert_eq!(story.it.holds(&silent), Some(NEW));
}

#[test]
fn a_node_that_never_answers_stops_the_rollout_and_is_not_called_a_failure() {
    let mut story = begun(&strategy(CAREFUL), 20);
    let canary = story.dispatched()[0].clone();
    story.then(&seen(&canary, Said::Silent)).after(301);
    paused(&story, PauseReason::ConvergeLate);
    assert_eq!(story.it.holds(&canary), Some(NEW));
}

#[test]
fn a_gate_without_data_holds_and_stops_when_the_bake_is_over() {
    let mut story = begun(&strategy(CAREFUL), 20);
    story.converge().after(60);
    let little = measured(&story.it, &node(0), 3, 0);
    story.then(&little);
    let BlockedOn::Gate { why, .. } = &story.it.blocked_on else {
        panic!("{:?}", story.it.blocked_on)
    };
    assert!(why.contains("only 3 packets"), "{why}");
    story.after(541);
    paused(&story, PauseReason::GateUndecided);
    assert_eq!(story.touched(), 1);
}

#[test]
fn windows_and_freezes_hold_it_back_until_the_glass_is_broken() {
    let night = careful_with(
        r#""bake""#,
        r#""windows":[{"days":["mon","tue","wed","thu","fri","sat","sun"],"from":"02:00","to":"03:00"}],"bake""#,
    );
    let mut story = begun(&night, 20);
    assert_eq!(story.it.blocked_on, BlockedOn::Window { opens_at: 7200 });
    assert_eq!(story.touched(), 0);
    story.after(7200 - story.now);
    assert_eq!(story.touched(), 1);

    let freeze: Freeze = serde_json::from_str(
        r#"{"kind":"Freeze","name":"f","from":"1970-01-01T00:00:00Z","until":"1970-01-02T00:00:00Z","reason":"r"}"#,
    )
    .unwrap();
    let frozen = Event::Tick(Surroundings { freezes: vec![freeze], ..Surroundings::default() });
    let mut story = Story::of(&strategy(CAREFUL), 20);
    story.then(&start()).then(&frozen);
    assert!(matches!(story.it.blocked_on, BlockedOn::Freeze { .. }));
    assert!(story.it.deadline().unwrap() > 86_400, "the freeze is not what makes it late");
    let because = skep_fleet::rollout::state::Because { by: ada(), why: "it burns".to_owned() };
    story.then(&Event::BreakGlass(because)).then(&frozen);
    assert_eq!(story.touched(), 1);
    assert!(story.it.evidence.iter().any(|it| it.what == "glass-broken"));
}

#[test]
fn no_more_nodes_of_a_domain_change_at_once_than_it_says() {
    let zones =
        careful_with(r#"{"percent":100}"#, r#"{"percent":100,"per":{"label":"zone","atMost":1}}"#);
    let mut story = begun(&zones, 60);
    story.converge().bake();
    story.converge().bake();
    assert_eq!(story.it.phase.wave(), Some(2));
    let zones: Vec<Option<String>> =
        story.dispatched().iter().map(|node| story.it.targets[node].domain.clone()).collect();
    assert_eq!(zones.len(), 3, "one of each: {zones:?}");
    assert_eq!(zones.iter().collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn no_more_nodes_change_in_a_minute_than_it_says() {
    let slow = careful_with(r#""unavailable":"20%""#, r#""unavailable":"100%","perMinute":2"#);
    let mut story = begun(&slow, 40);
    story.converge().bake();
    let before = story.touched();
    for node in story.dispatched() {
        story.then(&seen(&node, Said::Runs(NEW)));
    }
    story.after(10);
    assert_eq!(story.touched(), before);
    assert!(matches!(story.it.blocked_on, BlockedOn::Rate { .. }), "{:?}", story.it.blocked_on);
    story.after(60);
    assert_eq!(story.touched(), before + 2);
}

#[test]
fn promote_cancel_supersede_and_roll_back_mean_what_they_say() {
    let mut story = begun(&strategy(CAREFUL), 20);
    let promote = Event::Promote { by: ada() };
    let mut giving = begun(&strategy(CAREFUL), 40);
    giving.converge().bake();
    assert_eq!(step(&giving.it, &promote, giving.now), Err(StepError::StillDispatching));
    story.converge().then(&promote).then(&tick());
    assert_eq!(story.it.phase.wave(), Some(1));
    let held: Vec<_> = story.it.targets.keys().map(|node| story.it.holds(node)).collect();

    let cancel = Event::Cancel { by: ada(), why: "no".to_owned() };
    let (cancelled, _) = step(&story.it, &cancel, story.now).unwrap();
    let supersede = Event::Supersede { by: 3 };
    let (superseded, _) = step(&story.it, &supersede, story.now).unwrap();
    for it in [&cancelled, &superseded] {
        assert!(it.phase.is_final());
        let kept: Vec<_> = it.targets.keys().map(|node| it.holds(node)).collect();
        assert_eq!(kept, held, "every node keeps what it has");
        assert!(step(it, &supersede, story.now).is_err());
    }
    let back = Event::Rollback { by: ada(), why: "after all".to_owned() };
    let (it, _) = step(&cancelled, &back, story.now).unwrap();
    let all_back = it
        .targets
        .iter()
        .filter(|(_, t)| t.state.touched())
        .all(|(n, _)| it.holds(n) == Some(BACK));
    assert!(all_back);
    assert!(step(&superseded, &back, story.now).is_err(), "the newer revision decides now");
}

#[test]
fn nothing_is_given_out_further_where_a_kernel_lacks_proof() {
    let mut fleet = members(20);
    let mut it = planned("p", &strategy(CAREFUL), &fleet);
    fleet[7].class = "6.18".to_owned();
    let odd = fleet.iter().map(crate::fleet_of::joining).collect();
    it = step(&it, &Event::Plan { nodes: odd }, 0).unwrap().0;
    let mut story = Story { it, now: 1000 };
    if story.it.targets[&node(7)].wave == 0 {
        return;
    }
    story.then(&start()).then(&tick()).converge().after(60);
    let good = measured(&story.it, &node(0), 1000, 0);
    story.then(&good).after(1);
    assert_eq!(story.it.blocked_on, BlockedOn::Kernels { classes: vec!["6.18".to_owned()] });
    assert_eq!(story.touched(), 1);
    let proven = BTreeSet::from(["6.18".to_owned()]);
    let around = Event::Tick(Surroundings { proven, ..Surroundings::default() });
    story.then(&around).then(&good).then(&around);
    assert_eq!(story.it.phase.wave(), Some(1));
}

#[test]
fn a_second_rollout_on_the_same_hook_waits_for_the_first() {
    let fleet = members(10);
    let p = step(&planned("p", &strategy(CAREFUL), &fleet), &start(), 10).unwrap().0;
    let q = step(&planned("q", &strategy(CAREFUL), &fleet), &start(), 5).unwrap().0;
    assert!(claims::held_by_others(&q, [&p]).is_empty(), "it started earlier");
    assert_eq!(claims::held_by_others(&p, [&q]).len(), 10);
    let p = step(&p, &tick(), 10).unwrap().0;
    assert_eq!(claims::held_by_others(&q, [&p]).len(), 10, "but the other one gave something out");
    let held = claims::held_by_others(&q, [&p]);
    let around = Event::Tick(Surroundings { held, ..Surroundings::default() });
    let q = step(&q, &around, 10).unwrap().0;
    assert!(matches!(q.blocked_on, BlockedOn::Others { .. }), "{:?}", q.blocked_on);
    let mut elsewhere = q.clone();
    elsewhere.interfaces.patterns = vec!["wan0".to_owned()];
    assert!(claims::held_by_others(&elsewhere, [&p]).is_empty());
}
