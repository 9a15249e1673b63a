//! What changes on each node when policies change: the content of `skep plan`. Refuses to know
//! how it is printed.

use crate::desired::{DesiredChain, DesiredMember, compose};
use crate::how::How;
use crate::ids::{NodeName, PolicyName};
use crate::policy::PolicyRevision;
use crate::selector::Labels;
use serde::Serialize;
use skep_artifact::hook::Hook;
use std::collections::{BTreeMap, BTreeSet};

/// What must be known of a node to say what would change on it.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    pub name: NodeName,
    pub labels: Labels,
    pub interfaces: Vec<String>,
}

/// Everything that changes on one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeDiff {
    pub node: NodeName,
    pub chains: Vec<ChainDiff>,
}

/// What changes on one (interface, hook).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainDiff {
    pub interface: String,
    pub hook: Hook,
    pub changes: Vec<Change>,
    /// The chain after the change, members in order.
    pub after: Vec<DesiredMember>,
    /// What policies asked for beyond their members before the change, and after it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub asked_before: BTreeMap<PolicyName, How>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: BTreeMap<PolicyName, How>,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    Add { member: Box<DesiredMember> },
    Remove { member: Box<DesiredMember> },
    Replace { before: Box<DesiredMember>, after: Box<DesiredMember> },
}

/// The new set of revisions after `changed` replace their predecessors.
#[must_use]
pub fn with_changes(current: &[PolicyRevision], changed: &[PolicyRevision]) -> Vec<PolicyRevision> {
    let mut by_name: BTreeMap<&PolicyName, &PolicyRevision> =
        current.iter().map(|r| (&r.name, r)).collect();
    by_name.extend(changed.iter().map(|r| (&r.name, r)));
    by_name.into_values().cloned().collect()
}

/// Node by node, what is added, removed and replaced. Nodes on which nothing changes are left out.
#[must_use]
pub fn diff(
    nodes: &[NodeFacts],
    before: &[PolicyRevision],
    after: &[PolicyRevision],
) -> Vec<NodeDiff> {
    let differing = |node: &NodeFacts| {
        let old = compose(before, &node.labels, &node.interfaces);
        let new = compose(after, &node.labels, &node.interfaces);
        let chains = diff_chains(&old, &new);
        (!chains.is_empty()).then(|| NodeDiff { node: node.name.clone(), chains })
    };
    nodes.iter().filter_map(differing).collect()
}

fn diff_chains(before: &[DesiredChain], after: &[DesiredChain]) -> Vec<ChainDiff> {
    let at = |chains: &[DesiredChain], place: &(String, Hook)| {
        let here = chains.iter().find(|c| (&c.interface, c.hook) == (&place.0, place.1));
        here.map(|c| (c.members.clone(), c.asked.clone())).unwrap_or_default()
    };
    let places: BTreeSet<(String, Hook)> =
        before.iter().chain(after).map(|c| (c.interface.clone(), c.hook)).collect();
    let differing = |place: (String, Hook)| {
        let ((old, asked_before), (new, asked)) = (at(before, &place), at(after, &place));
        let changes = diff_members(&old, &new);
        let (interface, hook) = place;
        let same = changes.is_empty()
            && How::together(asked_before.values()) == How::together(asked.values());
        (!same).then_some(ChainDiff { interface, hook, changes, after: new, asked_before, asked })
    };
    places.into_iter().filter_map(differing).collect()
}

fn diff_members(before: &[DesiredMember], after: &[DesiredMember]) -> Vec<Change> {
    let same_seat =
        |a: &DesiredMember, b: &DesiredMember| (&a.policy, &a.name) == (&b.policy, &b.name);
    let arriving =
        after.iter().filter_map(|new| match before.iter().find(|old| same_seat(old, new)) {
            None => Some(Change::Add { member: Box::new(new.clone()) }),
            Some(old) if old != new => Some(Change::Replace {
                before: Box::new(old.clone()),
                after: Box::new(new.clone()),
            }),
            Some(_) => None,
        });
    let leaving = before.iter().filter(|old| !after.iter().any(|new| same_seat(old, new)));
    arriving.chain(leaving.map(|old| Change::Remove { member: Box::new(old.clone()) })).collect()
}
