//! `conflicts`: what is worth a look before several programs share a hook.

use crate::wish::{edge, interfaces, policy, program};
use skep_artifact::hook::{Mode, VerdictSet};
use skep_fleet::conflict::{Conflict, conflicts};
use skep_fleet::{PolicyRevision, compose};

#[track_caller]
fn check(policies: &[PolicyRevision], expected: &[&str]) {
    let chains = compose(policies, &edge(), &interfaces(&["eth0"]));
    let found = conflicts(&chains[0], 3);
    let kinds: Vec<&str> = found
        .iter()
        .map(|c| match c {
            Conflict::TooManyMembers { .. } => "too many",
            Conflict::HidesPackets { .. } => "hides",
            Conflict::SamePriority { .. } => "same priority",
            Conflict::SamePackageTwice { .. } => "same package",
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
fn more_members_than_slots_are_counted() {
    let many = (0..4).map(|n| program(&format!("m{n}"), &format!("a/p{n}"), n)).collect();
    check(&[policy("fw", &["eth0"], many)], &["too many"]);
}
