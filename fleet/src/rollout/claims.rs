//! Which rollout comes first on a node, so that no other changes the same hook there at the same time. Refuses to know which
//! interfaces a node has: two patterns that may mean the same interface count as the same.

use super::state::{Phase, Rollout};
use crate::ids::{NodeName, PolicyName};
use crate::policy::InterfaceMatch;
use std::collections::BTreeSet;

/// Nodes that this rollout may not give anything now: those another one touched, and those of one that comes first. One
/// that gave out nothing yet waits as a whole for those that come first, so that no two wait for each other.
#[must_use]
pub fn held_by_others<'a>(
    it: &Rollout,
    others: impl IntoIterator<Item = &'a Rollout>,
) -> BTreeSet<NodeName> {
    let mut held = BTreeSet::new();
    let begun = has_touched(it);
    for other in others.into_iter().filter(|other| same_place(it, other) && is_at_work(other)) {
        let first = comes_first(other, it);
        let shared = other.targets.iter().filter(|(node, _)| it.targets.contains_key(*node));
        let theirs = shared.filter(|(_, target)| first || target.state.touched());
        let theirs: Vec<&NodeName> = theirs.map(|(node, _)| node).collect();
        match first && !begun && !theirs.is_empty() {
            true => held.extend(it.targets.keys().cloned()),
            false => held.extend(theirs.into_iter().cloned()),
        }
    }
    held
}

/// A node on which another rollout is at work, so that one that is over cannot go back there now.
#[must_use]
pub fn in_the_way<'a>(
    it: &Rollout,
    others: impl IntoIterator<Item = &'a Rollout>,
) -> Option<(NodeName, PolicyName)> {
    let busy = |other: &&Rollout| same_place(it, other) && is_at_work(other) && has_touched(other);
    others.into_iter().filter(busy).find_map(|other| {
        let both = it
            .targets
            .iter()
            .find(|(node, target)| target.state.touched() && other.targets.contains_key(*node));
        both.map(|(node, _)| (node.clone(), other.policy.clone()))
    })
}

/// Whoever gave out anything comes before who did not; else who started earlier, else by name. Once a rollout came
/// first it stays first, whatever clocks say.
fn comes_first(other: &Rollout, it: &Rollout) -> bool {
    let place = |r: &Rollout| (!has_touched(r), r.started_at, r.policy.clone());
    place(other) < place(it)
}

fn is_at_work(it: &Rollout) -> bool {
    !it.phase.is_final() && !matches!(it.phase, Phase::Draft | Phase::Planned { .. })
}

fn has_touched(it: &Rollout) -> bool {
    it.targets.values().any(|target| target.state.touched())
}

fn same_place(it: &Rollout, other: &Rollout) -> bool {
    other.policy != it.policy
        && other.hook == it.hook
        && may_meet(&other.interfaces, &it.interfaces)
}

/// Whether some interface could match both. Only what certainly differs counts as different.
fn may_meet(a: &InterfaceMatch, b: &InterfaceMatch) -> bool {
    let includes = |it: &InterfaceMatch| -> Vec<String> {
        it.patterns.iter().filter(|p| !p.starts_with('!')).cloned().collect()
    };
    let fixed = |pattern: &str| !pattern.contains(['*', '?']);
    includes(a).iter().any(|x| {
        includes(b).iter().any(|y| match (fixed(x), fixed(y)) {
            (true, true) => x == y,
            (true, false) => wildmatch::WildMatch::new(y).matches(x),
            (false, true) => wildmatch::WildMatch::new(x).matches(y),
            (false, false) => true,
        })
    })
}
