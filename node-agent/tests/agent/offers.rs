//! What a server may not do: each attempt leaves what runs untouched and is named.

use crate::host::{Host, NOW, converge, pass};
use crate::signed::{
    Code, DROP, PASS, Published, Publisher, policy, revised, signed_state, state, trusting,
};
use skep_artifact::hook::Hook;
use skep_artifact::key::SecretKey;
use skep_fleet::PolicyRevision;
use skep_node_agent::fetch::FetchedBeside;
use skep_node_agent::node::Node;

/// A host that runs revision 2 of policy `fw` at generation 5, answering DROP.
fn with_a_running_policy(test: impl FnOnce(&Host, &mut Node, &Running) + Send) {
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let first = policy("fw", "skep0", vec![answer.member("guard", 10, PASS)]);
        let second = revised(&first, vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(5, &[&second]), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        test(host, &mut node, &Running { publisher, answer, first, second });
        assert_eq!(
            host.answers("skep0", Hook::Xdp).is_some(),
            !node.ledger().good.is_empty(),
            "the ledger must say what runs"
        );
    });
}

struct Running {
    publisher: Publisher,
    answer: Published,
    first: PolicyRevision,
    second: PolicyRevision,
}

#[track_caller]
fn refused(host: &Host, node: &mut Node, code: &str) {
    let before = host.program_ids();
    pass(node);
    assert_eq!(node.summary().refusal.map(|r| r.code).as_deref(), Some(code));
    assert_eq!(host.program_ids(), before, "what runs must be untouched");
    assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP));
}

#[test]
fn an_older_state_is_refused_also_after_a_restart() {
    if !crate::can_run("offers::an_older_state_is_refused_also_after_a_restart") {
        return;
    }
    with_a_running_policy(|host, node, running| {
        node.offer(&state(4, &[&running.first]), NOW).unwrap();
        refused(host, node, "state.rollback");
        *node = host.node();
        node.offer(&state(4, &[&running.second]), NOW).unwrap();
        refused(host, node, "state.rollback");
    });
}

#[test]
fn a_number_used_for_two_states_is_refused() {
    if !crate::can_run("offers::a_number_used_for_two_states_is_refused") {
        return;
    }
    with_a_running_policy(|host, node, running| {
        node.offer(&state(5, &[&running.first]), NOW).unwrap();
        refused(host, node, "state.equivocation");
    });
}

#[test]
fn an_older_revision_under_a_newer_number_is_refused() {
    if !crate::can_run("offers::an_older_revision_under_a_newer_number_is_refused") {
        return;
    }
    with_a_running_policy(|host, node, running| {
        node.offer(&state(6, &[&running.first]), NOW).unwrap();
        refused(host, node, "policy.rollback");
        *node = host.node();
        node.offer(&state(7, &[&running.first]), NOW).unwrap();
        refused(host, node, "policy.rollback");
    });
}

#[test]
fn a_policy_signed_by_a_stranger_is_refused_and_another_is_taken() {
    if !crate::can_run("offers::a_policy_signed_by_a_stranger_is_refused_and_another_is_taken") {
        return;
    }
    with_a_running_policy(|host, node, running| {
        let stranger = SecretKey::from_seed([9; 32]);
        let worse = revised(&running.second, vec![running.answer.member("guard", 10, PASS)]);
        let forged = signed_state(6, &[&worse], &stranger);
        let other = policy("other", "skep0p", vec![running.answer.member("guard", 10, PASS)]);
        let mut both = state(6, &[&other]);
        both.policies.extend(forged.policies);
        both.digest = skep_api::v1::sync::DesiredState::digest_of(&both.policies);
        node.offer(&both, NOW).unwrap();
        refused(host, node, "policy.signature_untrusted");
        assert_eq!(host.answers("skep0p", Hook::Xdp), Some(PASS));
    });
}

#[test]
fn a_policy_the_server_leaves_out_stays_in_force() {
    if !crate::can_run("offers::a_policy_the_server_leaves_out_stays_in_force") {
        return;
    }
    with_a_running_policy(|host, node, _| {
        let before = host.program_ids();
        for generation in 6..8 {
            node.offer(&state(generation, &[]), NOW).unwrap();
            converge(node);
            assert_eq!(host.program_ids(), before);
            assert!(node.summary().notes.iter().any(|n| n.contains("policy fw")));
            *node = host.node();
        }
    });
}

#[test]
fn a_signed_removal_takes_the_chain_off_and_cannot_be_undone_by_a_replay() {
    if !crate::can_run(
        "offers::a_signed_removal_takes_the_chain_off_and_cannot_be_undone_by_a_replay",
    ) {
        return;
    }
    with_a_running_policy(|host, node, running| {
        let tombstone = running.second.tombstone(3);
        node.offer(&state(6, &[&tombstone]), NOW).unwrap();
        converge(node);
        assert_eq!(host.answers("skep0", Hook::Xdp), None);
        *node = host.node();
        node.offer(&state(7, &[&running.second]), NOW).unwrap();
        pass(node);
        assert_eq!(node.summary().refusal.unwrap().code, "policy.rollback");
        assert_eq!(host.answers("skep0", Hook::Xdp), None);
    });
}

#[test]
fn a_package_of_an_unknown_publisher_is_refused() {
    if !crate::can_run("offers::a_package_of_an_unknown_publisher_is_refused") {
        return;
    }
    with_a_running_policy(|host, node, running| {
        let trusting = trusting();
        let stranger = SecretKey::from_seed([9; 32]).public().to_string();
        let publisher = SecretKey::from_seed([1; 32]).public().to_string();
        *node = host.node_with(&trusting.replace(&publisher, &stranger));
        let newer = revised(&running.second, vec![running.answer.member("guard", 10, PASS)]);
        node.offer(&state(6, &[&newer]), NOW).unwrap();
        pass(node);
        node.fetched(running.answer.needed.clone(), None, FetchedBeside::default(), Ok(()));
        refused(host, node, "package.signature_untrusted");
    });
}

#[test]
fn a_lost_ledger_leaves_what_runs_alone_until_the_server_sends_its_state() {
    if !crate::can_run(
        "offers::a_lost_ledger_leaves_what_runs_alone_until_the_server_sends_its_state",
    ) {
        return;
    }
    with_a_running_policy(|host, node, running| {
        for file in ["ledger", "ledger.before"] {
            std::fs::write(host.state.join(file), b"torn").unwrap();
        }
        let before = host.program_ids();
        *node = host.node();
        assert!(pass(node).done.is_empty());
        assert_eq!(host.program_ids(), before);
        node.offer(&state(6, &[]), NOW).unwrap();
        assert!(pass(node).done.is_empty(), "an empty state removes nothing");
        node.offer(&state(7, &[&running.second]), NOW).unwrap();
        assert!(pass(node).missing.contains(&running.answer.needed), "its role file is lost, too");
        running.publisher.deliver(&running.answer, &host.cache(), node);
        converge(node);
        assert_eq!(host.program_ids(), before);
    });
}

#[test]
fn an_older_ledger_never_walks_the_kernel_backwards() {
    if !crate::can_run("offers::an_older_ledger_never_walks_the_kernel_backwards") {
        return;
    }
    with_a_running_policy(|host, node, running| {
        let old = std::fs::read(host.state.join("ledger")).unwrap();
        let third = revised(&running.second, vec![running.answer.member("guard", 10, 3)]);
        node.offer(&state(6, &[&third]), NOW).unwrap();
        converge(node);
        let newest = host.program_ids();
        std::fs::write(host.state.join("ledger"), b"torn").unwrap();
        std::fs::write(host.state.join("ledger.before"), old).unwrap();
        *node = host.node();
        assert!(pass(node).done.is_empty());
        assert_eq!(host.program_ids(), newest);
        assert!(node.summary().notes.iter().any(|n| n.contains("newer than")));
        node.offer(&state(6, &[&third]), NOW).unwrap();
        converge(node);
        assert_eq!(host.program_ids(), newest);
    });
}

#[test]
fn an_offer_that_cannot_be_written_down_is_not_accepted() {
    if !crate::can_run("offers::an_offer_that_cannot_be_written_down_is_not_accepted") {
        return;
    }
    with_a_running_policy(|host, node, running| {
        let before = host.program_ids();
        let folder = host.state.join("ledger.next");
        // Where the next ledger would be written lies a folder: writing fails as on a full disk.
        std::fs::create_dir(&folder).unwrap();
        let newer = revised(&running.second, vec![running.answer.member("guard", 10, PASS)]);
        assert!(node.offer(&state(6, &[&newer]), NOW).is_err());
        pass(node);
        assert_eq!(host.program_ids(), before);
        assert_eq!(node.ledger().newest.unwrap().generation.0, 5);
        std::fs::remove_dir(&folder).unwrap();
        node.offer(&state(6, &[&newer]), NOW).unwrap();
        converge(node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS));
    });
}
