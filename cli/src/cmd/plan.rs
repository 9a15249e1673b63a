//! `skep plan -f FILE|DIR`: what applying would change, node by node.

use crate::cmd::Session;
use crate::policy_files;
use crate::render::plan::{self, NodeConflict, Plan, PlannedPolicy, PlannedWave};
use crate::resolve::Catalogue;
use crate::signing;
use anyhow::Context as _;
use skep_api::client::Client;
use skep_api::v1::nodes::NodeSummary;
use skep_api::v1::policies::PolicyInfo;
use skep_fleet::conflict::conflicts;
use skep_fleet::diff::{NodeDiff, NodeFacts, diff, with_changes};
use skep_fleet::ids::PolicyName;
use skep_fleet::policy::{FallbackWish, PolicyDocument, PolicyRevision};
use skep_fleet::rollout::{Member, RolloutPlan, RolloutStrategy, kernel_class};
use skep_trust::PolicySet;
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
    /// The policy set that follows; nothing when the newest one says the same, or the registry keeps none.
    pub set: Option<PolicySet>,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let prepared = prepare(&client, &args.file, None).await?;
    session.out.result(&prepared.plan, || plan::plan(&prepared.plan))
}

/// Reads the files, asks the registry, and says what would change.
///
/// # Errors
/// Files that cannot be read, ranges without a match, config that does not fit, or no registry.
pub(crate) async fn prepare(
    client: &Client,
    file: &Path,
    environment: Option<&str>,
) -> anyhow::Result<Prepared> {
    let files = policy_files::read(file)?;
    let documents: Vec<PolicyDocument> =
        files.policies.iter().map(|written| written.document.clone()).collect();
    let held = client.policies().await?.policies;
    let info = signing::set_info(client).await?;
    let accepted = |name: &PolicyName| {
        info.as_ref().and_then(|info| info.accepted.get(name.as_str()).copied()).unwrap_or(0)
    };
    let current: Vec<PolicyRevision> = held.iter().map(|policy| policy.revision.clone()).collect();
    let running: Vec<PolicyRevision> = held.iter().map(running).collect();
    let catalogue = Catalogue::look_up(client, &documents, &current).await?;
    let nodes = client.nodes().await?.nodes;
    let members: Vec<Member> = nodes.iter().map(member).collect();
    let nodes: Vec<NodeFacts> = nodes
        .into_iter()
        .map(|n| NodeFacts { name: n.name, labels: n.labels, interfaces: n.interfaces })
        .collect();

    let (mut changed, mut policies) = (Vec::new(), Vec::new());
    for document in &documents {
        let before = current.iter().find(|r| r.name == document.name);
        let from = before.map_or(0, |r| r.revision);
        // A registry that was restored knows fewer revisions than its nodes: theirs count.
        let highest = accepted(&document.name).max(from);
        let strategy = files.strategy_of(document)?;
        let good = held.iter().find(|policy| policy.revision.name == document.name).and_then(good);
        let document = &careful(document, strategy, good.as_ref());
        let wanted = catalogue.resolve(document, highest + 1)?;
        let falls_back = document.fallback.is_some();
        let same = highest == from
            && before.is_some_and(|r| {
                r.asks_the_same(&PolicyRevision { fallback: r.fallback.clone(), ..wanted.clone() })
                    && (falls_back || r.fallback.is_none())
            });
        let mut wanted = document.with_fallback(wanted, good.as_ref())?;
        if let Some(strategy) = strategy {
            wanted.rollout = Some(waves(strategy, &wanted, &members)?);
            wanted.check()?;
        }
        let selects = nodes.iter().filter(|n| wanted.nodes.matches(&n.labels)).count();
        policies.push(PlannedPolicy {
            name: document.name.to_string(),
            from,
            to: if same { from } else { wanted.revision },
            selects,
            waves: if same { Vec::new() } else { planned_waves(&wanted, &members) },
        });
        if !same {
            changed.push(wanted);
        }
    }
    let after = with_changes(&running, &changed);
    let diffs = diff(&nodes, &running, &after);
    let conflicts = report(&diffs);
    let silent = nodes.iter().filter(|node| {
        node.interfaces.is_empty() && changed.iter().any(|r| r.nodes.matches(&node.labels))
    });
    let unknown = silent.map(|node| node.name.to_string()).collect();
    let written = |policy: &&PolicyInfo| documents.iter().any(|d| d.name == policy.revision.name);
    let back = held.iter().filter(|policy| policy.rolled_back).filter(written).map(went_back);
    let warnings = catalogue.warnings.into_iter().chain(back).collect();
    let plan = Plan { policies, nodes: diffs, conflicts, fleet: nodes.len(), unknown, warnings };
    let set = match &info {
        Some(info) => signing::next_set(info, &held, &changed, environment)?,
        None => None,
    };
    Ok(Prepared { plan, changed, set })
}

/// A node as waves know it. Of each class of kernels one node goes first.
fn member(node: &NodeSummary) -> Member {
    let class = kernel_class(&node.kernel, &node.arch);
    Member { name: node.name.clone(), labels: node.labels.clone(), class }
}

/// What nodes run of a policy: after its rollout went back, what its newest revision falls back to.
fn running(policy: &PolicyInfo) -> PolicyRevision {
    let back = policy.rolled_back.then(|| fallen_back(&policy.revision)).flatten();
    back.unwrap_or_else(|| policy.revision.clone())
}

/// The last content of a policy that reached all its nodes. Until a rollout is through, that is what it falls back to.
fn good(policy: &PolicyInfo) -> Option<PolicyRevision> {
    match policy.lowest {
        None => Some(policy.revision.clone()),
        Some(_) => fallen_back(&policy.revision),
    }
}

fn fallen_back(revision: &PolicyRevision) -> Option<PolicyRevision> {
    let number = revision.fallback.as_ref()?.revision;
    Some(PolicyRevision { revision: number, ..revision.fallen_back()? })
}

fn went_back(policy: &PolicyInfo) -> String {
    let (name, number) = (&policy.revision.name, policy.revision.revision);
    format!(
        "The rollout of {name} r{number} went back: nodes run what came before it. `skep rollout show {name}` says why."
    )
}

/// A policy that goes by a strategy: it asks for the strategy's approvals where it names none itself, and falls back to
/// what last ran everywhere, without which no rollout could go back.
fn careful(
    document: &PolicyDocument,
    strategy: Option<&RolloutStrategy>,
    good: Option<&PolicyRevision>,
) -> PolicyDocument {
    let mut document = document.clone();
    let Some(strategy) = strategy else { return document };
    document.approval = document.approval.or_else(|| strategy.approval.clone());
    let same_hook = good.is_some_and(|good| good.attach.hook == document.attach.hook);
    document.fallback = document.fallback.or(same_hook.then_some(FallbackWish::Previous));
    document
}

fn waves(
    strategy: &RolloutStrategy,
    revision: &PolicyRevision,
    members: &[Member],
) -> anyhow::Result<RolloutPlan> {
    let meant: Vec<Member> =
        members.iter().filter(|member| revision.nodes.matches(&member.labels)).cloned().collect();
    let planned = strategy.plan(&revision.name, revision.revision, &meant);
    planned.with_context(|| format!("The strategy {} cannot be used.", strategy.name))
}

/// Who gets a revision when, in order of the waves.
fn planned_waves(revision: &PolicyRevision, members: &[Member]) -> Vec<PlannedWave> {
    let Some(plan) = &revision.rollout else { return Vec::new() };
    let meant = || members.iter().filter(|member| revision.nodes.matches(&member.labels));
    let wave_of = |member: &Member| {
        plan.wave_of(&revision.name, revision.revision, &member.name, &member.labels)
    };
    let asks = |name: &String| {
        let rule = revision.approval.as_ref().filter(|rule| rule.before.contains(name));
        rule.map(|rule| rule.by)
    };
    let shown = plan.waves.iter().enumerate().map(|(at, wave)| PlannedWave {
        name: wave.name.clone(),
        nodes: meant().filter(|m| wave_of(m) == at).map(|m| m.name.to_string()).collect(),
        approvals: asks(&wave.name),
    });
    shown.collect()
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
