//! A plan as people know it: `+`, `-`, `~`, a summary line, the conflict report. Refuses to know
//! how a plan comes about.

use crate::render::{paint, units};
use serde::Serialize;
use skep_artifact::hook::Mode;
use skep_fleet::How;
use skep_fleet::conflict::Conflict;
use skep_fleet::desired::DesiredMember;
use skep_fleet::diff::{ChainDiff, Change, NodeDiff};
use std::fmt::Write as _;

/// Nodes of a wave that are named; a plan is read before it is signed.
const WAVE_NODES_SHOWN: usize = 8;

/// Everything a plan says.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    pub policies: Vec<PlannedPolicy>,
    pub nodes: Vec<NodeDiff>,
    /// Each with the node it would come about on.
    pub conflicts: Vec<NodeConflict>,
    /// Nodes the registry knows.
    pub fleet: usize,
    /// Nodes a changed policy selects that never told their interfaces: what changes there is not known yet.
    pub unknown: Vec<String>,
    /// What became of packages that the policies name: yanked, deprecated.
    pub warnings: Vec<String>,
}

/// One policy of the plan.
#[derive(Debug, Serialize)]
pub(crate) struct PlannedPolicy {
    pub name: String,
    /// The revision that runs, 0 when there is none.
    pub from: u64,
    /// The revision that would be signed; the same as `from` when nothing changes.
    pub to: u64,
    pub selects: usize,
    /// Who gets it when, where it goes to its nodes in waves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<PlannedWave>,
}

/// One wave of the plan.
#[derive(Debug, Serialize)]
pub(crate) struct PlannedWave {
    pub name: String,
    pub nodes: Vec<String>,
    /// Operators that must approve before it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<u32>,
}

/// A conflict and where it would come about.
#[derive(Debug, Serialize)]
pub(crate) struct NodeConflict {
    pub node: String,
    pub conflict: Conflict,
}

/// The whole plan.
pub(crate) fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    for policy in &plan.policies {
        text.push_str(&policy_line(policy));
    }
    for node in &plan.nodes {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "\n{}", paint::bold(node.node.as_str()));
        for chain in &node.chains {
            text.push_str(&chain_lines(chain));
        }
    }
    text.push('\n');
    text.push_str(&summary(plan));
    if !plan.conflicts.is_empty() || !plan.warnings.is_empty() {
        let _ = writeln!(text, "\n{}", paint::honey("To look at before applying:"));
        for what in &plan.warnings {
            let _ = writeln!(text, "  {} {what}", paint::honey("!"));
        }
        for (what, nodes) in by_conflict(&plan.conflicts) {
            let _ = writeln!(text, "  {} {what} {}", paint::honey("!"), paint::dim(&nodes));
        }
    }
    text
}

fn policy_line(policy: &PlannedPolicy) -> String {
    let revisions = if policy.from == policy.to {
        format!("r{} unchanged", policy.to)
    } else if policy.from == 0 {
        format!("new, r{}", policy.to)
    } else {
        format!("r{} → r{}", policy.from, policy.to)
    };
    let selects = match policy.selects {
        0 => paint::honey("selects no node"),
        n => format!("selects {}", units::plural(n, "node", "nodes")),
    };
    let mut text = format!("{}  {revisions} · {selects}\n", paint::bold(&policy.name));
    for wave in &policy.waves {
        text.push_str(&wave_line(wave));
    }
    text
}

fn wave_line(wave: &PlannedWave) -> String {
    let shown: Vec<&str> = wave.nodes.iter().take(WAVE_NODES_SHOWN).map(String::as_str).collect();
    let more = match wave.nodes.len().saturating_sub(shown.len()) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let nodes = match wave.nodes.len() {
        0 => "no node".to_owned(),
        n => format!("{}: {}{more}", units::plural(n, "node", "nodes"), shown.join(", ")),
    };
    let asks = match wave.approvals {
        None => String::new(),
        Some(by) => format!(" · after {}", units::plural(by as usize, "approval", "approvals")),
    };
    format!("  wave {}  {nodes}{asks}\n", paint::bold(&wave.name))
}

fn chain_lines(chain: &ChainDiff) -> String {
    let mut text = format!("  {} {}\n", chain.interface, chain.hook);
    for change in &chain.changes {
        let line = match change {
            Change::Add { member } => paint::moss(&format!("+ {}", describe(member))),
            Change::Remove { member } => paint::clay(&format!("- {}", describe(member))),
            Change::Replace { before, after } => {
                paint::honey(&format!("~ {}  {}", seat(after), differences(before, after)))
            }
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "    {line}");
    }
    let how = How::together(chain.asked.values());
    if how != How::together(chain.asked_before.values()) {
        let line = format!("~ attach {} → {how}", How::together(chain.asked_before.values()));
        let _ = writeln!(text, "    {}", paint::honey(&line));
    }
    let order: Vec<&str> = chain.after.iter().map(|m| m.name.as_str()).collect();
    let after = if order.is_empty() { "nothing".to_owned() } else { order.join(" → ") };
    let asked = if how.is_default() { String::new() } else { format!(" ({how})") };
    let _ = writeln!(text, "    {}", paint::dim(&format!("then: {after}{asked}")));
    text
}

/// `10 guard` of `edge-firewall`.
fn seat(member: &DesiredMember) -> String {
    format!("{} {} ({})", member.priority, member.name, member.policy)
}

fn describe(member: &DesiredMember) -> String {
    let observe = if member.mode == Mode::Observe { " · observe" } else { "" };
    format!("{}  {} {} · {}{observe}", seat(member), member.package, member.version, member.program)
}

/// What is different, each thing with its old and its new value.
fn differences(before: &DesiredMember, after: &DesiredMember) -> String {
    let mut found = Vec::new();
    let mut compare = |name: &str, old: String, new: String| {
        if old != new {
            found.push(format!("{name} {old} → {new}"));
        }
    };
    compare("package", before.package.to_string(), after.package.to_string());
    compare("version", before.version.to_string(), after.version.to_string());
    if before.version == after.version {
        compare("digest", before.index.short(), after.index.short());
    }
    compare("program", before.program.clone(), after.program.clone());
    compare("priority", before.priority.to_string(), after.priority.to_string());
    compare("proceedOn", names(before), names(after));
    compare("mode", before.mode.as_str().to_owned(), after.mode.as_str().to_owned());
    compare("failure", before.failure.as_str().to_owned(), after.failure.as_str().to_owned());
    if before.config != after.config {
        found.push("config changed".to_owned());
    }
    found.join(", ")
}

fn names(member: &DesiredMember) -> String {
    let names: Vec<&str> = member.proceed_on.iter().map(|v| v.as_str()).collect();
    format!("[{}]", names.join(", "))
}

fn summary(plan: &Plan) -> String {
    let unknown = match plan.unknown.as_slice() {
        [] => String::new(),
        names => format!(
            "Not known yet: {} enrolled, and never told which interfaces there are. Start the agent there, then plan again.\n",
            match names {
                [name] => format!("{name} is"),
                names => format!("{} are", names.join(", ")),
            }
        ),
    };
    known_changes(plan) + &unknown
}

/// What changes on the nodes that are known.
fn known_changes(plan: &Plan) -> String {
    if plan.nodes.is_empty() && plan.unknown.is_empty() {
        return "Nothing changes on any node.\n".to_owned();
    }
    if plan.nodes.is_empty() {
        return "Nothing changes on the nodes that are known.\n".to_owned();
    }
    let changes = || plan.nodes.iter().flat_map(|n| &n.chains).flat_map(|c| &c.changes);
    let added = changes().filter(|c| matches!(c, Change::Add { .. })).count();
    let removed = changes().filter(|c| matches!(c, Change::Remove { .. })).count();
    let replaced = changes().filter(|c| matches!(c, Change::Replace { .. })).count();
    format!(
        "{} of {} change: {added} to add, {replaced} to replace, {removed} to remove.\n",
        plan.nodes.len(),
        units::plural(plan.fleet, "node", "nodes"),
    )
}

/// The same conflict on many nodes is said once.
fn by_conflict(conflicts: &[NodeConflict]) -> Vec<(String, String)> {
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    for found in conflicts {
        let what = found.conflict.to_string();
        match said.iter_mut().find(|(known, _)| *known == what) {
            Some((_, nodes)) => nodes.push(&found.node),
            None => said.push((what, vec![&found.node])),
        }
    }
    let nodes = |nodes: Vec<&str>| match nodes.as_slice() {
        [one] => format!("({one})"),
        [one, rest @ ..] => {
            format!("({one} and {})", units::plural(rest.len(), "other node", "other nodes"))
        }
        [] => String::new(),
    };
    said.into_iter().map(|(what, on)| (what, nodes(on))).collect()
}

#[cfg(test)]
mod tests;
