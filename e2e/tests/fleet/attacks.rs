//! What a node refuses, with the reason, while its chain goes on.

use skep_e2e::node::INTERFACE;
use skep_e2e::stage::{self, Stage};
use skep_e2e::{chain, kernel};

fn guard_document(range: &str) -> String {
    stage::policy("edge-guard", "role=edge", "xdp", &[stage::guard(range, "enforce")])
}

#[test]
fn a_package_whose_bytes_were_changed_in_the_registry_is_refused() {
    if !crate::can_run("attacks::a_package_whose_bytes_were_changed_in_the_registry_is_refused") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    assert!(stage.world.registry.tamper_with_layers().unwrap().count() > 0);
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    stage.apply("edge-guard.yaml", &guard_document("skep/firewall@^0.1")).unwrap();
    let (code, message) = stage.refused(edge).unwrap();
    assert_eq!(code, "package.digest_mismatch", "{message}");
    assert_eq!(kernel::attached_xdp(&stage.world.nodes[edge].namespace, INTERFACE).unwrap(), None);
}

#[test]
fn a_package_signed_by_a_key_the_node_does_not_know_is_refused() {
    if !crate::can_run("attacks::a_package_signed_by_a_key_the_node_does_not_know_is_refused") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let stranger = stage.stranger().unwrap();
    let policy = stage.trusting_policy().replace(&stage.publisher.public, &stranger.public);
    let edge = stage.add_node_with("edge-1", "role=edge", &policy).unwrap();
    stage.apply("edge-guard.yaml", &guard_document("skep/firewall@^0.1")).unwrap();
    let (code, message) = stage.refused(edge).unwrap();
    assert_eq!(code, "package.signature_untrusted", "{message}");
    assert_eq!(kernel::attached_xdp(&stage.world.nodes[edge].namespace, INTERFACE).unwrap(), None);
}

#[test]
fn a_policy_signed_by_a_key_the_node_does_not_know_is_refused() {
    if !crate::can_run("attacks::a_policy_signed_by_a_key_the_node_does_not_know_is_refused") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    stage.operator = stage.stranger().unwrap();
    stage.apply("edge-guard.yaml", &guard_document("skep/firewall@^0.1")).unwrap();
    let (code, message) = stage.refused(edge).unwrap();
    // The stranger signed the policy set over it as well.
    assert!(code.ends_with(".signature_untrusted"), "{code}: {message}");
}

#[test]
fn a_registry_put_back_to_an_older_state_cannot_take_a_node_back() {
    if !crate::can_run("attacks::a_registry_put_back_to_an_older_state_cannot_take_a_node_back") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish("ratelimit").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    stage.apply("edge-guard.yaml", &guard_document("skep/firewall@=0.1.0")).unwrap();
    stage.converged(edge).unwrap();
    let backup = stage.world.folder().join("backup");
    stage.world.registry.stop().unwrap();
    stage.world.registry.copy_data(&backup).unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();

    stage.publish_version("firewall", "0.1.1").unwrap();
    stage.apply("edge-guard.yaml", &guard_document("skep/firewall@=0.1.1")).unwrap();
    stage.converged(edge).unwrap();
    let running = kernel::attached_xdp(&stage.world.nodes[edge].namespace, INTERFACE).unwrap();

    stage.world.registry.stop().unwrap();
    stage.world.registry.replace_data(&backup).unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();
    let (code, message) = stage.refused(edge).unwrap();
    assert_eq!(code, "state.rollback", "{message}");

    // The registry counts on, past the generation that the node has, and offers the old revision beside a new policy.
    for priority in [40, 41, 42] {
        let members = [stage::Member { priority, ..stage::limiter("skep/ratelimit@^0.1") }];
        stage.apply("limits.yaml", &stage::policy("limits", "role=edge", "xdp", &members)).unwrap();
    }
    let (code, message) = stage.refused_with(edge, "policy.").unwrap();
    assert_eq!(code, "policy.rollback", "{message}");
    let node = &stage.world.nodes[edge];
    let xdp = node.chain(&stage.world.operator, "xdp").unwrap();
    assert_eq!(chain::version(&xdp, "guard").unwrap(), "0.1.1");
    assert!(
        running.is_some() && kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().is_some()
    );
}
