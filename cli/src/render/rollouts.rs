//! Rollouts in words and bars. Refuses to know a clock: answers carry the server's.

use crate::render::table::{Cell, layout};
use crate::render::{paint, units};
use skep_api::v1::rollouts::{
    EvidenceInfo, FreezeList, NodeCounts, RolloutDetail, RolloutList, RolloutSummary, WaveInfo,
};
use std::fmt::Write as _;

/// Cells of a wave's bar.
const BAR_CELLS: usize = 24;
/// Pieces of evidence shown under a rollout: the last ones.
const EVIDENCE_SHOWN: usize = 8;

/// Rollouts as rows.
pub(crate) fn list(list: &RolloutList) -> String {
    if list.rollouts.is_empty() {
        return "No rollout yet. A policy that names a strategy goes to its nodes in waves.\n"
            .to_owned();
    }
    let heads = ["policy", "revision", "phase", "wave", "nodes", "since", "waits for"];
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    rows.extend(list.rollouts.iter().map(|it| {
        vec![
            Cell::new(it.policy.clone()),
            Cell::number(format!("r{}", it.revision)),
            Cell::new(it.phase.clone()).paint(colour(it)),
            Cell::new(it.wave.clone().unwrap_or_default()),
            Cell::number(format!("{}/{}", it.nodes.applied, it.nodes.all)),
            Cell::new(units::ago(it.since, list.now)),
            Cell::new(it.waits_for.clone()),
        ]
    }));
    layout(&rows, 0)
}

/// Freezes as rows.
pub(crate) fn freezes(list: &FreezeList) -> String {
    if list.freezes.is_empty() {
        return "No freeze is set.\n".to_owned();
    }
    let heads = ["freeze", "from", "until", "policies", "reason"];
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    rows.extend(list.freezes.iter().map(|freeze| {
        let policies: Vec<String> = freeze.policies.iter().map(ToString::to_string).collect();
        let policies = if policies.is_empty() { "all".to_owned() } else { policies.join(", ") };
        vec![
            Cell::new(freeze.name.clone()),
            Cell::new(String::from(freeze.from)),
            Cell::new(String::from(freeze.until)),
            Cell::new(policies),
            Cell::new(freeze.reason.clone()),
        ]
    }));
    layout(&rows, 0)
}

fn colour(it: &RolloutSummary) -> fn(&str) -> String {
    match it.phase.as_str() {
        "succeeded" => paint::moss,
        "paused" | "awaiting approval" => paint::honey,
        "rolling back" | "rolled back" => paint::clay,
        _ => paint::bold,
    }
}

/// Everything about one rollout.
pub(crate) fn detail(it: &RolloutDetail) -> String {
    let summary = &it.summary;
    let mut text = String::new();
    let stage = summary.stage.as_ref().map(|stage| format!(" · {stage}")).unwrap_or_default();
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "{} r{}  {}{stage}  strategy {}",
        paint::bold(&summary.policy),
        summary.revision,
        colour(summary)(&summary.phase),
        summary.strategy
    );
    if !summary.waits_for.is_empty() {
        let _ = writeln!(text, "  waits for {}", summary.waits_for);
    }
    if !summary.is_final {
        let left = summary.deadline.map(|at| at.saturating_sub(it.now).max(0));
        let left = left.map(|secs| format!(", stops by itself in {secs} s")).unwrap_or_default();
        let _ = writeln!(text, "  plan {}{left}", paint::dim(&it.hash.to_string()));
    }
    text.push_str(&layout(&it.waves.iter().map(wave).collect::<Vec<_>>(), 2));
    for gate in &it.gates {
        let _ = writeln!(text, "  gate {gate}");
    }
    let skipped = it.evidence.len().saturating_sub(EVIDENCE_SHOWN);
    for one in it.evidence.iter().skip(skipped) {
        let _ = writeln!(text, "  {}", evidence(one));
    }
    let failed = it.targets.iter().filter_map(|target| Some((target, target.message.as_ref()?)));
    for (target, message) in failed {
        let _ = writeln!(text, "  {} {}: {message}", paint::clay("failed"), target.node);
    }
    text
}

fn wave(wave: &WaveInfo) -> Vec<Cell> {
    let NodeCounts { all, applied, failed, reverted, in_flight, .. } = wave.nodes;
    let approved = match (wave.approved, wave.approvals_needed) {
        (Some(have), Some(need)) => format!("{have} of {need} approvals"),
        _ => String::new(),
    };
    let mut said = format!("{applied}/{all}");
    for (count, word) in [(in_flight, "in flight"), (failed, "failed"), (reverted, "back")] {
        if count > 0 {
            // Writing into a String cannot fail.
            let _ = write!(said, ", {count} {word}");
        }
    }
    vec![
        Cell::new(wave.name.clone()),
        Cell::new(bar(wave.nodes)),
        Cell::new(said),
        Cell::new(approved),
    ]
}

/// One cell for so many nodes: those that run it, then those in flight, then those that failed or went back.
fn bar(nodes: NodeCounts) -> String {
    if nodes.all == 0 {
        return "·".repeat(BAR_CELLS);
    }
    let part = |count: usize| (count * BAR_CELLS).div_ceil(nodes.all);
    let mut bar = "█".repeat(part(nodes.applied));
    bar.push_str(&"▒".repeat(part(nodes.in_flight + nodes.reverting)));
    bar.push_str(&"×".repeat(part(nodes.failed + nodes.reverted)));
    let left = BAR_CELLS.saturating_sub(bar.chars().count());
    let bar: String = bar.chars().take(BAR_CELLS).collect();
    format!("{bar}{}", "░".repeat(left))
}

/// What was seen, in a line; what nodes counted below it.
pub(crate) fn evidence(it: &EvidenceInfo) -> String {
    let wave = it.wave.as_ref().map(|wave| format!(" {wave}")).unwrap_or_default();
    let word = match it.what.as_str() {
        "gate-failed" | "rolling-back" | "rolled-back" => paint::clay(&it.what),
        "paused" | "glass-broken" => paint::honey(&it.what),
        "succeeded" | "gate-passed" => paint::moss(&it.what),
        _ => it.what.clone(),
    };
    let mut text = format!("{word}{}: {}", paint::dim(&wave), it.message);
    if it.what == "gate-failed" {
        for sample in &it.samples {
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "\n      {} {}: {} of {} packets dropped",
                sample.node, sample.member, sample.dropped, sample.packets
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_always_as_long_and_shows_every_kind() {
        let counts = |applied, in_flight, failed| NodeCounts {
            all: 100,
            applied,
            in_flight,
            failed,
            ..NodeCounts::default()
        };
        for nodes in [counts(0, 0, 0), counts(100, 0, 0), counts(33, 33, 34), counts(1, 1, 1)] {
            assert_eq!(bar(nodes).chars().count(), BAR_CELLS, "{nodes:?}");
        }
        assert!(bar(counts(1, 0, 0)).starts_with('█'), "one of a hundred is seen");
        assert_eq!(bar(NodeCounts::default()).chars().count(), BAR_CELLS);
    }
}
