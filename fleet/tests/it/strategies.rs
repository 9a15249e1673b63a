//! Strategies and freezes as operators write them, and the waves they come to.

use crate::fleet_of::{CAREFUL, careful_with, members, node, strategy};
use proptest::prelude::*;
use skep_fleet::rollout::window::frozen;
use skep_fleet::rollout::{Freeze, Gate, Member, RolloutPlan, RolloutStrategy};
use skep_fleet::selector::Labels;
use std::collections::BTreeMap;

const FULL: &str = r#"{"kind":"RolloutStrategy","name":"full",
    "waves":[{"name":"canary","nodes":{"count":1}},{"percent":5},
             {"percent":25,"per":{"label":"zone","atMost":1}},{"percent":100}],
    "bake":{"min":"5m","max":"2h"},
    "gates":[{"builtin":"verdicts","of":"guard","drop":{"atMost":"+2%"},"comparedTo":"untreated"},
             {"builtin":"cost","atMost":"250ns"},{"promql":"up","atLeast":1,"noData":"hold"},
             {"builtin":"applied","atLeast":"99%"}],
    "onFailure":"hold","limits":{"unavailable":"2%","perMinute":500},
    "approval":{"before":["wave-2"],"by":2},
    "windows":[{"days":["mon","tue"],"from":"22:00","to":"04:00"}],"freeze":"honours"}"#;

#[test]
fn a_full_strategy_is_understood_and_survives_being_signed() {
    let full = strategy(FULL);
    let plan = full.plan(&"p".parse().unwrap(), 7, &members(200)).unwrap();
    assert_eq!(plan.gates.len(), 4);
    assert!(matches!(plan.gates[1], Gate::Cost { .. }));
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<RolloutPlan>(&text).unwrap(), plan);
    plan.check().unwrap();
}

#[track_caller]
fn check_refused(change: &str, by: &str, expected: &str) {
    let text = FULL.replacen(change, by, 1);
    assert_ne!(text, FULL, "{change}");
    let said = match serde_json::from_str::<RolloutStrategy>(&text) {
        Err(error) => error.to_string(),
        Ok(strategy) => strategy.check().map_or_else(|e| e.to_string(), |()| "accepted".to_owned()),
    };
    assert!(said.contains(expected), "{change} -> {by}: {said}");
}

#[test]
fn what_means_nothing_is_refused_in_words() {
    check_refused(r#"{"percent":100}"#, r#"{"percent":99}"#, "last wave must be");
    check_refused(r#"{"percent":5}"#, r#"{"percent":30}"#, "each wave goes further");
    check_refused(r#"{"percent":5}"#, r#"{"percent":0}"#, "each wave goes further");
    check_refused(r#""nodes":{"count":1}"#, r#""nodes":{}"#, "for no node");
    check_refused(r#""nodes":{"count":1}"#, r#""nodes":{"labels":{}}"#, "cannot be used");
    check_refused(r#""nodes":{"count":1}"#, r#""nodes":{"count":1},"percent":3"#, "or both");
    check_refused(r#""name":"canary""#, r#""name":"wave-2""#, "two waves");
    check_refused(r#""before":["wave-2"]"#, r#""before":["wave-9"]"#, "which there is not");
    check_refused(r#""min":"5m""#, r#""min":"5h""#, "longer than");
    check_refused(r#""min":"5m""#, r#""min":"5""#, "not a time");
    check_refused(r#""drop":{"atMost":"+2%"},"#, "", "gate 1");
    check_refused(r#""atMost":"250ns""#, r#""atMost":250"#, "gate 2");
    check_refused(r#""atLeast":1,"#, "", "gate 3");
    check_refused(r#""atLeast":"99%""#, r#""atLeast":"99%","of":"guard""#, "means nothing");
    check_refused(r#""perMinute":500"#, r#""perMinute":0"#, "none ever would");
    check_refused(r#""days":["mon","tue"]"#, r#""days":[]"#, "names its days");
    check_refused(r#""from":"22:00""#, r#""from":"25:00""#, "time of day");
    check_refused(r#""onFailure":"hold""#, r#""onFailur":"hold""#, "unknown field");
}

fn sizes(plan: &RolloutPlan, fleet: &[Member]) -> Vec<usize> {
    let policy = "p".parse().unwrap();
    let mut sizes = vec![0; plan.waves.len()];
    for member in fleet {
        sizes[plan.wave_of(&policy, 2, &member.name, &member.labels)] += 1;
    }
    sizes
}

#[test]
fn waves_by_count_and_percent_are_exact_on_the_fleet_they_were_planned_for() {
    let fleet = members(200);
    let plan = strategy(CAREFUL).plan(&"p".parse().unwrap(), 2, &fleet).unwrap();
    assert_eq!(sizes(&plan, &fleet), [1, 49, 150]);
    let nobody = strategy(CAREFUL).plan(&"p".parse().unwrap(), 2, &[]).unwrap();
    assert_eq!(sizes(&nobody, &fleet), [0, 0, 200], "nobody was there to be a canary");
}

#[test]
fn a_wave_by_labels_takes_only_those_and_so_many() {
    let lab = careful_with(
        r#""nodes":{"count":1}"#,
        r#""nodes":{"count":2,"labels":{"matchLabels":{"zone":"b"}}}"#,
    );
    let fleet = members(30);
    let plan = lab.plan(&"p".parse().unwrap(), 2, &fleet).unwrap();
    assert_eq!(sizes(&plan, &fleet)[0], 2);
    let policy = "p".parse().unwrap();
    let first = fleet.iter().filter(|m| plan.wave_of(&policy, 2, &m.name, &m.labels) == 0);
    assert!(first.into_iter().all(|member| member.labels["zone"] == "b"));
}

#[test]
fn one_node_of_each_kernel_goes_with_the_first_wave() {
    let mut fleet = members(40);
    for (at, member) in fleet.iter_mut().enumerate() {
        member.class = ["6.1", "6.12", "6.18", "6.18"][at % 4].to_owned();
    }
    let plan = strategy(CAREFUL).plan(&"p".parse().unwrap(), 2, &fleet).unwrap();
    let policy = "p".parse().unwrap();
    let mut kernels: BTreeMap<&str, usize> = BTreeMap::new();
    for member in &fleet {
        if plan.wave_of(&policy, 2, &member.name, &member.labels) == 0 {
            *kernels.entry(&member.class).or_default() += 1;
        }
    }
    assert_eq!(kernels.into_iter().collect::<Vec<_>>(), [("6.1", 1), ("6.12", 1), ("6.18", 1)]);
}

#[test]
fn it_is_not_always_the_same_host_that_goes_first() {
    let fleet = members(50);
    let policy = "p".parse().unwrap();
    let canary = |revision| {
        let plan = strategy(CAREFUL).plan(&policy, revision, &fleet).unwrap();
        let first = fleet.iter().find(|m| plan.wave_of(&policy, revision, &m.name, &m.labels) == 0);
        first.unwrap().name.clone()
    };
    let all: std::collections::BTreeSet<_> = (2..30).map(canary).collect();
    assert!(all.len() > 10, "{all:?}");
}

proptest! {
    /// A node's wave depends on the signed plan and the node alone: who else is there, or comes later, moves nobody.
    #[test]
    fn nobody_changes_the_wave_when_others_join_or_leave(
        there in 1usize..60, gone in prop::collection::vec(any::<bool>(), 60), zone in 0usize..3,
    ) {
        let fleet = members(there);
        let policy = "p".parse().unwrap();
        let plan = strategy(CAREFUL).plan(&policy, 2, &fleet).unwrap();
        let wave = |m: &Member| plan.wave_of(&policy, 2, &m.name, &m.labels);
        let before: Vec<usize> = fleet.iter().map(wave).collect();
        let kept = fleet.iter().zip(&before).zip(&gone).filter(|(_, gone)| !**gone);
        for ((member, before), _) in kept {
            prop_assert_eq!(wave(member), *before);
        }
        let labels = Labels::from([("zone".to_owned(), ["a", "b", "c"][zone].to_owned())]);
        prop_assert!(plan.wave_of(&policy, 2, &node(1000), &labels) < plan.waves.len());
    }
}

#[test]
fn a_freeze_holds_for_its_time_and_its_policies() {
    let freeze: Freeze = serde_json::from_str(
        r#"{"kind":"Freeze","name":"holidays","from":"2026-12-20T00:00:00Z","until":"2027-01-02T00:00:00Z",
            "reason":"nobody is there","policies":["edge"]}"#,
    )
    .unwrap();
    freeze.check().unwrap();
    let (from, all) = (1_797_724_800, std::slice::from_ref(&freeze));
    assert_eq!(frozen(all, "edge", from - 1), None);
    assert_eq!(frozen(all, "edge", from), Some(freeze.clone()));
    assert_eq!(frozen(all, "core", from), None);
    assert_eq!(frozen(all, "edge", from + 13 * 86_400), None);
    let text = serde_json::to_string(&freeze).unwrap();
    assert_eq!(serde_json::from_str::<Freeze>(&text).unwrap(), freeze);
    let ends: Freeze = serde_json::from_str(&text.replace("2027-01-02", "2026-12-20")).unwrap();
    assert!(ends.check().is_err());
}
