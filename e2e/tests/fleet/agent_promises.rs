//! What a node's owner is promised of the agent, kept with the real registry and the real kernel.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests call panics as they do: with what was said"
)]

use std::process::Command;

use serde_json::Value;
use skep_e2e::node::{INTERFACE, Node};
use skep_e2e::process::{self, Finished};
use skep_e2e::stage::{self, Stage};
use skep_e2e::{chain, kernel, programs, wait};

fn guard(name: &str) -> String {
    stage::policy(name, "role=edge", "xdp", &[stage::guard("skep/firewall@^0.1", "enforce")])
}

fn limits(name: &str) -> String {
    stage::policy(name, "role=edge", "xdp", &[stage::limiter("skep/ratelimit@^0.1")])
}

/// A stage with the firewall running on one node. Its index is 0.
fn guarded() -> Stage {
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish("ratelimit").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    stage.apply("guard.yaml", &guard("guard")).unwrap();
    stage.converged(edge).unwrap();
    stage
}

fn agent(node: &Node, words: &[&str]) -> Finished {
    let mut command = node.namespace.command(&programs::find("skep-agent").unwrap());
    process::run(command.args(words).arg("--state").arg(node.state())).unwrap()
}

/// What of a chain the kernel numbered: the dispatcher, the link that holds it, the members. Equal numbers were not touched.
fn numbers(stage: &Stage) -> Vec<u64> {
    let node = &stage.world.nodes[0];
    let dispatcher = kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap();
    let mut bpftool = Command::new("bpftool");
    let links = process::run(bpftool.args(["--json", "link", "show"])).unwrap();
    let links: Value = serde_json::from_str(&links.expect_success().unwrap()).unwrap();
    let holds = |link: &&Value| link["prog_id"] == dispatcher.program_id;
    let link = links.as_array().unwrap().iter().find(holds).expect("a link holds the dispatcher");
    let chain = node.chain(&stage.world.operator, "xdp").unwrap();
    let members = chain["members"].as_array().unwrap().iter().map(|m| &m["program_id"]);
    let rest = members.chain([&link["id"]]).map(|number| number.as_u64().unwrap());
    rest.chain([dispatcher.program_id]).collect()
}

#[test]
fn a_restarted_agent_leaves_link_and_programs_as_they_are() {
    if !crate::can_run("agent_promises::a_restarted_agent_leaves_link_and_programs_as_they_are") {
        return;
    }
    let mut stage = guarded();
    let before = numbers(&stage);
    stage.world.nodes[0].stop_agent().unwrap();
    stage.world.nodes[0].start_agent().unwrap();
    stage.converged(0).unwrap();
    assert_eq!(numbers(&stage), before);
    stage.world.nodes[0].kill_agent().unwrap();
    stage.world.nodes[0].start_agent().unwrap();
    stage.converged(0).unwrap();
    assert_eq!(numbers(&stage), before);
}

#[test]
fn a_policy_that_a_restored_registry_forgot_stays_in_force_and_is_named() {
    if !crate::can_run(
        "agent_promises::a_policy_that_a_restored_registry_forgot_stays_in_force_and_is_named",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish("ratelimit").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let backup = stage.world.folder().join("backup");
    stage.world.registry.stop().unwrap();
    stage.world.registry.copy_data(&backup).unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();
    stage.apply("guard.yaml", &guard("guard")).unwrap();
    stage.converged(edge).unwrap();

    stage.world.registry.stop().unwrap();
    stage.world.registry.replace_data(&backup).unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();
    // The registry's numbers go past the node's, so that its state is not refused for being old.
    for round in 0..4 {
        stage.apply("limits.yaml", &limits(&format!("limits-{round}"))).unwrap();
    }
    let node = &stage.world.nodes[edge];
    let operator = &stage.world.operator;
    let names = wait::until("the new policies run beside the old one", wait::PATIENCE, || {
        let xdp = node.chain(operator, "xdp")?;
        let names: Vec<String> = chain::names(&xdp).into_iter().map(str::to_owned).collect();
        Ok((names.len() == 5).then_some(names))
    })
    .unwrap();
    assert_eq!(names, ["guard", "limiter", "limiter", "limiter", "limiter"]);
    let said = agent(node, &["status"]).expect_success().unwrap();
    assert!(said.contains("left out policy guard without a signed removal"), "{said}");
}

#[test]
fn a_signed_removal_takes_the_chain_off_and_says_nothing_more_is_wanted() {
    if !crate::can_run(
        "agent_promises::a_signed_removal_takes_the_chain_off_and_says_nothing_more_is_wanted",
    ) {
        return;
    }
    let stage = guarded();
    let remove = ["policy", "remove", "guard", "--key", stage.operator.argument().unwrap()];
    stage.world.operator.skep(&remove).unwrap();
    let node = &stage.world.nodes[0];
    wait::until("the chain is off", wait::PATIENCE, || {
        Ok(kernel::attached_xdp(&node.namespace, INTERFACE)?.is_none().then_some(()))
    })
    .unwrap();
    let seen = stage.converged(0).unwrap();
    assert_eq!(seen["summary"]["chains"], 0);
}

#[test]
fn what_was_detached_without_a_registry_stays_off_until_resume() {
    if !crate::can_run(
        "agent_promises::what_was_detached_without_a_registry_stays_off_until_resume",
    ) {
        return;
    }
    let mut stage = guarded();
    stage.world.registry.stop().unwrap();
    let node = &mut stage.world.nodes[0];
    node.detach_all().unwrap().expect_success().unwrap();
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap(), None);
    node.stop_agent().unwrap();
    node.start_agent().unwrap();
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap(), None);
    let said = agent(node, &["status"]).expect_success().unwrap();
    assert!(said.contains("skep-agent resume"), "{said}");
    assert!(said.contains("does not answer"), "{said}");

    agent(node, &["resume"]).expect_success().unwrap();
    wait::until("the chain is back without a registry", wait::PATIENCE, || {
        kernel::attached_xdp(&node.namespace, INTERFACE)
    })
    .unwrap();
}

#[test]
fn a_node_with_an_empty_policy_file_loads_nothing_and_says_which_key_to_add() {
    if !crate::can_run(
        "agent_promises::a_node_with_an_empty_policy_file_loads_nothing_and_says_which_key_to_add",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node_with("edge-1", "role=edge", "").unwrap();
    stage.apply("guard.yaml", &guard("guard")).unwrap();
    let (code, message) = stage.refused(edge).unwrap();
    assert_eq!(code, "policy.no_operator", "{message}");
    let key = stage.operator.argument().unwrap();
    let shown = stage.world.operator.skep_json(&["key", "show", key]).unwrap();
    let id = &shown["key_id"].as_str().unwrap()[..8];
    assert!(message.contains(id), "the key {id} is named: {message}");
    assert!(message.contains("[operator]"), "{message}");
    let node = &mut stage.world.nodes[edge];
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap(), None);

    // With the operator, but no publisher: now the publisher's namespace is what is missing.
    let operator_only = format!("[operator]\nkeys = [\"{}\"]\n", stage.operator.public);
    node.allow(&operator_only).unwrap();
    node.stop_agent().unwrap();
    node.start_agent().unwrap();
    let (code, message) = wait::until("the package is refused", wait::PATIENCE, || {
        let refused = stage.refused(edge)?;
        Ok((refused.0 != "policy.no_operator").then_some(refused))
    })
    .unwrap();
    assert_eq!(code, "package.namespace_not_allowed", "{message}");
    let node = &stage.world.nodes[edge];
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap(), None);
}
