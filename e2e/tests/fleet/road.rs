//! Publish to first packet, and what policies do to packets.

use skep_e2e::kernel;
use skep_e2e::node::{BLOCKED, GOOD, INTERFACE, LISTENS_AT, NOISY};
use skep_e2e::stage::{self, LIMIT_BURST, Stage};
use skep_e2e::traffic::{Receiver, send};
use skep_e2e::{chain, wait};

#[test]
fn a_published_package_reaches_the_kernel_and_treats_packets_as_the_policies_say() {
    if !crate::can_run(
        "road::a_published_package_reaches_the_kernel_and_treats_packets_as_the_policies_say",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    for package in ["firewall", "ratelimit", "flowlog"] {
        stage.publish(package).unwrap();
    }
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    stage.guard_edges().unwrap();
    let members = [stage::flows("skep/flowlog@^0.1")];
    stage
        .apply(
            "observability.yaml",
            &stage::policy("observability", "role=edge", "tc-ingress", &members),
        )
        .unwrap();
    stage.converged(edge).unwrap();

    let (operator, node) = (&stage.world.operator, &stage.world.nodes[edge]);
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().unwrap().mode, "native");
    assert_eq!(chain::names(&node.chain(operator, "xdp").unwrap()), ["guard", "limiter"]);
    assert_eq!(chain::names(&node.chain(operator, "tc-ingress").unwrap()), ["flows"]);

    let receiver = Receiver::listen(&node.namespace, LISTENS_AT).unwrap();
    send(&node.peer, GOOD, LISTENS_AT, 1_000, 4_000).unwrap();
    send(&node.peer, BLOCKED, LISTENS_AT, 300, 4_000).unwrap();
    send(&node.peer, NOISY, LISTENS_AT, 1_500, 4_000).unwrap();

    // 2,800 packets left, and each was counted by the first member of the chain.
    let xdp = wait::until("the chain has met every packet", wait::PATIENCE, || {
        let xdp = node.chain(operator, "xdp")?;
        Ok((chain::packets(&xdp, "guard")? >= 2_800).then_some(xdp))
    })
    .unwrap();
    assert_eq!(chain::packets(&xdp, "guard").unwrap(), 2_800);
    assert_eq!(chain::verdicts(&xdp, "guard", "drop").unwrap(), 300);
    assert_eq!(chain::packets(&xdp, "limiter").unwrap(), 2_500);
    assert_eq!(chain::missed(&xdp), 0);

    let dropped_by_limiter = chain::verdicts(&xdp, "limiter", "drop").unwrap();
    let passed_by_limiter = 2_500 - dropped_by_limiter;
    receiver.heard_of(GOOD, 1_000).unwrap();
    let heard = receiver.heard_of(NOISY, passed_by_limiter - 1_000).unwrap();
    assert_eq!(heard.missing(GOOD, 1_000), None);
    assert_eq!(heard.count(BLOCKED), 0);
    assert_eq!(heard.count(NOISY), passed_by_limiter - 1_000);
    assert!(heard.count(NOISY) >= u64::from(LIMIT_BURST), "the burst passes");
    assert!(dropped_by_limiter > 0, "what is beyond the burst and the rate does not pass");

    let tc = node.chain(operator, "tc-ingress").unwrap();
    assert_eq!(chain::packets(&tc, "flows").unwrap(), passed_by_limiter);
}

#[test]
fn an_observing_firewall_counts_and_lets_everything_pass() {
    if !crate::can_run("road::an_observing_firewall_counts_and_lets_everything_pass") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let members = [stage::guard("skep/firewall@^0.1", "observe")];
    stage.apply("watch.yaml", &stage::policy("watch", "role=edge", "xdp", &members)).unwrap();
    stage.converged(edge).unwrap();

    let node = &stage.world.nodes[edge];
    let receiver = Receiver::listen(&node.namespace, LISTENS_AT).unwrap();
    send(&node.peer, BLOCKED, LISTENS_AT, 200, 4_000).unwrap();
    let heard = receiver.heard_of(BLOCKED, 200).unwrap();
    assert_eq!(heard.missing(BLOCKED, 200), None);
    let xdp = node.chain(&stage.world.operator, "xdp").unwrap();
    assert_eq!(chain::verdicts(&xdp, "guard", "drop").unwrap(), 200);
}

#[test]
fn a_node_that_no_selector_matches_runs_nothing() {
    if !crate::can_run("road::a_node_that_no_selector_matches_runs_nothing") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let core = stage.add_node("core-1", "role=core").unwrap();
    let members = [stage::guard("skep/firewall@^0.1", "enforce")];
    stage.apply("edge.yaml", &stage::policy("edge", "role=edge", "xdp", &members)).unwrap();
    stage.converged(edge).unwrap();
    let node = &stage.world.nodes[core];
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap(), None);
    assert!(node.chains(&stage.world.operator).unwrap().is_empty());
}
