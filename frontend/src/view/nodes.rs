//! The node list as rows, narrowed by what the reader typed. It refuses to know how a node is asked.

use crate::view::{format, link};
use crate::words;
use skep_api::v1::nodes::{NodeList, NodeState, NodeSummary};

/// How a state looks: a mark beside the word, because colour alone tells nobody anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateMark {
    pub word: &'static str,
    pub mark: &'static str,
    /// Name of the CSS class.
    pub class: &'static str,
}

/// One row of the node list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    pub href: String,
    pub name: String,
    pub state: StateMark,
    /// Why it is in this state, when there is more to say.
    pub why: String,
    pub labels: String,
    pub kernel: String,
    pub chains: String,
    pub generation: String,
    pub last_seen_at: Option<i64>,
}

/// The mark of a state.
#[must_use]
pub fn state_mark(state: NodeState) -> StateMark {
    let mark = |word, mark, class| StateMark { word, mark, class };
    match state {
        NodeState::New => mark(words::STATE_NEW, "○", "neutral"),
        NodeState::Healthy => mark(words::STATE_HEALTHY, "●", "good"),
        NodeState::Converging => mark(words::STATE_CONVERGING, "◐", "action"),
        NodeState::Refused => mark(words::STATE_REFUSED, "▲", "bad"),
        NodeState::Unreachable => mark(words::STATE_UNREACHABLE, "◇", "neutral"),
    }
}

/// `applied 41`, or `applied 41, wanted 42` while they differ.
#[must_use]
pub fn generations(node: &NodeSummary) -> String {
    words::generations(node.wanted_generation.0, node.applied_generation.0)
}

/// The rows whose name, labels, kernel or state hold every word of `narrow`.
#[must_use]
pub fn rows(list: &NodeList, narrow: &str) -> Vec<NodeRow> {
    let wanted: Vec<String> = narrow.split_whitespace().map(str::to_lowercase).collect();
    let hit = |row: &NodeRow| {
        let text = format!("{} {} {} {}", row.name, row.labels, row.kernel, row.state.word);
        let text = text.to_lowercase();
        wanted.iter().all(|word| text.contains(word))
    };
    list.nodes.iter().map(row).filter(hit).collect()
}

/// How many nodes there are and how many of them need a look.
#[must_use]
pub fn summary(list: &NodeList) -> String {
    let of = |state| list.nodes.iter().filter(|n| n.state == state).count();
    let total = u64::try_from(list.nodes.len()).unwrap_or(u64::MAX);
    let mut parts = vec![format::counted(total, "node", "nodes")];
    for state in
        [NodeState::Healthy, NodeState::Converging, NodeState::Refused, NodeState::Unreachable]
    {
        let n = of(state);
        if n > 0 {
            parts.push(format!("{n} {}", state_mark(state).word));
        }
    }
    parts.join(" · ")
}

fn row(node: &NodeSummary) -> NodeRow {
    let name = node.name.to_string();
    NodeRow {
        href: link::node(&name),
        name,
        state: state_mark(node.state),
        why: node.refusal.as_ref().map(|r| r.message.clone()).unwrap_or_default(),
        labels: labels(node),
        kernel: format!("{} {}", node.kernel, node.arch).trim().to_owned(),
        chains: format::count(u64::from(node.chains)),
        generation: generations(node),
        last_seen_at: node.last_seen_at,
    }
}

/// `role=edge site=fra`.
#[must_use]
pub fn labels(node: &NodeSummary) -> String {
    let pairs = node.labels.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn list() -> NodeList {
        let healthy = samples::node().summary;
        let mut refused = healthy.clone();
        refused.name = "edge-08".parse().unwrap();
        refused.state = NodeState::Refused;
        NodeList { nodes: vec![healthy, refused] }
    }

    #[test]
    fn rows_are_narrowed_by_every_word() {
        let names = |narrow: &str| -> Vec<String> {
            rows(&list(), narrow).into_iter().map(|r| r.name).collect()
        };
        assert_eq!(names(""), ["edge-07", "edge-08"]);
        assert_eq!(names("08"), ["edge-08"]);
        assert_eq!(names("EDGE refused"), ["edge-08"]);
        assert_eq!(names("role=edge healthy"), ["edge-07"]);
        assert_eq!(names("mars"), Vec::<String>::new());
    }

    #[test]
    fn the_summary_counts_what_needs_a_look() {
        assert_eq!(summary(&list()), "2 nodes · 1 healthy · 1 refused");
        assert_eq!(summary(&NodeList { nodes: vec![] }), "0 nodes");
    }

    #[test]
    fn every_state_has_a_mark_of_its_own_besides_colour() {
        use NodeState::{Converging, Healthy, New, Refused, Unreachable};
        let mut marks: Vec<_> = [New, Healthy, Converging, Refused, Unreachable]
            .into_iter()
            .map(|s| state_mark(s).mark)
            .collect();
        marks.sort_unstable();
        marks.dedup();
        assert_eq!(marks.len(), 5);
    }

    #[test]
    fn a_node_behind_shows_both_generations() {
        let mut node = samples::node().summary;
        assert_eq!(generations(&node), "41");
        node.wanted_generation.0 = 42;
        assert_eq!(generations(&node), "41, wanted 42");
    }
}
