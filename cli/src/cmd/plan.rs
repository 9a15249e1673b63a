//! `skep plan -f FILE|DIR`: what applying would change, node by node.

use crate::cmd::Session;
use crate::policy_files;
use crate::render::plan::{self, NodeConflict, Plan, PlannedPolicy};
use crate::resolve::Catalogue;
use skep_api::client::Client;
use skep_fleet::conflict::conflicts;
use skep_fleet::diff::{NodeDiff, NodeFacts, diff, with_changes};
use skep_fleet::policy::{PolicyDocument, PolicyRevision};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep plan -f edge.yaml
  skep plan -f policies/ --json

Version ranges become digests here; `skep apply` signs exactly those.")]
pub(crate) struct Args {
    /// A policy file, or a folder of them
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR")]
    file: PathBuf,
}

/// A plan, and the revisions to sign for it.
pub(crate) struct Prepared {
    pub plan: Plan,
    /// Policies that change, each with its next revision.
    pub changed: Vec<PolicyRevision>,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let prepared = prepare(&client, &args.file).await?;
    session.out.result(&prepared.plan, || plan::plan(&prepared.plan))
}

/// Reads the files, asks the registry, and says what would change.
///
/// # Errors
/// Files that cannot be read, ranges without a match, config that does not fit, or no registry.
pub(crate) async fn prepare(client: &Client, file: &Path) -> anyhow::Result<Prepared> {
    let written = policy_files::read(file)?;
    let documents: Vec<PolicyDocument> = written.into_iter().map(|w| w.document).collect();
    let held = client.policies().await?.policies;
    let current: Vec<PolicyRevision> = held.into_iter().map(|policy| policy.revision).collect();
    let catalogue = Catalogue::look_up(client, &documents, &current).await?;
    let nodes = client.nodes().await?.nodes;
    let nodes: Vec<NodeFacts> = nodes
        .into_iter()
        .map(|n| NodeFacts { name: n.name, labels: n.labels, interfaces: n.interfaces })
        .collect();

    let (mut changed, mut policies) = (Vec::new(), Vec::new());
    for document in &documents {
        let before = current.iter().find(|r| r.name == document.name);
        let from = before.map_or(0, |r| r.revision);
        let wanted = catalogue.resolve(document, from + 1)?;
        let same = before.is_some_and(|r| same_content(r, &wanted));
        let selects = nodes.iter().filter(|n| wanted.nodes.matches(&n.labels)).count();
        policies.push(PlannedPolicy {
            name: document.name.to_string(),
            from,
            to: if same { from } else { wanted.revision },
            selects,
        });
        if !same {
            changed.push(wanted);
        }
    }
    let after = with_changes(&current, &changed);
    let diffs = diff(&nodes, &current, &after);
    let conflicts = report(&diffs);
    let silent = nodes.iter().filter(|node| {
        node.interfaces.is_empty() && changed.iter().any(|r| r.nodes.matches(&node.labels))
    });
    let unknown = silent.map(|node| node.name.to_string()).collect();
    let warnings = catalogue.warnings;
    let plan = Plan { policies, nodes: diffs, conflicts, fleet: nodes.len(), unknown, warnings };
    Ok(Prepared { plan, changed })
}

/// Whether two revisions ask for the same; their numbers aside.
fn same_content(a: &PolicyRevision, b: &PolicyRevision) -> bool {
    *a == PolicyRevision { revision: a.revision, ..b.clone() }
}

/// The conflicts of every chain that changes, as it will be.
fn report(diffs: &[NodeDiff]) -> Vec<NodeConflict> {
    let of_node = |node: &NodeDiff| {
        let name = node.node.to_string();
        let chains = node.chains.iter().map(|chain| skep_fleet::DesiredChain {
            interface: chain.interface.clone(),
            hook: chain.hook,
            members: chain.after.clone(),
            asked: chain.asked.clone(),
        });
        chains
            .flat_map(|chain| conflicts(&chain))
            .map(|conflict| NodeConflict { node: name.clone(), conflict })
            .collect::<Vec<_>>()
    };
    diffs.iter().flat_map(of_node).collect()
}
