//! `compose`: which chains a node is asked for, and in which order packets meet their members.

use crate::wish::{any_policies, edge, interfaces, policy, program};
use proptest::prelude::*;
use skep_fleet::plan::packages_needed;
use skep_fleet::selector::Labels;
use skep_fleet::{PolicyRevision, compose};

#[track_caller]
fn check(policies: &[PolicyRevision], on: &[&str], expected: &[&str]) {
    let chains = compose(policies, &edge(), &interfaces(on));
    let shown: Vec<String> = chains
        .iter()
        .map(|c| {
            let members: Vec<String> =
                c.members.iter().map(|m| format!("{}/{}", m.policy, m.name)).collect();
            format!("{} {}: {}", c.interface, c.hook, members.join(" "))
        })
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn priority_decides_then_policy_then_member() {
    let fw = policy("fw", &["eth0"], vec![program("z", "a/b", 10), program("a", "a/b", 10)]);
    let early = policy("zz", &["eth0"], vec![program("first", "a/b", 9)]);
    let peer = policy("aa", &["eth0"], vec![program("m", "a/b", 10)]);
    check(&[fw, early, peer], &["eth0"], &["eth0 xdp: zz/first aa/m fw/a fw/z"]);
}

#[test]
fn patterns_are_matched_against_the_interfaces_there_are() {
    let fw = policy("fw", &["eth*", "!eth1"], vec![program("m", "a/b", 1)]);
    check(&[fw], &["lo", "eth0", "eth1", "eth10"], &["eth0 xdp: fw/m", "eth10 xdp: fw/m"]);
}

#[test]
fn an_exclusion_wins_whatever_its_place() {
    let fw = policy("fw", &["!eth1", "eth1"], vec![program("m", "a/b", 1)]);
    check(&[fw], &["eth1"], &[]);
}

#[test]
fn a_node_that_is_not_selected_is_asked_for_nothing() {
    let fw = policy("fw", &["*"], vec![program("m", "a/b", 1)]);
    assert_eq!(compose(&[fw], &Labels::new(), &interfaces(&["eth0"])), vec![]);
}

#[test]
fn a_tombstone_asks_for_nothing() {
    let fw = policy("fw", &["*"], vec![program("m", "a/b", 1)]);
    check(&[fw.tombstone(2)], &["eth0"], &[]);
}

#[test]
fn a_package_is_needed_once_however_often_it_is_named() {
    let fw = policy("fw", &["*"], vec![program("a", "a/b", 1), program("b", "a/b", 2)]);
    let chains = compose(&[fw], &edge(), &interfaces(&["eth0", "eth1"]));
    assert_eq!(packages_needed(&chains).len(), 1);
}

proptest! {
    #[test]
    fn the_order_is_total_and_does_not_depend_on_the_order_of_the_policies(
        policies in any_policies(), turn in any::<prop::sample::Index>(),
    ) {
        let on = interfaces(&["eth0", "eth1", "lo"]);
        let chains = compose(&policies, &edge(), &on);
        let mut turned = policies.clone();
        if !turned.is_empty() {
            let by = turn.index(turned.len());
            turned.rotate_left(by);
            turned.reverse();
        }
        let mut backwards = on.clone();
        backwards.reverse();
        prop_assert_eq!(&compose(&turned, &edge(), &backwards), &chains);
        for chain in &chains {
            prop_assert!(chain.members.windows(2).all(|pair| pair[0].order() < pair[1].order()));
        }
    }

    #[test]
    fn every_member_comes_from_a_policy_that_wants_it_there(policies in any_policies()) {
        for chain in compose(&policies, &edge(), &interfaces(&["eth0", "lo"])) {
            prop_assert!(!chain.members.is_empty());
            for member in &chain.members {
                let wants = policies.iter().any(|p| {
                    p.name == member.policy
                        && !p.removed
                        && p.attach.hook == chain.hook
                        && p.attach.interfaces.matches(&chain.interface)
                });
                prop_assert!(wants, "{member:?}");
            }
        }
    }
}
