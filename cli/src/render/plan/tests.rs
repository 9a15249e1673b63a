//! Snapshots of plans.

use super::*;
use crate::render::plain;
use skep_artifact::config::ConfigValues;
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Failure, Hook, VerdictSet};
use std::collections::BTreeMap;

fn member(name: &str, priority: u32, version: &str) -> DesiredMember {
    DesiredMember {
        policy: "edge-firewall".parse().unwrap(),
        name: name.parse().unwrap(),
        package: "skep/firewall".parse().unwrap(),
        version: version.parse().unwrap(),
        index: Digest::of(version.as_bytes()),
        program: "xdp_firewall".into(),
        priority,
        proceed_on: VerdictSet::default_for(Hook::Xdp),
        mode: Mode::Enforce,
        failure: Failure::Closed,
        config: ConfigValues::default(),
    }
}

fn boxed(name: &str, priority: u32, version: &str) -> Box<DesiredMember> {
    Box::new(member(name, priority, version))
}

fn sample() -> Plan {
    let changes = vec![
        Change::Add {
            member: Box::new(DesiredMember { mode: Mode::Observe, ..member("flows", 50, "0.9.0") }),
        },
        Change::Replace { before: boxed("guard", 10, "1.4.1"), after: boxed("guard", 20, "1.4.2") },
        Change::Remove { member: boxed("old", 30, "1.0.0") },
    ];
    let after = vec![member("guard", 20, "1.4.2"), member("flows", 50, "0.9.0")];
    let chain = ChainDiff {
        interface: "eth0".into(),
        hook: Hook::Xdp,
        changes,
        after,
        asked_before: BTreeMap::new(),
        asked: BTreeMap::new(),
    };
    let same = |node: &str| NodeConflict {
        node: node.into(),
        conflict: Conflict::SamePriority {
            interface: "eth0".into(),
            hook: Hook::Xdp,
            priority: 50,
            members: vec!["a/x".into(), "b/y".into()],
        },
    };
    Plan {
        policies: vec![
            PlannedPolicy {
                name: "edge-firewall".into(),
                from: 12,
                to: 13,
                selects: 2,
                waves: vec![],
            },
            PlannedPolicy { name: "lab".into(), from: 0, to: 1, selects: 0, waves: vec![] },
            PlannedPolicy { name: "same".into(), from: 3, to: 3, selects: 1, waves: vec![] },
        ],
        nodes: vec![NodeDiff { node: "edge-07".parse().unwrap(), chains: vec![chain] }],
        conflicts: vec![same("edge-07"), same("edge-08"), same("edge-09")],
        fleet: 3,
        unknown: Vec::new(),
        warnings: Vec::new(),
    }
}

#[test]
fn a_plan_is_a_diff_a_summary_and_a_conflict_report() {
    insta::assert_snapshot!("plan", plain(&plan(&sample())));
}

#[test]
fn a_plan_in_waves_says_who_gets_it_when_and_who_must_agree() {
    let mut careful = sample();
    let wave = |name: &str, nodes: usize, approvals| PlannedWave {
        name: name.into(),
        nodes: (0..nodes).map(|n| format!("edge-{n}")).collect(),
        approvals,
    };
    careful.policies.truncate(1);
    careful.policies[0].waves =
        vec![wave("canary", 1, None), wave("wave-2", 0, None), wave("wave-3", 11, Some(2))];
    let text = plain(&plan(&careful));
    let lines: Vec<&str> = text.lines().skip(1).take(3).collect();
    assert_eq!(lines[0], "  wave canary  1 node: edge-0");
    assert_eq!(lines[1], "  wave wave-2  no node");
    assert!(lines[2].contains("11 nodes: edge-0, edge-1"), "{}", lines[2]);
    assert!(lines[2].ends_with("and 3 more · after 2 approvals"), "{}", lines[2]);
}

#[test]
fn a_plan_that_changes_nothing_says_so() {
    let nothing = Plan { nodes: Vec::new(), conflicts: Vec::new(), ..sample() };
    assert!(plan(&nothing).ends_with("Nothing changes on any node.\n"));
}

#[test]
fn a_plan_for_a_node_that_never_called_does_not_say_that_nothing_changes() {
    let silent = Plan {
        nodes: Vec::new(),
        conflicts: Vec::new(),
        unknown: vec!["edge-09".into()],
        ..sample()
    };
    let text = plan(&silent);
    assert!(!text.contains("on any node"), "{text}");
    assert!(text.contains("edge-09 is enrolled, and never told which interfaces"), "{text}");
}
