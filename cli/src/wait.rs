//! Waiting until nodes run what was applied, or refuse it. Refuses to know what was applied.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::limits::WAIT_PAUSE;
use skep_api::client::Client;
use skep_api::v1::nodes::{NodeState, NodeSummary};
use skep_fleet::ids::Generation;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How one node stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Done,
    Waiting,
    Refused(String),
}

/// Waits until each of `names` runs the generation it is wanted to run.
///
/// # Errors
/// A refusal by any node ends the wait at once; time running out names who is late.
pub(crate) async fn until_applied(
    client: &Client,
    names: &[String],
    limit: Duration,
    session: &Session,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let bar = session.out.progress("applied", names.len() as u64);
    let mut goals: BTreeMap<String, Generation> = BTreeMap::new();
    let mut said: Vec<String> = Vec::new();
    loop {
        let nodes = match client.nodes().await {
            Ok(list) => list.nodes,
            // A registry that restarts does not undo what was applied.
            Err(error) if error.is_passing() && begun.elapsed() < limit => {
                tokio::time::sleep(WAIT_PAUSE).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let ours = || nodes.iter().filter(|n| names.iter().any(|name| n.name.as_str() == name));
        for node in ours() {
            let goal = goals.entry(node.name.to_string()).or_default();
            *goal = (*goal).max(node.wanted_generation);
        }
        let mut late = Vec::new();
        for node in ours() {
            match standing(node, goals.get(node.name.as_str()).copied().unwrap_or_default()) {
                Standing::Done if said.contains(&node.name.to_string()) => {}
                Standing::Done => {
                    said.push(node.name.to_string());
                    let line =
                        format!("{} runs generation {}.", node.name, node.applied_generation);
                    if !session.out.is_lively() {
                        session.out.say(&line);
                    }
                }
                Standing::Waiting => late.push(format!("{} ({})", node.name, why(node))),
                Standing::Refused(why) => {
                    bar.abandon();
                    return Err(Ends::refusal(why).into());
                }
            }
        }
        bar.set_position(said.len() as u64);
        if late.is_empty() {
            bar.finish_and_clear();
            return Ok(());
        }
        if begun.elapsed() >= limit {
            bar.abandon();
            anyhow::bail!(
                "After {} s these nodes do not run it yet: {}. They will when they can; `skep node show NAME` tells more.",
                limit.as_secs(),
                late.join(", ")
            );
        }
        tokio::time::sleep(WAIT_PAUSE).await;
    }
}

fn standing(node: &NodeSummary, goal: Generation) -> Standing {
    match (&node.refusal, node.state) {
        (Some(refusal), NodeState::Refused) => Standing::Refused(format!(
            "Node {} refused generation {}: {} ({}) What ran before still runs.",
            node.name, goal, refusal.message, refusal.code
        )),
        _ if node.applied_generation >= goal => Standing::Done,
        _ => Standing::Waiting,
    }
}

fn why(node: &NodeSummary) -> &'static str {
    match node.state {
        NodeState::Unreachable => "unreachable",
        NodeState::New => "has not synced yet",
        NodeState::Healthy | NodeState::Converging | NodeState::Refused => "on its way",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::v1::nodes::Refused;

    fn node(state: NodeState, applied: u64) -> NodeSummary {
        NodeSummary {
            name: "edge-07".parse().unwrap(),
            state,
            labels: BTreeMap::new(),
            kernel: String::new(),
            arch: String::new(),
            chains: 0,
            wanted_generation: Generation(41),
            applied_generation: Generation(applied),
            last_seen_at: None,
            refusal: None,
            interfaces: Vec::new(),
        }
    }

    #[test]
    fn a_node_is_done_when_it_reports_the_generation() {
        let goal = Generation(41);
        assert_eq!(standing(&node(NodeState::Converging, 40), goal), Standing::Waiting);
        assert_eq!(standing(&node(NodeState::Unreachable, 40), goal), Standing::Waiting);
        assert_eq!(standing(&node(NodeState::Healthy, 41), goal), Standing::Done);
        assert_eq!(standing(&node(NodeState::Healthy, 42), goal), Standing::Done);
    }

    #[test]
    fn a_refusal_names_the_node_and_the_reason() {
        let refusal = Refused { code: "package.rollback".into(), message: "Older.".into() };
        let refused = NodeSummary { refusal: Some(refusal), ..node(NodeState::Refused, 40) };
        let Standing::Refused(said) = standing(&refused, Generation(41)) else {
            panic!("not refused")
        };
        assert_eq!(
            said,
            "Node edge-07 refused generation 41: Older. (package.rollback) What ran before still runs."
        );
    }
}
