//! What operators sign beside revisions, with the finished programs: policy sets, epochs, approvals, revocations.

use serde_json::Value;
use skep_e2e::node::INTERFACE;
use skep_e2e::stage::{self, Stage};
use skep_e2e::{chain, kernel, wait};
use std::time::{Duration, Instant};

/// From `skep revoke` to a connected agent that says so: the bar is 5 seconds; a busy test machine gets three times that.
const REVOKED_WITHIN: Duration = Duration::from_secs(15);

fn guard_document(range: &str) -> String {
    stage::policy("edge-guard", "role=edge", "xdp", &[stage::guard(range, "enforce")])
}

fn standing(stage: &Stage, index: usize) -> Value {
    stage.world.nodes[index].as_seen_by(&stage.world.operator).unwrap()["standing"].clone()
}

fn attached(stage: &Stage, index: usize) -> Option<kernel::AttachedXdp> {
    kernel::attached_xdp(&stage.world.nodes[index].namespace, INTERFACE).unwrap()
}

/// Waits until a node that refused runs what it should: its last word may still be the refusal.
#[track_caller]
fn heals(stage: &Stage, index: usize) {
    let mut last = Value::Null;
    let healed = wait::until("the node heals", Duration::from_secs(60), || {
        last = stage.world.nodes[index].as_seen_by(&stage.world.operator)?["summary"].clone();
        let number = |key: &str| last[key].as_u64().unwrap_or(0);
        let done = last["refusal"].is_null()
            && number("wanted_generation") > 0
            && number("wanted_generation") == number("applied_generation");
        Ok(done.then_some(()))
    });
    let log = stage.world.nodes[index].agent_log().unwrap();
    let words: Vec<&str> = log.lines().rev().take(15).collect();
    assert!(healed.is_ok(), "{last}\n{}", words.join("\n"));
}

#[test]
fn a_restored_registry_heals_by_a_new_epoch_that_operators_sign() {
    if !crate::can_run("operators::a_restored_registry_heals_by_a_new_epoch_that_operators_sign") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    stage.apply("edge-guard.yaml", &guard_document("skep/firewall@=0.1.0")).unwrap();
    stage.converged(edge).unwrap();
    let backup = stage.world.folder().join("backup");
    stage.world.registry.stop().unwrap();
    stage.world.registry.copy_data(&backup).unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();
    // Two more revisions, so that the node is ahead of the backup in every number.
    for mode in ["observe", "enforce"] {
        let members = [stage::guard("skep/firewall@=0.1.0", mode)];
        let document = stage::policy("edge-guard", "role=edge", "xdp", &members);
        stage.apply("edge-guard.yaml", &document).unwrap();
        stage.converged(edge).unwrap();
    }
    let running = kernel::attached_xdp(&stage.world.nodes[edge].namespace, INTERFACE).unwrap();

    stage.world.registry.stop().unwrap();
    stage.world.registry.replace_data(&backup).unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();
    let (code, message) = stage.refused(edge).unwrap();
    assert!(matches!(code.as_str(), "state.rollback" | "set.rollback"), "{code}: {message}");
    let now = kernel::attached_xdp(&stage.world.nodes[edge].namespace, INTERFACE).unwrap();
    assert!(running.is_some() && now == running, "what runs is kept");

    let operator = &stage.world.operator;
    let key = stage.operator.argument().unwrap();
    let said = operator.skep(&["policy", "epoch", "--bump", "--key", key]).unwrap();
    assert!(said.contains("epoch 2"), "{said}");
    assert!(said.contains("edge-guard"), "it says what is behind: {said}");
    // The directory is the truth: applying it again goes on above what the node accepted.
    let applied = stage.apply("edge-guard.yaml", &guard_document("skep/firewall@=0.1.0")).unwrap();
    assert!(applied.contains("edge-guard r4"), "{applied}");
    heals(&stage, edge);
    let set = &standing(&stage, edge)["set"];
    assert_eq!(set["epoch"], 2, "{set}");
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a figure that is read, not asserted beyond a generous bound"
)]
fn a_revoked_version_is_refused_by_a_connected_agent_within_seconds() {
    if !crate::can_run(
        "operators::a_revoked_version_is_refused_by_a_connected_agent_within_seconds",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let keeps = stage.add_node("edge-1", "role=edge").unwrap();
    let policy = stage.trusting_policy() + "\n[on-revoke]\nxdp = \"detach\"\n";
    let detaches = stage.add_node_with("edge-2", "role=edge", &policy).unwrap();
    stage.apply("edge-guard.yaml", &guard_document("skep/firewall@=0.1.0")).unwrap();
    for node in [keeps, detaches] {
        stage.converged(node).unwrap();
    }
    let key = stage.operator.argument().unwrap();
    let operator = &stage.world.operator;
    let words = ["revoke", "skep/firewall@0.1.0", "--reason", "lets IPv6 pass", "--key", key];
    operator.skep(&words).unwrap();
    let begun = Instant::now();
    let (code, message) = stage.refused(keeps).unwrap();
    let took = begun.elapsed();
    assert_eq!(code, "package.revoked", "{message}");
    assert!(message.contains("lets IPv6 pass") && message.contains("is kept"), "{message}");
    assert!(took < REVOKED_WITHIN, "{took:?}");
    eprintln!("revoke → refused, as the registry shows it: {} ms", took.as_millis());
    assert!(
        attached(&stage, keeps).is_some(),
        "keep is what the node's owner said by saying nothing"
    );
    wait::until("the chain is off where the owner wants that", REVOKED_WITHIN, || {
        Ok(attached(&stage, detaches).is_none().then_some(()))
    })
    .unwrap();
    let (code, message) = stage.refused(detaches).unwrap();
    assert_eq!(code, "package.revoked");
    assert!(message.contains("taken off"), "{message}");
    let page = operator.skep(&["node", "show", "edge-2"]).unwrap();
    assert!(page.contains("revoked") && page.contains("lets IPv6 pass"), "{page}");

    // A restart forgets nothing, and a version that is not revoked takes its place.
    stage.world.nodes[detaches].stop_agent().unwrap();
    stage.world.nodes[detaches].start_agent().unwrap();
    assert_eq!(stage.refused(detaches).unwrap().0, "package.revoked");
    assert!(attached(&stage, detaches).is_none());
    stage.publish_version("firewall", "0.1.1").unwrap();
    stage.apply("edge-guard.yaml", &guard_document("skep/firewall@^0.1")).unwrap();
    for node in [keeps, detaches] {
        heals(&stage, node);
        let xdp = stage.world.nodes[node].chain(&stage.world.operator, "xdp").unwrap();
        assert_eq!(chain::version(&xdp, "guard").unwrap(), "0.1.1");
    }
}

#[test]
fn a_revision_that_asks_for_approval_waits_for_the_operators_it_asks() {
    if !crate::can_run(
        "operators::a_revision_that_asks_for_approval_waits_for_the_operators_it_asks",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let document = guard_document("skep/firewall@=0.1.0")
        .replace("programs:", "approval: { before: [canary], by: 1 }\nprograms:");
    stage.apply("edge-guard.yaml", &document).unwrap();
    let (code, message) = stage.refused(edge).unwrap();
    assert_eq!(code, "approval.not_enough", "{message}");
    assert!(message.contains("skep approve edge-guard --wave canary"), "{message}");
    let operator = &stage.world.operator;
    let approve = |key: &str, wave: &str| {
        operator.try_skep(&["approve", "edge-guard", "--wave", wave, "--key", key]).unwrap()
    };
    // A stranger's approval is stored, because the registry knows no operators, and counts on no node.
    let stranger = stage.stranger().unwrap();
    approve(stranger.argument().unwrap(), "canary").expect_success().unwrap();
    approve(stage.operator.argument().unwrap(), "other").expect_code(2).unwrap();
    assert_eq!(stage.refused(edge).unwrap().0, "approval.not_enough");
    approve(stage.operator.argument().unwrap(), "canary").expect_success().unwrap();
    heals(&stage, edge);
}

#[test]
fn two_operators_sign_one_after_the_other_on_two_machines() {
    if !crate::can_run("operators::two_operators_sign_one_after_the_other_on_two_machines") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let second = stage.stranger().unwrap();
    let policy = stage.trusting_policy().replace(
        &format!("[operator]\nkeys = [\"{}\"]\nthreshold = 1", stage.operator.public),
        &format!(
            "[operator]\nkeys = [\"{}\", \"{}\"]\nthreshold = 2\nenvironment = \"prod\"",
            stage.operator.public, second.public
        ),
    );
    let edge = stage.add_node_with("edge-1", "role=edge", &policy).unwrap();
    let operator = &stage.world.operator;
    let document = operator.write("guard.yaml", &guard_document("skep/firewall@=0.1.0")).unwrap();
    let signed = operator.file("guard.signed");
    let (document, signed) = (document.to_str().unwrap(), signed.to_str().unwrap());
    let first = stage.operator.argument().unwrap();
    let environment = ["--environment", "prod"];
    let words = ["apply", "-f", document, "--key", first, "--sign-only", signed];
    operator.skep(&[&words[..], &environment].concat()).unwrap();
    assert!(
        operator.skep_json(&["policy", "list"]).unwrap()["policies"].as_array().unwrap().is_empty()
    );
    let said = operator.try_skep(&["policy", "sign", signed, "--key", second.argument().unwrap()]);
    let said = said.unwrap();
    assert!(said.stderr.contains("edge-guard r1"), "{said}");
    operator.skep(&["apply", "--signed", signed]).unwrap();
    heals(&stage, edge);
    assert_eq!(standing(&stage, edge)["set"]["environment"], "prod");

    // One signature is not enough for the next revision, and what runs goes on.
    let members = [stage::guard("skep/firewall@=0.1.0", "observe")];
    stage.apply("guard.yaml", &stage::policy("edge-guard", "role=edge", "xdp", &members)).unwrap();
    let (code, message) = stage.refused(edge).unwrap();
    assert!(code.ends_with("threshold_not_met"), "{code}: {message}");
}
