//! From a signed state to what the kernel runs: applied, adopted, brought back, kept.

use crate::host::{Host, NOW, converge, pass};
use crate::signed::{Code, DROP, PASS, Publisher, policy, revised, state, trusting};
use skep_artifact::hook::{Hook, Mode};
use skep_chain_dispatcher::Backend;
use skep_node_agent::detached;

#[test]
fn a_signed_state_reaches_the_kernel_and_a_second_pass_does_nothing() {
    if !crate::can_run("chains::a_signed_state_reaches_the_kernel_and_a_second_pass_does_nothing") {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let fw = policy("fw", "skep*", vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw]), NOW).unwrap();
        let waiting = pass(&mut node);
        assert_eq!(waiting.missing.iter().collect::<Vec<_>>(), [&answer.needed]);
        assert!(waiting.decision.refused.is_empty(), "to wait for a package is no refusal");
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        // The pattern means the peer as well, which lies in the same namespace.
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP));
        assert_eq!(host.answers("skep0p", Hook::Xdp), Some(DROP));
        assert!(pass(&mut node).done.is_empty());
        let chain = &node.summary().chains[0];
        assert_eq!((chain.backend.as_str(), chain.generation), ("slots", 1));
        assert_eq!(chain.members[0].counters.packets, 1, "the packet of this test");
    });
}

#[test]
fn a_restarted_agent_adopts_what_runs_and_touches_nothing() {
    if !crate::can_run("chains::a_restarted_agent_adopts_what_runs_and_touches_nothing") {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let fw = policy("fw", "skep0", vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw]), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        let before = host.program_ids();
        drop(node);
        let mut again = host.node();
        assert_eq!(again.plan(NOW).unwrap().steps, vec![]);
        assert!(pass(&mut again).done.is_empty());
        assert_eq!(host.program_ids(), before);
    });
}

#[test]
fn a_reboot_brings_everything_back_without_a_server() {
    if !crate::can_run("chains::a_reboot_brings_everything_back_without_a_server") {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let fw = policy("fw", "skep0", vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw]), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        drop(node);
        host.reboot();
        assert_eq!(host.answers("skep0", Hook::Xdp), None);
        let mut node = host.node();
        // Long after the role file has expired: what was accepted once may run again.
        node.reconcile(NOW * 10).unwrap();
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP));
        assert_eq!(node.summary().applied, node.ledger().newest);
    });
}

#[test]
fn a_program_the_verifier_refuses_keeps_the_old_chain_and_stops_no_other_hook() {
    if !crate::can_run(
        "chains::a_program_the_verifier_refuses_keeps_the_old_chain_and_stops_no_other_hook",
    ) {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let good = publisher.publish("1.0.0", Code::Answer);
        let bad = publisher.publish("1.1.0", Code::Reckless);
        let fw = policy("fw", "skep0", vec![good.member("guard", 10, DROP)]);
        let other = policy("other", "skep0p", vec![good.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw, &other]), NOW).unwrap();
        publisher.deliver(&good, &host.cache(), &mut node);
        converge(&mut node);
        let before = host.program_ids();

        let newer = revised(&fw, vec![bad.member("guard", 10, DROP)]);
        let other = revised(&other, vec![good.member("guard", 10, PASS)]);
        node.offer(&state(2, &[&newer, &other]), NOW).unwrap();
        publisher.deliver(&bad, &host.cache(), &mut node);
        pass(&mut node);
        let summary = node.summary();
        let refusal = summary.refusal.unwrap();
        assert_eq!(refusal.code, "chain.verifier_refused");
        assert!(refusal.message.contains("skep0 xdp"), "{}", refusal.message);
        assert!(refusal.message.contains("invalid"), "the verifier's words: {}", refusal.message);
        assert_eq!(host.program_ids(), before, "the old chain must be untouched");
        assert_eq!(host.answers("skep0p", Hook::Xdp), Some(PASS), "the other hook went on");
        assert_eq!(summary.applied.unwrap().generation.0, 1);
        assert!(pass(&mut node).done.is_empty(), "it is not tried again and again");

        drop(node);
        host.reboot();
        let mut node = host.node();
        pass(&mut node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP), "what last ran well runs again");
        assert_eq!(node.summary().refusal.unwrap().code, "chain.verifier_refused");
        let corrected = revised(&newer, vec![good.member("guard", 10, PASS)]);
        node.offer(&state(3, &[&corrected, &other]), NOW).unwrap();
        converge(&mut node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS));
    });
}

#[test]
fn an_interface_that_vanishes_and_comes_back_gets_its_chain_again() {
    if !crate::can_run("chains::an_interface_that_vanishes_and_comes_back_gets_its_chain_again") {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let fw = policy("fw", "late?", vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw]), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        for _ in 0..2 {
            host.add_interface("late0");
            converge(&mut node);
            assert_eq!(host.answers("late0", Hook::Xdp), Some(DROP));
            host.remove_interface("late0");
            converge(&mut node);
        }
    });
}

#[test]
fn what_somebody_takes_off_is_put_back() {
    if !crate::can_run("chains::what_somebody_takes_off_is_put_back") {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let fw = policy("fw", "skep0", vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw]), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        host.engine().detach_all().unwrap();
        assert_eq!(pass(&mut node).done.len(), 1);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP));
    });
}

#[test]
fn what_was_detached_by_hand_stays_off_over_restarts_until_resumed() {
    if !crate::can_run("chains::what_was_detached_by_hand_stays_off_over_restarts_until_resumed") {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let fw = policy("fw", "skep0", vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw]), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        detached::mark_all(&host.state).unwrap();
        pass(&mut node);
        assert_eq!(host.answers("skep0", Hook::Xdp), None);
        drop(node);
        let mut node = host.node();
        pass(&mut node);
        assert_eq!(host.answers("skep0", Hook::Xdp), None);
        assert!(node.summary().notes.iter().any(|n| n.contains("skep-agent resume")));
        detached::lift(&host.state).unwrap();
        converge(&mut node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP));
    });
}

#[test]
fn an_observing_member_is_counted_and_never_obeyed() {
    if !crate::can_run("chains::an_observing_member_is_counted_and_never_obeyed") {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let mut watcher = answer.member("watcher", 10, DROP);
        watcher.mode = Mode::Observe;
        let fw = policy("fw", "skep0", vec![watcher, answer.member("last", 20, PASS)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw]), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS));
        pass(&mut node);
        let members = node.summary().chains[0].members.clone();
        let counted: Vec<(String, u64)> =
            members[0].counters.verdicts.iter().map(|v| (v.verdict.clone(), v.packets)).collect();
        assert_eq!(counted, [("drop".to_owned(), 1)]);
        assert_eq!(members[1].counters.packets, 1);
    });
}

#[test]
fn a_damaged_blob_is_never_loaded_and_is_asked_for_again() {
    if !crate::can_run("chains::a_damaged_blob_is_never_loaded_and_is_asked_for_again") {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let fw = policy("fw", "skep0", vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw]), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        drop(node);
        host.reboot();
        for digest in answer.digests() {
            let path = host.state.join("cache").join(digest.hex());
            let mut bytes = std::fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        let mut node = host.node();
        assert!(pass(&mut node).missing.contains(&answer.needed));
        assert_eq!(host.answers("skep0", Hook::Xdp), None);
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP));
    });
}

#[test]
fn a_node_says_hook_by_hook_what_its_kernel_can_run_and_why_not() {
    let features = skep_node_agent::observe::features();
    let names: Vec<&str> = features.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names[..3], ["xdp chains", "tc-ingress chains", "tc-egress chains"]);
    let backends = Backend::ALL.map(|backend| format!("backend {backend}"));
    assert_eq!(names[3..], backends);
    for feature in &features {
        assert_eq!(feature.supported, feature.reason.is_empty(), "{feature:?}");
    }
    if crate::can_run("chains::a_node_says_hook_by_hook_what_its_kernel_can_run_and_why_not") {
        assert!(features[0].supported, "the engine opened here, so XDP chains run: {features:?}");
    }
}
