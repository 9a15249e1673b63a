//! Nodes: the list and one of them. Refuses to know a clock.

use crate::render::table::{Cell, layout};
use crate::render::{chain, paint, units};
use skep_api::v1::nodes::{NodeDetail, NodeList, NodeState, NodeSummary};
use skep_api::v1::operators::Standing;
use skep_fleet::selector::Labels;
use std::fmt::Write as _;

/// The node list.
pub(crate) fn list(list: &NodeList, now: i64) -> String {
    if list.nodes.is_empty() {
        return "No node. Make a token with `skep node token create`, then run `skep-agent enrol` on a host.\n".to_owned();
    }
    let heads = ["node", "state", "generation", "chains", "kernel", "arch", "seen", "labels"];
    let mut rows = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    rows.extend(list.nodes.iter().map(|node| row(node, now)));
    let mut text = layout(&rows, 0);
    for node in &list.nodes {
        if let Some(refusal) = &node.refusal {
            // Writing into a String cannot fail.
            let _ = writeln!(
                text,
                "{} {}: {} ({})",
                paint::clay("refused"),
                node.name,
                refusal.message,
                refusal.code
            );
        }
    }
    text
}

fn row(node: &NodeSummary, now: i64) -> Vec<Cell> {
    vec![
        Cell::new(node.name.as_str()).paint(paint::bold),
        Cell::new(word(node.state)).paint(colour(node.state)),
        Cell::number(generation(node)),
        Cell::number(node.chains.to_string()),
        Cell::new(&node.kernel),
        Cell::new(&node.arch),
        Cell::new(seen(node, now)),
        Cell::new(labels(&node.labels)).paint(paint::slate),
    ]
}

/// `41`, or `40 → 41` while the node is on its way.
fn generation(node: &NodeSummary) -> String {
    if node.applied_generation == node.wanted_generation {
        node.applied_generation.to_string()
    } else {
        format!("{} → {}", node.applied_generation, node.wanted_generation)
    }
}

fn seen(node: &NodeSummary, now: i64) -> String {
    node.last_seen_at.map_or_else(|| "never".to_owned(), |then| units::ago(then, now))
}

fn labels(labels: &Labels) -> String {
    labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
}

/// A node's state in one word.
pub(crate) fn word(state: NodeState) -> &'static str {
    match state {
        NodeState::New => "new",
        NodeState::Healthy => "healthy",
        NodeState::Converging => "converging",
        NodeState::Refused => "refused",
        NodeState::Unreachable => "unreachable",
    }
}

fn colour(state: NodeState) -> fn(&str) -> String {
    match state {
        NodeState::Healthy => paint::moss,
        NodeState::Refused => paint::clay,
        NodeState::Converging | NodeState::Unreachable => paint::honey,
        NodeState::New => paint::slate,
    }
}

/// One node with its facts and chains.
pub(crate) fn detail(detail: &NodeDetail) -> String {
    let (node, facts) = (&detail.summary, &detail.facts);
    let mut text = format!(
        "{}  {} · {} · {} · {} · synced {}\n",
        paint::bold(node.name.as_str()),
        colour(node.state)(word(node.state)),
        node.kernel,
        node.arch,
        units::plural(detail.chains.len(), "chain", "chains"),
        seen(node, detail.now)
    );
    let log = detail
        .log
        .as_ref()
        .map(|log| format!("{} entries of {} seen", units::count(log.size), log.origin));
    let rows = [
        ("generation", generation(node)),
        ("labels", labels(&node.labels)),
        ("interfaces", facts.interfaces.join(" ")),
        ("host", facts.hostname.clone()),
        ("agent", facts.agent_version.clone()),
        ("log", log.unwrap_or_default()),
    ];
    let rows: Vec<Vec<Cell>> = rows
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![Cell::new(name).paint(paint::dim), Cell::new(value)])
        .collect();
    text.push_str(&layout(&rows, 2));
    if let Some(refusal) = &node.refusal {
        let _ =
            writeln!(text, "  {}  {} ({})", paint::clay("refused"), refusal.message, refusal.code);
    }
    if let Some(standing) = &detail.standing {
        text.push_str(&standing_lines(standing));
    }
    for feature in facts.features.iter().filter(|f| !f.supported) {
        let _ =
            writeln!(text, "  {}  {}: {}", paint::honey("without"), feature.name, feature.reason);
    }
    for note in &detail.notes {
        let _ = writeln!(text, "  {}  {note}", paint::honey("note"));
    }
    if !detail.chains.is_empty() {
        let header = chain::Header { node: node.name.as_str(), now: detail.now };
        text.push('\n');
        text.push_str(&chain::chains(&header, &detail.chains, None));
    }
    text
}

/// How a node stands to what operators signed.
fn standing_lines(standing: &Standing) -> String {
    let mut text = String::new();
    if let Some(set) = &standing.set {
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "  {}  {} · epoch {} · version {}{}",
            paint::dim("policy set"),
            set.environment,
            set.epoch,
            set.version,
            if standing.server_pinned { "" } else { " · server key not pinned, enrol again" }
        );
    }
    for policy in &standing.left_out {
        let _ = writeln!(text, "  {}  {policy}", paint::clay("left out by the server"));
    }
    for here in &standing.revoked {
        let _ = writeln!(
            text,
            "  {}  {} on {}: {} ({}); {}",
            paint::clay("revoked"),
            here.package,
            here.place,
            here.reason,
            here.severity,
            here.action
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::plain;
    use skep_api::v1::nodes::{NodeFacts, Refused};
    use skep_fleet::ids::Generation;

    fn node(name: &str, state: NodeState, applied: u64) -> NodeSummary {
        NodeSummary {
            name: name.parse().unwrap(),
            state,
            labels: Labels::from([("role".into(), "edge".into())]),
            kernel: "6.12.117".into(),
            arch: "amd64".into(),
            chains: 1,
            wanted_generation: Generation(41),
            applied_generation: Generation(applied),
            last_seen_at: Some(988),
            refusal: (state == NodeState::Refused).then(|| Refused {
                code: "package.signature_untrusted".into(),
                message: "acme/ratelimit 1.4.2 is signed by a key this node does not accept."
                    .into(),
            }),
            interfaces: vec!["eth0".into()],
        }
    }

    #[test]
    fn the_list_shows_who_lags_and_why() {
        let nodes =
            vec![node("edge-07", NodeState::Healthy, 41), node("edge-8", NodeState::Refused, 40)];
        insta::assert_snapshot!("node_list", plain(&list(&NodeList { nodes }, 1_000)));
    }

    #[test]
    fn an_empty_list_teaches_how_to_enrol() {
        assert!(list(&NodeList { nodes: Vec::new() }, 0).contains("skep node token create"));
    }

    #[test]
    fn a_node_shows_its_facts() {
        let facts = NodeFacts {
            hostname: "edge-07.example".into(),
            agent_version: "0.0.0".into(),
            interfaces: vec!["eth0".into(), "eth1".into()],
            ..NodeFacts::default()
        };
        let shown = NodeDetail {
            log: None,
            summary: node("edge-07", NodeState::Healthy, 41),
            facts,
            chains: Vec::new(),
            standing: None,
            notes: vec!["eth1 carries an XDP program of another tool.".into()],
            reported_at: None,
            now: 1_000,
        };
        insta::assert_snapshot!("node_detail", plain(&detail(&shown)));
    }
}
