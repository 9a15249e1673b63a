//! `skep run` beside an agent: neither takes off what the other put there, and packages come from the
//! registry as well as from a folder that was pulled.

use serde_json::Value;
use skep_e2e::node::{INTERFACE, Node};
use skep_e2e::process::Finished;
use skep_e2e::stage::{self, Stage};
use skep_e2e::{kernel, process, programs, wait};

use crate::can_run;

/// `skep` on a node, as its root, with places beside the agent's own.
fn on(stage: &Stage, node: &Node, words: &[&str]) -> Finished {
    let home = stage.world.operator.file("");
    let mut command = node.namespace.command(&programs::find("skep").unwrap());
    command.args(words).current_dir(&home).env("HOME", &home).env_remove("XDG_CONFIG_HOME");
    command
        .env("SKEP_SERVER", stage.world.registry.address())
        .env("SKEP_CA", stage.world.registry.ca())
        .env("SKEP_RUN_PIN_ROOT", node.pin_root().join("run"))
        .env("SKEP_RUN_STATE", node.state().join("run"))
        .env("SKEP_AGENT_PIN_ROOT", node.pin_root())
        .env("LIBXDP_BPFFS", node.libxdp_bpffs());
    process::run(&mut command).unwrap()
}

fn xdp_program(node: &Node) -> u64 {
    kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap().program_id
}

#[test]
fn the_agents_chain_is_refused_on_xdp_and_left_alone_on_tc() {
    if !can_run("run_beside::the_agents_chain_is_refused_on_xdp_and_left_alone_on_tc") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    for name in ["firewall", "flowlog"] {
        stage.publish(name).unwrap();
    }
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let guard = [stage::guard("skep/firewall@^0.1", "enforce")];
    stage.apply("edge.yaml", &stage::policy("edge-guard", "role=edge", "xdp", &guard)).unwrap();
    stage.converged(edge).unwrap();
    let node = &stage.world.nodes[edge];
    let before = xdp_program(node);
    let key = stage.publisher.public.as_str();

    for more in [[].as_slice(), &["--takeover"]] {
        let words = ["run", "skep/firewall", "-i", INTERFACE, "--key", key];
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        let said = on(&stage, node, &words).expect_code(3).unwrap();
        assert!(said.contains("The agent of this host runs a chain of 1 on eth0 xdp"), "{said}");
    }
    assert_eq!(xdp_program(node), before, "the agent's chain was not touched");

    // tc has room for both; the package comes out of a folder that was pulled and verified again.
    let pulled = ["pull", "skep/flowlog@0.1.0", "--out", "pulled", "--key", key];
    stage.world.operator.skep(&pulled).unwrap();
    let words = ["run", "pulled", "-i", INTERFACE, "--key", key, "--detach"];
    on(&stage, node, &words).expect_success().unwrap();
    let shown = on(&stage, node, &["--json", "top"]).expect_success().unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let keepers: Vec<&Value> =
        shown["chains"].as_array().unwrap().iter().map(|chain| &chain["keeper"]).collect();
    assert_eq!(keepers, ["agent", "run"]);
    let text = on(&stage, node, &["top", "--once"]).expect_success().unwrap();
    assert!(text.contains("eth0 xdp native") && text.contains("of agent"), "{text}");
    let socket = node.socket();
    let asked = ["top", "--once", "--socket", socket.to_str().unwrap()];
    let text = on(&stage, node, &asked).expect_success().unwrap();
    assert!(text.contains("guard") && !text.contains("of run"), "{text}");

    // One file to carry around is as good, and what is changed on the way is refused by name.
    let tar = |words: &[&str]| {
        let home = stage.world.operator.file("");
        process::run(std::process::Command::new("tar").args(words).current_dir(home))
            .unwrap()
            .expect_success()
            .unwrap()
    };
    tar(&["-C", "pulled", "-cf", "pulled.tar", "."]);
    let archived = ["run", "pulled.tar", "-i", INTERFACE, "--key", key, "--for", "1s"];
    on(&stage, node, &archived).expect_success().unwrap();
    let blobs = stage.world.operator.file("pulled/blobs/sha256");
    for blob in std::fs::read_dir(&blobs).unwrap().flatten() {
        let bytes = std::fs::read(blob.path()).unwrap();
        std::fs::write(blob.path(), [bytes.as_slice(), b" "].concat()).unwrap();
    }
    let said = on(&stage, node, &words).expect_code(3).unwrap();
    assert!(said.contains("should be sha256:"), "{said}");
    stage.world.operator.write("text.tar", "no archive at all").unwrap();
    let text = ["run", "text.tar", "-i", INTERFACE, "--key", key];
    let said = on(&stage, node, &text).expect_code(1).unwrap();
    assert!(said.contains("neither a BPF object nor an OCI layout"), "{said}");

    // The agent looks at its hooks again, and finds nothing to repair.
    let mut agent_again = stage;
    agent_again.world.nodes[edge].stop_agent().unwrap();
    agent_again.world.nodes[edge].start_agent().unwrap();
    agent_again.converged(edge).unwrap();
    let node = &agent_again.world.nodes[edge];
    assert_eq!(xdp_program(node), before);
    let said = on(&agent_again, node, &["run", "--stop", INTERFACE]).expect_success().unwrap();
    assert!(said.contains("Taken off eth0 tc-ingress: flowlog"), "{said}");
    assert_eq!(xdp_program(node), before);
}

#[test]
fn an_agent_does_not_take_off_what_a_person_runs_and_says_what_is_in_its_way() {
    if !can_run(
        "run_beside::an_agent_does_not_take_off_what_a_person_runs_and_says_what_is_in_its_way",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let node = &stage.world.nodes[edge];
    // Straight from the registry, trusted by the file that a person keeps for it.
    let policy = stage.trusting_policy();
    stage.world.operator.write(".config/skep/trust.toml", &policy).unwrap();
    let words = ["run", "skep/firewall@0.1.0", "-i", INTERFACE, "--detach"];
    on(&stage, node, &words).expect_success().unwrap();
    let ours = xdp_program(node);

    let guard = [stage::guard("skep/firewall@^0.1", "enforce")];
    stage.apply("edge.yaml", &stage::policy("edge-guard", "role=edge", "xdp", &guard)).unwrap();
    let (_, said) = stage.refused_with(edge, "chain.foreign_program").unwrap();
    assert!(said.contains("which Skep did not attach"), "{said}");
    let node = &stage.world.nodes[edge];
    assert_eq!(xdp_program(node), ours);

    // Once the person is done, the agent gets what it wants by itself.
    on(&stage, node, &["run", "--stop", INTERFACE]).expect_success().unwrap();
    wait::until("the agent's chain is on the hook", wait::PATIENCE, || {
        let attached = kernel::attached_xdp(&node.namespace, INTERFACE)?;
        Ok(attached.filter(|program| program.program_id != ours))
    })
    .unwrap();
}
