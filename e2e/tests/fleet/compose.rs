//! Several policies on one hook, and the way out on the worst day.

use skep_e2e::node::INTERFACE;
use skep_e2e::stage::{self, Stage};
use skep_e2e::{chain, kernel};

#[test]
fn two_policies_on_one_hook_compose_by_priority_whatever_came_first() {
    if !crate::can_run("compose::two_policies_on_one_hook_compose_by_priority_whatever_came_first")
    {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish("ratelimit").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let later = [stage::limiter("skep/ratelimit@^0.1")];
    stage.apply("limits.yaml", &stage::policy("a-limits", "role=edge", "xdp", &later)).unwrap();
    stage.converged(edge).unwrap();
    let first = [stage::guard("skep/firewall@^0.1", "enforce")];
    stage.apply("guard.yaml", &stage::policy("z-guard", "role=edge", "xdp", &first)).unwrap();
    stage.converged(edge).unwrap();
    let xdp = stage.world.nodes[edge].chain(&stage.world.operator, "xdp").unwrap();
    assert_eq!(chain::names(&xdp), ["guard", "limiter"]);

    // Removing one policy by a signed tombstone leaves the other's programs where they are.
    let remove = ["policy", "remove", "a-limits", "--key", stage.operator.argument().unwrap()];
    stage.world.operator.skep(&remove).unwrap();
    stage.converged(edge).unwrap();
    let xdp = stage.world.nodes[edge].chain(&stage.world.operator, "xdp").unwrap();
    assert_eq!(chain::names(&xdp), ["guard"]);
}

#[test]
fn detach_all_takes_every_chain_off_without_a_server_and_without_an_agent() {
    if !crate::can_run(
        "compose::detach_all_takes_every_chain_off_without_a_server_and_without_an_agent",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish("flowlog").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let guard = [stage::guard("skep/firewall@^0.1", "enforce")];
    stage.apply("guard.yaml", &stage::policy("guard", "role=edge", "xdp", &guard)).unwrap();
    let flows = [stage::flows("skep/flowlog@^0.1")];
    stage.apply("flows.yaml", &stage::policy("flows", "role=edge", "tc-ingress", &flows)).unwrap();
    stage.converged(edge).unwrap();

    stage.world.registry.stop().unwrap();
    let node = &mut stage.world.nodes[edge];
    assert_eq!(node.pinned_hooks().unwrap(), 2);
    node.kill_agent().unwrap();
    let said = node.detach_all().unwrap().expect_success().unwrap();
    assert!(said.contains(INTERFACE), "it says from where: {said}");
    assert!(kernel::attachments(&node.namespace).unwrap().is_empty());
    // Older versions of bpftool do not list tcx: with its pin gone a link has no owner left.
    assert_eq!(node.pinned_hooks().unwrap(), 0);
    // Nothing comes back behind the person's back when the agent is started again.
    node.start_agent().unwrap();
    assert!(node.chains(&stage.world.operator).unwrap().is_empty());
}
