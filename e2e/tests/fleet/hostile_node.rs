//! What a node meets: a program its kernel refuses, an interface that goes away.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests call panics as they do: with what was said"
)]

use serde_json::Value;
use skep_e2e::node::{INTERFACE, Node};
use skep_e2e::stage::{self, Member, Stage};
use skep_e2e::{chain, kernel, wait};

/// Reads beyond the packet's end without asking: the verifier refuses it.
const RECKLESS: &str = "
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC(\"xdp\") int reckless(struct xdp_md *ctx) { return *((char *)(long)ctx->data + 1000) & 1 ? XDP_PASS : XDP_DROP; }
char _license[] SEC(\"license\") = \"GPL\";
";

fn publish_reckless(stage: &Stage) {
    let folder = stage.world.folder().join("reckless");
    std::fs::create_dir_all(&folder).unwrap();
    let object = crate::hostile::compile(&folder, RECKLESS, "bpfel");
    std::fs::write(folder.join("reckless.bpf.o"), object).unwrap();
    let manifest = "[package]\nname = \"skep/reckless\"\nversion = \"1.0.0\"\nlicense = \"GPL-2.0-only\"\n\
         description = \"Reads where it may not.\"\n\n[[object]]\npath = \"reckless.bpf.o\"\narch = [\"amd64\", \"arm64\"]\n\n\
         [[program]]\nname = \"reckless\"\ntype = \"xdp\"\nattach = [\"ingress\"]\n";
    std::fs::write(folder.join("skep.toml"), manifest).unwrap();
    let key = stage.publisher.argument().unwrap();
    let words = ["publish", folder.to_str().unwrap(), "--key", key];
    stage.world.operator.skep(&words).unwrap();
}

#[test]
fn a_program_the_verifier_refuses_is_shown_with_its_last_lines_and_the_old_chain_runs_on() {
    if !crate::can_run(
        "hostile_node::a_program_the_verifier_refuses_is_shown_with_its_last_lines_and_the_old_chain_runs_on",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    publish_reckless(&stage);
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let guard = || stage::guard("skep/firewall@^0.1", "enforce");
    let document = |members: &[Member]| stage::policy("edge-guard", "role=edge", "xdp", members);
    stage.apply("edge-guard.yaml", &document(&[guard()])).unwrap();
    stage.converged(edge).unwrap();
    let node = &stage.world.nodes[edge];
    let operator = &stage.world.operator;
    let before = kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap();
    let members = node.chain(operator, "xdp").unwrap()["members"].clone();

    let reckless = Member {
        name: "reckless",
        package: "skep/reckless@^1",
        priority: 20,
        mode: "enforce",
        config: "{}".to_owned(),
    };
    stage.apply("edge-guard.yaml", &document(&[guard(), reckless])).unwrap();
    let (code, message) = stage.refused(edge).unwrap();
    assert_eq!(code, "chain.verifier_refused", "{message}");
    for words in ["eth0 xdp", "reckless", "invalid", "untouched"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let page = operator.skep(&["node", "show", "edge-1"]).unwrap();
    assert!(page.contains("invalid"), "the verifier's words are on the node's page: {page}");
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap(), before);
    let after = node.chain(operator, "xdp").unwrap()["members"].clone();
    let programs = |members: &Value| members[0]["program_id"].as_u64().unwrap();
    assert_eq!(after.as_array().unwrap().len(), 1);
    assert_eq!(programs(&after), programs(&members));
}

fn connect(node: &Node) {
    let peer = node.peer.name();
    let words =
        ["link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns", peer];
    node.namespace.ip(&words).unwrap();
    node.namespace.ip(&["link", "set", INTERFACE, "up"]).unwrap();
    node.peer.ip(&["link", "set", INTERFACE, "up"]).unwrap();
}

#[test]
fn an_interface_that_vanishes_is_gone_from_the_nodes_page_and_gets_its_chain_back_when_it_returns()
{
    if !crate::can_run(
        "hostile_node::an_interface_that_vanishes_is_gone_from_the_nodes_page_and_gets_its_chain_back_when_it_returns",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let members = [stage::guard("skep/firewall@^0.1", "enforce")];
    stage.apply("guard.yaml", &stage::policy("guard", "role=edge", "xdp", &members)).unwrap();
    stage.converged(edge).unwrap();
    let node = &stage.world.nodes[edge];
    let operator = &stage.world.operator;

    node.namespace.ip(&["link", "delete", INTERFACE]).unwrap();
    wait::until("the registry knows that the interface is gone", wait::PATIENCE, || {
        let seen = node.as_seen_by(operator)?;
        let there = seen["summary"]["interfaces"].as_array().into_iter().flatten();
        let gone = there.into_iter().all(|name| name != INTERFACE);
        Ok((gone && seen["chains"].as_array().is_none_or(Vec::is_empty)).then_some(()))
    })
    .unwrap();
    // Nothing of it stays pinned.
    let pins = walk(&node.pin_root());
    assert!(pins.iter().all(|name| !name.contains(INTERFACE)), "{pins:?}");

    connect(node);
    let again = wait::until("the chain is back", wait::PATIENCE, || {
        kernel::attached_xdp(&node.namespace, INTERFACE)
    });
    assert_eq!(again.unwrap().mode, "native");
    stage.converged(edge).unwrap();
    assert_eq!(chain::names(&node.chain(operator, "xdp").unwrap()), ["guard"]);
}

/// Every path below a folder.
fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut find = std::process::Command::new("find");
    let found = skep_e2e::process::run(find.arg(folder)).unwrap();
    found.stdout.lines().map(str::to_owned).collect()
}
