//! Rollouts with the finished programs and real packets: a good version goes through, a bad one comes back by itself.

use serde_json::Value;
use skep_e2e::node::{GOOD, INTERFACE};
use skep_e2e::rollout::{self, POLICY, Traffic};
use skep_e2e::stage::{self, Stage};
use skep_e2e::{chain, kernel, wait};
use std::time::{Duration, Instant};

/// From the canary's first packet dropped to the rollout's word that it is over. Counters are reported every five seconds; a
/// busy test machine gets time for that many times over.
const BACK_WITHIN: Duration = Duration::from_secs(45);

fn guarded_by(version: &str) -> String {
    let range = format!("skep/firewall@={version}");
    stage::policy(POLICY, "role=edge", "xdp", &[stage::guard(&range, "enforce")])
}

/// Two nodes that run the first version, without waves, and packets to both.
fn two_nodes() -> (Stage, Traffic) {
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    for name in ["edge-1", "edge-2"] {
        stage.add_node(name, "role=edge").unwrap();
    }
    stage.apply("guard.yaml", &guarded_by("0.1.0")).unwrap();
    for node in [0, 1] {
        stage.converged(node).unwrap();
    }
    let traffic = Traffic::to_all(&stage).unwrap();
    (stage, traffic)
}

fn version(stage: &Stage, node: usize) -> String {
    let xdp = stage.world.nodes[node].chain(&stage.world.operator, "xdp").unwrap();
    chain::version(&xdp, "guard").unwrap().to_owned()
}

fn generation(stage: &Stage, node: usize) -> Value {
    let seen = stage.world.nodes[node].as_seen_by(&stage.world.operator).unwrap();
    seen["summary"]["wanted_generation"].clone()
}

#[test]
fn a_good_version_goes_through_though_the_registry_is_killed_half_way() {
    if !crate::can_run(
        "rollouts::a_good_version_goes_through_though_the_registry_is_killed_half_way",
    ) {
        return;
    }
    let (mut stage, traffic) = two_nodes();
    stage.publish_version("firewall", "0.1.1").unwrap();
    let document = rollout::in_waves(&guarded_by("0.1.1"), &rollout::careful(6));
    let applied = stage.apply("guard.yaml", &document).unwrap();
    assert!(applied.contains("in 2 waves"), "{applied}");
    let watched = |detail: &Value| detail["summary"]["stage"] == "bake";
    let detail =
        rollout::until(&stage.world.operator, 2, "the canary is watched", watched).unwrap();
    let (canary, other) = rollout::canary_and_other(&stage, &detail).unwrap();
    assert_eq!((version(&stage, canary), version(&stage, other)), ("0.1.1".into(), "0.1.0".into()));

    stage.world.registry.kill().unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();
    let operator = &stage.world.operator;
    let again = rollout::shown(operator, 2).unwrap();
    assert_eq!(again["targets"], detail["targets"], "nothing was forgotten and nobody asked again");
    rollout::until(operator, 2, "the rollout goes through", |it| rollout::is(it, "succeeded"))
        .unwrap();
    for node in [canary, other] {
        stage.converged(node).unwrap();
        assert_eq!(version(&stage, node), "0.1.1");
    }
    for (receiver, stream) in traffic.receivers.iter().zip(traffic.streams) {
        let sent = stream.stop().unwrap();
        let heard = receiver.heard_of(GOOD, sent).unwrap();
        assert_eq!(heard.missing(GOOD, sent), None, "no packet is lost on the way");
    }
    let words = ["rollout", "show", POLICY];
    let page = operator.skep(&words).unwrap();
    assert!(page.contains("gate-passed") && page.contains("succeeded"), "{page}");
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a figure that is read, not asserted beyond a generous bound"
)]
fn a_bad_version_is_noticed_on_the_canary_alone_and_comes_back_by_itself() {
    if !crate::can_run(
        "rollouts::a_bad_version_is_noticed_on_the_canary_alone_and_comes_back_by_itself",
    ) {
        return;
    }
    let (stage, traffic) = two_nodes();
    rollout::publish_bad_firewall(&stage, "0.1.1").unwrap();
    let operator = &stage.world.operator;
    let runs =
        |node: usize| kernel::attached_xdp(&stage.world.nodes[node].namespace, INTERFACE).unwrap();
    let before = [(runs(0), generation(&stage, 0)), (runs(1), generation(&stage, 1))];
    let document = rollout::in_waves(&guarded_by("0.1.1"), &rollout::careful(60));
    stage.apply("guard.yaml", &document).unwrap();
    let begun = |detail: &Value| detail["summary"]["nodes"]["waiting"] == 1;
    let detail = rollout::until(operator, 2, "the canary is offered it", begun).unwrap();
    let (canary, other) = rollout::canary_and_other(&stage, &detail).unwrap();
    wait::until("the canary runs it", wait::PATIENCE, || {
        Ok((runs(canary) != before[canary].0).then_some(()))
    })
    .unwrap();
    let begun = Instant::now();
    let back = rollout::until(operator, 2, "it goes back", |it| rollout::is(it, "rolled back"));
    let took = begun.elapsed();
    let detail = back.unwrap();
    assert!(took < BACK_WITHIN, "{took:?}");
    eprintln!("bad version on the canary → all rolled back: {} ms", took.as_millis());
    assert_eq!(version(&stage, canary), "0.1.0");
    assert_eq!((runs(other), generation(&stage, other)), before[other], "it was never touched");
    // Packets go on, on both nodes.
    for (receiver, stream) in traffic.receivers.iter().zip(&traffic.streams) {
        let heard = receiver.heard().count(GOOD);
        stream.wait_for(stream.sent() + 100).unwrap();
        wait::until("packets arrive again", wait::PATIENCE, || {
            Ok((receiver.heard().count(GOOD) > heard).then_some(()))
        })
        .unwrap();
    }
    let heard = traffic.receivers[other].heard().count(GOOD);
    assert!(heard > traffic.receivers[canary].heard().count(GOOD), "only the canary dropped any");
    let evidence = detail["evidence"].as_array().unwrap();
    let failed = evidence.iter().find(|one| one["what"] == "gate-failed").unwrap();
    let name = &stage.world.nodes[canary].name;
    let sample = failed["samples"].as_array().unwrap().iter().find(|s| s["node"] == **name);
    assert!(sample.unwrap()["dropped"].as_u64().unwrap() > 0, "{failed}");
    let page = operator.skep(&["rollout", "show", POLICY]).unwrap();
    assert!(page.contains("gate-failed") && page.contains("packets dropped"), "{page}");
    let watched = operator.try_skep(&["rollout", "watch", POLICY]).unwrap();
    watched.expect_code(3).unwrap();
    // The next plan says so, and the same bytes do not go out once more.
    let path = operator.file("guard.yaml");
    let planned = operator.skep(&["plan", "-f", path.to_str().unwrap()]).unwrap();
    assert!(planned.contains("went back"), "{planned}");
    drop(traffic);
}
