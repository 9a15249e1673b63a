//! Policies as rows, and what all of them together put on the hooks of the nodes that one of them selects: composed here
//! by the code that composes on a node. It refuses to know whether a node has accepted it.

use crate::view::{link, node};
use crate::words;
use skep_api::v1::nodes::NodeList;
use skep_api::v1::policies::{PolicyInfo, PolicyList};
use skep_artifact::hook::Mode;
use skep_fleet::conflict;
use skep_fleet::desired::{self, DesiredChain, DesiredMember};
use skep_fleet::policy::PolicyRevision;
use skep_fleet::selector::{Operator, Selector};

/// One row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub href: String,
    pub policy: node::PolicyRow,
    pub selects: String,
    pub nodes: usize,
    pub removed: bool,
}

/// A chain as it stands on some nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// `eth0 xdp`
    pub title: String,
    pub nodes: Vec<String>,
    pub members: Vec<Seat>,
    pub conflicts: Vec<String>,
}

/// One member in its seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pub priority: u32,
    pub name: String,
    pub package: String,
    pub href: String,
    pub policy: String,
    /// Whether the policy that is looked at wants it.
    pub own: bool,
    pub observes: bool,
}

/// The policies whose name, attachment or programs hold every word of `narrow`.
#[must_use]
pub fn rows(list: &PolicyList, narrow: &str) -> Vec<Row> {
    let wanted: Vec<String> = narrow.split_whitespace().map(str::to_lowercase).collect();
    let hit = |row: &Row| {
        let row = &row.policy;
        let text = format!("{} {} {}", row.name, row.attach, row.programs).to_lowercase();
        wanted.iter().all(|word| text.contains(word))
    };
    list.policies.iter().map(row).filter(hit).collect()
}

/// One policy as a row.
#[must_use]
pub fn row(info: &PolicyInfo) -> Row {
    let policy = node::policy_row(info);
    Row {
        href: link::policy(&policy.name),
        selects: selector(&info.revision.nodes),
        nodes: info.nodes.len(),
        removed: info.revision.removed,
        policy,
    }
}

/// A selector as people write it: `role=edge, zone in (a, b)`.
#[must_use]
pub fn selector(selector: &Selector) -> String {
    if selector.every_node {
        return words::EVERY_NODE.to_owned();
    }
    let labels = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().map(|e| match e.operator {
        Operator::In => format!("{} in ({})", e.key, e.values.join(", ")),
        Operator::NotIn => format!("{} not in ({})", e.key, e.values.join(", ")),
        Operator::Exists => e.key.clone(),
        Operator::DoesNotExist => format!("no {}", e.key),
    });
    labels.chain(expressions).collect::<Vec<_>>().join(", ")
}

/// The chains that this policy has a part in, on the nodes it selects; nodes on which they are alike stand together.
#[must_use]
pub fn composed(policy: &PolicyInfo, all: &PolicyList, nodes: &NodeList) -> Vec<Composed> {
    let name = policy.revision.name.to_string();
    let revisions: Vec<PolicyRevision> = all.policies.iter().map(|p| p.revision.clone()).collect();
    let mut found: Vec<Composed> = Vec::new();
    let selected = nodes.nodes.iter().filter(|node| policy.nodes.contains(&node.name.to_string()));
    for node in selected {
        let chains = desired::compose(&revisions, &node.labels, &node.interfaces);
        for chain in chains.iter().filter(|chain| has_part(chain, &name)) {
            let mut one = one(chain, &name);
            match found.iter_mut().find(|c| c.title == one.title && c.members == one.members) {
                Some(alike) => alike.nodes.push(node.name.to_string()),
                None => {
                    one.nodes.push(node.name.to_string());
                    found.push(one);
                }
            }
        }
    }
    found
}

fn has_part(chain: &DesiredChain, policy: &str) -> bool {
    chain.members.iter().any(|member| member.policy.to_string() == policy)
}

fn one(chain: &DesiredChain, own: &str) -> Composed {
    let seat = |member: &DesiredMember| {
        let (package, version) = (member.package.to_string(), member.version.to_string());
        Seat {
            priority: member.priority,
            name: member.name.to_string(),
            href: link::version(&package, &version),
            package: format!("{package} {version}"),
            own: member.policy.to_string() == own,
            policy: member.policy.to_string(),
            observes: member.mode == Mode::Observe,
        }
    };
    Composed {
        title: format!("{} {}", chain.interface, chain.hook),
        nodes: Vec::new(),
        members: chain.members.iter().map(seat).collect(),
        conflicts: conflict::conflicts(chain).iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    /// The sample's policy, and the same once more under another name.
    fn two() -> (PolicyList, NodeList) {
        let mut list = samples::policies();
        let mut other = list.policies[0].clone();
        other.revision.name = "other".parse().unwrap();
        list.policies.push(other);
        let mut node = samples::node().summary;
        node.interfaces = vec!["eth0".into(), "lo".into()];
        for policy in &mut list.policies {
            policy.nodes = vec![node.name.to_string()];
        }
        (list, NodeList { nodes: vec![node] })
    }

    #[test]
    fn members_of_all_policies_stand_in_one_chain_with_what_is_noteworthy() {
        let (list, nodes) = two();
        let composed = composed(&list.policies[0], &list, &nodes);
        assert_eq!(composed.len(), 1);
        assert_eq!(composed[0].title, "eth0 xdp");
        assert_eq!(composed[0].members.len(), 4);
        assert_eq!(composed[0].members.iter().filter(|seat| seat.own).count(), 2);
        let conflicts = composed[0].conflicts.join("\n");
        assert!(conflicts.contains("share priority"), "{conflicts}");
    }

    #[test]
    fn a_node_that_is_not_selected_shows_nothing() {
        let (mut list, nodes) = two();
        list.policies[0].nodes.clear();
        assert_eq!(composed(&list.policies[0], &list, &nodes), []);
    }

    #[test]
    fn rows_are_narrowed_and_say_whom_they_select() {
        let (list, _) = two();
        assert_eq!(rows(&list, "").len(), 2);
        assert_eq!(rows(&list, "OTHER xdp").len(), 1);
        assert_eq!(rows(&list, "mars").len(), 0);
        assert_eq!(row(&list.policies[0]).selects, "role=edge");
        assert_eq!(selector(&Selector { every_node: true, ..Selector::default() }), "every node");
    }
}
