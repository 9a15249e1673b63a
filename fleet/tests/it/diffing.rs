//! `diff`: what `skep plan` tells an operator, node by node.

use crate::wish::{any_policies, edge, interfaces, policy, program};
use proptest::prelude::*;
use skep_fleet::diff::{Change, NodeDiff, NodeFacts, diff, with_changes};
use skep_fleet::selector::Labels;
use skep_fleet::{Backend, PolicyRevision};

fn node(name: &str, labels: Labels) -> NodeFacts {
    NodeFacts { name: name.parse().unwrap(), labels, interfaces: interfaces(&["eth0"]) }
}

fn shown(diffs: &[NodeDiff]) -> Vec<String> {
    let change = |change: &Change| match change {
        Change::Add { member } => format!("+{}", member.name),
        Change::Remove { member } => format!("-{}", member.name),
        Change::Replace { before, after } => {
            format!("~{} {}->{}", before.name, before.version.major, after.version.major)
        }
    };
    let lines = diffs.iter().flat_map(|d| d.chains.iter().map(move |c| (d, c)));
    lines
        .map(|(d, c)| {
            let changes: Vec<String> = c.changes.iter().map(change).collect();
            format!("{} {} {}: {}", d.node, c.interface, c.hook, changes.join(" "))
        })
        .collect()
}

#[track_caller]
fn check(before: &[PolicyRevision], after: &[PolicyRevision], expected: &[&str]) {
    let nodes = [node("edge-1", edge()), node("core-1", Labels::new())];
    assert_eq!(shown(&diff(&nodes, before, after)), expected);
}

#[test]
fn only_nodes_on_which_something_changes_are_named() {
    let new = policy("fw", &["eth0"], vec![program("m", "a/b", 1)]);
    check(&[], std::slice::from_ref(&new), &["edge-1 eth0 xdp: +m"]);
    let same = std::slice::from_ref(&new);
    check(same, same, &[]);
}

#[test]
fn an_upgrade_is_a_replacement_of_the_same_seat() {
    let old = policy("fw", &["eth0"], vec![program("m", "a/b", 1)]);
    let mut new = old.clone();
    new.programs[0].version = semver::Version::new(2, 0, 0);
    check(&[old], &[new], &["edge-1 eth0 xdp: ~m 1->2"]);
}

#[test]
fn another_way_to_attach_is_a_change_by_itself() {
    let old = policy("fw", &["eth0"], vec![program("m", "a/b", 1)]);
    let mut new = old.clone();
    new.attach.backend = Backend::Fused;
    check(std::slice::from_ref(&old), std::slice::from_ref(&new), &["edge-1 eth0 xdp: "]);
    let diffs = diff(&[node("edge-1", edge())], &[old], &[new]);
    let chain = &diffs[0].chains[0];
    assert!(chain.asked_before.is_empty());
    assert_eq!(chain.asked.values().next().unwrap().to_string(), "backend fused");
}

#[test]
fn a_tombstone_removes_every_member() {
    let old = policy("fw", &["eth0"], vec![program("a", "a/b", 1), program("b", "a/b", 2)]);
    let after = with_changes(std::slice::from_ref(&old), &[old.tombstone(2)]);
    check(&[old], &after, &["edge-1 eth0 xdp: -a -b"]);
}

#[test]
fn a_chain_shows_how_it_is_composed_after_the_change() {
    let old = policy("fw", &["eth0"], vec![program("m", "a/b", 5)]);
    let early = policy("early", &["eth0"], vec![program("e", "a/b", 1)]);
    let diffs = diff(&[node("edge-1", edge())], std::slice::from_ref(&old), &[old.clone(), early]);
    let names: Vec<String> =
        diffs[0].chains[0].after.iter().map(|m| m.name.as_str().to_owned()).collect();
    assert_eq!(names, ["e", "m"]);
}

#[test]
fn changes_replace_their_predecessors_and_leave_the_others() {
    let (a, b) = (policy("a", &["eth0"], vec![]), policy("b", &["eth0"], vec![]));
    let newer = PolicyRevision { revision: 2, ..a.clone() };
    let all = with_changes(&[b.clone(), a], std::slice::from_ref(&newer));
    assert_eq!(all, [newer, b]);
}

proptest! {
    #[test]
    fn nothing_changes_between_equal_sets(policies in any_policies()) {
        let turned: Vec<PolicyRevision> = policies.iter().rev().cloned().collect();
        prop_assert_eq!(diff(&[node("edge-1", edge())], &policies, &turned), vec![]);
    }

    #[test]
    fn what_one_way_adds_the_other_way_removes(before in any_policies(), after in any_policies()) {
        let nodes = [node("edge-1", edge())];
        let count = |diffs: &[NodeDiff]| {
            let changes = diffs.iter().flat_map(|d| &d.chains).flat_map(|c| &c.changes);
            changes.fold((0, 0, 0), |(add, remove, replace), change| match change {
                Change::Add { .. } => (add + 1, remove, replace),
                Change::Remove { .. } => (add, remove + 1, replace),
                Change::Replace { .. } => (add, remove, replace + 1),
            })
        };
        let (add, remove, replace) = count(&diff(&nodes, &before, &after));
        prop_assert_eq!(count(&diff(&nodes, &after, &before)), (remove, add, replace));
    }
}
