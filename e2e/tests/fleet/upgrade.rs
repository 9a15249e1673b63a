//! Changes under traffic: every packet arrives, and every packet met the old chain or the new one.

use skep_e2e::chain;
use skep_e2e::kernel::{self, HeldCounters};
use skep_e2e::node::{GOOD, INTERFACE, LISTENS_AT};
use skep_e2e::stage::{self, Stage};
use skep_e2e::traffic::{Receiver, Stream};

#[test]
fn an_upgrade_under_traffic_loses_no_packet_and_lets_none_pass_uninspected() {
    if !crate::can_run(
        "upgrade::an_upgrade_under_traffic_loses_no_packet_and_lets_none_pass_uninspected",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish("ratelimit").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let document = |range: &'static str| {
        let members = [stage::guard(range, "enforce"), stage::limiter("skep/ratelimit@^0.1")];
        stage::policy("edge-guard", "role=edge", "xdp", &members)
    };
    stage.apply("edge-guard.yaml", &document("skep/firewall@=0.1.0")).unwrap();
    stage.converged(edge).unwrap();
    stage.publish_version("firewall", "0.1.1").unwrap();

    let node = &stage.world.nodes[edge];
    let receiver = Receiver::listen(&node.namespace, LISTENS_AT).unwrap();
    let received_before = kernel::received_packets(&node.namespace, INTERFACE).unwrap();
    let old = HeldCounters::hold(&node.namespace, INTERFACE, stage.world.bpffs()).unwrap();
    let counted_before = old.packets(0).unwrap();
    let old_program = kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap();

    let stream = Stream::start(&node.peer, GOOD, LISTENS_AT, 2_000).unwrap();
    stream.wait_for(1_000).unwrap();
    stage.apply("edge-guard.yaml", &document("skep/firewall@=0.1.1")).unwrap();
    stage.converged(edge).unwrap();
    stream.wait_for(stream.sent() + 1_000).unwrap();
    let sent = stream.stop().unwrap();

    let heard = receiver.heard_of(GOOD, sent).unwrap();
    assert_eq!(heard.missing(GOOD, sent), None, "of {sent} packets none is lost");
    assert_eq!(heard.repeated, 0);
    let new_program = kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap();
    assert_ne!(old_program.program_id, new_program.program_id);
    let xdp = node.chain(&stage.world.operator, "xdp").unwrap();
    assert_eq!(chain::version(&xdp, "guard").unwrap(), "0.1.1");

    // The driver's count equals what the old and the new chain inspected together, in each of their two members.
    let new = HeldCounters::hold(&node.namespace, INTERFACE, stage.world.bpffs()).unwrap();
    let received = kernel::received_packets(&node.namespace, INTERFACE).unwrap() - received_before;
    assert_eq!(received, sent);
    for slot in [0, 1] {
        let (by_old, by_new) =
            (old.packets(slot).unwrap() - counted_before, new.packets(slot).unwrap());
        assert!(by_old > 0 && by_new > 0, "both chains saw traffic: {by_old} and {by_new}");
        assert_eq!(by_old + by_new, sent, "slot {slot}");
    }
    assert_eq!(chain::missed(&xdp), 0);
}

#[test]
fn an_agent_that_is_restarted_or_killed_under_traffic_leaves_the_chain_alone() {
    if !crate::can_run(
        "upgrade::an_agent_that_is_restarted_or_killed_under_traffic_leaves_the_chain_alone",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let members = [stage::guard("skep/firewall@^0.1", "enforce")];
    stage
        .apply("edge-guard.yaml", &stage::policy("edge-guard", "role=edge", "xdp", &members))
        .unwrap();
    stage.converged(edge).unwrap();

    let node = &mut stage.world.nodes[edge];
    let before = kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap();
    let receiver = Receiver::listen(&node.namespace, LISTENS_AT).unwrap();
    let stream = Stream::start(&node.peer, GOOD, LISTENS_AT, 2_000).unwrap();
    stream.wait_for(200).unwrap();
    node.stop_agent().unwrap();
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap(), before);
    node.start_agent().unwrap();
    node.kill_agent().unwrap();
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap(), before);
    node.start_agent().unwrap();
    stream.wait_for(stream.sent() + 500).unwrap();
    let sent = stream.stop().unwrap();

    let heard = receiver.heard_of(GOOD, sent).unwrap();
    assert_eq!(heard.missing(GOOD, sent), None);
    let after = kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap();
    assert_eq!(after, before, "the agent adopts what runs");
    stage.converged(edge).unwrap();
    let xdp = stage.world.nodes[edge].chain(&stage.world.operator, "xdp").unwrap();
    assert_eq!(chain::packets(&xdp, "guard").unwrap(), sent);
}

#[test]
fn a_node_keeps_its_chain_when_the_registry_is_gone_and_goes_on_when_it_is_back() {
    if !crate::can_run(
        "upgrade::a_node_keeps_its_chain_when_the_registry_is_gone_and_goes_on_when_it_is_back",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish("ratelimit").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let members = [stage::guard("skep/firewall@^0.1", "enforce")];
    stage
        .apply("edge-guard.yaml", &stage::policy("edge-guard", "role=edge", "xdp", &members))
        .unwrap();
    stage.converged(edge).unwrap();
    let before =
        kernel::attached_xdp(&stage.world.nodes[edge].namespace, INTERFACE).unwrap().unwrap();

    stage.world.registry.kill().unwrap();
    // A restart of the agent with no registry to ask: it puts itself to work from its own ledger.
    stage.world.nodes[edge].stop_agent().unwrap();
    stage.world.nodes[edge].start_agent().unwrap();
    let node = &stage.world.nodes[edge];
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap(), before);
    assert_eq!(chain::names(&node.chain(&stage.world.operator, "xdp").unwrap()), ["guard"]);

    stage.world.registry.start_again(&stage.world.hub).unwrap();
    stage.guard_edges().unwrap();
    stage.converged(edge).unwrap();
    let node = &stage.world.nodes[edge];
    assert_eq!(
        chain::names(&node.chain(&stage.world.operator, "xdp").unwrap()),
        ["guard", "limiter"]
    );
}
