//! `conflicts`: what is worth a look before several programs share a hook.

use crate::wish::{edge, interfaces, policy, program};
use skep_artifact::hook::{Mode, VerdictSet};
use skep_fleet::conflict::{Conflict, conflicts};
use skep_fleet::{AttachMode, Backend, PolicyRevision, compose};

#[track_caller]
fn check(policies: &[PolicyRevision], expected: &[&str]) {
    let chains = compose(policies, &edge(), &interfaces(&["eth0"]));
    let found = conflicts(&chains[0]);
    let kinds: Vec<&str> = found
        .iter()
        .map(|c| match c {
            Conflict::TooManyMembers { .. } => "too many",
            Conflict::HidesPackets { .. } => "hides",
            Conflict::SamePriority { .. } => "same priority",
            Conflict::SamePackageTwice { .. } => "same package",
            Conflict::WishesDiffer { .. } => "wishes differ",
        })
        .collect();
    assert_eq!(kinds, expected, "{found:#?}");
    assert!(found.iter().all(|c| c.to_string().starts_with("eth0 xdp: ")));
}

#[test]
fn an_ordinary_chain_has_none() {
    let fw = policy("fw", &["eth0"], vec![program("a", "a/a", 1)]);
    let log = policy("log", &["eth0"], vec![program("b", "a/b", 2)]);
    check(&[fw, log], &[]);
}

#[test]
fn a_member_that_never_proceeds_hides_packets_from_other_policies_only() {
    let mut last_word = program("a", "a/a", 1);
    last_word.proceed_on = VerdictSet::EMPTY;
    let alone = policy("fw", &["eth0"], vec![last_word.clone(), program("b", "a/b", 2)]);
    check(&[alone], &[]);
    let fw = policy("fw", &["eth0"], vec![last_word.clone()]);
    let log = policy("log", &["eth0"], vec![program("b", "a/b", 2)]);
    check(&[fw, log.clone()], &["hides"]);
    last_word.mode = Mode::Observe;
    check(&[policy("fw", &["eth0"], vec![last_word]), log], &[]);
}

#[test]
fn a_member_that_never_proceeds_may_come_last() {
    let mut last_word = program("z", "a/a", 9);
    last_word.proceed_on = VerdictSet::EMPTY;
    let fw = policy("fw", &["eth0"], vec![last_word]);
    let log = policy("log", &["eth0"], vec![program("b", "a/b", 2)]);
    check(&[fw, log], &[]);
}

#[test]
fn a_shared_priority_is_named_once_and_only_between_policies() {
    let one = policy("fw", &["eth0"], vec![program("a", "a/a", 1), program("b", "a/b", 1)]);
    check(std::slice::from_ref(&one), &[]);
    let two = policy("log", &["eth0"], vec![program("c", "a/c", 1)]);
    check(&[one, two], &["same priority"]);
}

#[test]
fn a_package_that_runs_twice_is_named_once() {
    let fw = policy("fw", &["eth0"], vec![program("a", "a/a", 1), program("b", "a/a", 2)]);
    let log = policy("log", &["eth0"], vec![program("c", "a/a", 3)]);
    check(&[fw, log], &["same package"]);
}

#[test]
fn more_members_than_the_backend_holds_are_counted() {
    let many = |count| (0..count).map(|n| program(&format!("m{n}"), &format!("a/p{n}"), n));
    let of = |count, backend| {
        let mut fw = policy("fw", &["eth0"], many(count).collect());
        fw.attach.backend = backend;
        [fw]
    };
    check(&of(32, Backend::Auto), &[]);
    check(&of(33, Backend::Auto), &["too many"]);
    check(&of(33, Backend::Slots), &["too many"]);
    check(&of(64, Backend::Fused), &[]);
    check(&of(11, Backend::Libxdp), &["too many"]);
}

#[test]
fn wishes_that_differ_are_told_and_the_first_policy_by_name_is_followed() {
    let with = |name: &str, backend, mode| {
        let mut policy = policy(name, &["eth0"], vec![program(name, &format!("a/{name}"), 1)]);
        policy.programs[0].priority = u32::from(name.as_bytes()[0]);
        (policy.attach.backend, policy.attach.mode) = (backend, mode);
        policy
    };
    let (fused, slots) = (Backend::Fused, Backend::Slots);
    let (auto, native, generic) = (AttachMode::Auto, AttachMode::Native, AttachMode::Generic);
    check(&[with("a", fused, auto), with("b", Backend::Auto, native)], &[]);
    check(&[with("a", fused, auto), with("b", fused, auto)], &[]);
    check(&[with("b", slots, auto), with("a", fused, auto)], &["wishes differ"]);
    check(&[with("a", fused, native), with("b", slots, generic)], &["wishes differ"; 2]);
    let chains = compose(
        &[with("b", slots, native), with("a", fused, auto)],
        &edge(),
        &interfaces(&["eth0"]),
    );
    let how = chains[0].how();
    assert_eq!((how.backend, how.mode), (fused, native));
    let text = conflicts(&chains[0])[0].to_string();
    let said = "takes fused (asked for by a), not slots (asked for by b)";
    assert!(text.contains(said), "{text}");
}
