//! Policies that the registry holds. Refuses to know a clock.

use crate::render::table::{Cell, layout};
use crate::render::{paint, units};
use skep_api::v1::policies::{PolicyInfo, PolicyList};
use skep_artifact::hook::Mode;
use std::fmt::Write as _;

/// Every policy, one a row.
pub(crate) fn list(list: &PolicyList, now: i64) -> String {
    if list.policies.is_empty() {
        return "No policy. Write one and run `skep apply -f POLICY.yaml --key KEY`.\n".to_owned();
    }
    let heads = ["policy", "revision", "hook", "interfaces", "programs", "nodes", "applied"];
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    rows.extend(list.policies.iter().map(|policy| row(policy, now)));
    layout(&rows, 0)
}

fn row(policy: &PolicyInfo, now: i64) -> Vec<Cell> {
    let revision = &policy.revision;
    let programs: Vec<String> =
        revision.programs.iter().map(|p| format!("{}@{}", p.package, p.version)).collect();
    let programs = if revision.removed { "removed".to_owned() } else { programs.join(" ") };
    vec![
        Cell::new(revision.name.as_str()).paint(paint::bold),
        Cell::number(format!("r{}", revision.revision)),
        Cell::new(revision.attach.hook.as_str()),
        Cell::new(revision.attach.interfaces.patterns.join(" ")),
        Cell::new(programs),
        Cell::number(policy.nodes.len().to_string()),
        Cell::new(units::ago(policy.applied_at, now)),
    ]
}

/// One policy with its programs.
pub(crate) fn detail(policy: &PolicyInfo, now: i64) -> String {
    let revision = &policy.revision;
    let mut text = format!(
        "{}  r{} · {} on {} · applied {} by {}\n",
        paint::bold(revision.name.as_str()),
        revision.revision,
        revision.attach.hook,
        revision.attach.interfaces.patterns.join(" "),
        units::ago(policy.applied_at, now),
        policy.applied_by
    );
    // Writing into a String cannot fail.
    let _ = writeln!(text, "  {}", paint::dim(&format!("envelope {}", policy.digest)));
    if revision.removed {
        let _ =
            writeln!(text, "  {}: this policy asks for nothing any more.", paint::clay("removed"));
    }
    let cells = revision.programs.iter().map(|p| {
        let on: Vec<&str> = p.proceed_on.iter().map(|v| v.as_str()).collect();
        vec![
            Cell::number(p.priority.to_string()),
            Cell::new(p.name.as_str()).paint(paint::bold),
            Cell::new(format!("{} {}", p.package, p.version)),
            Cell::new(p.program.clone()),
            Cell::new(format!("goes on after {}", on.join(", "))),
            Cell::new(if p.mode == Mode::Observe { "observe" } else { "" }).paint(paint::honey),
            Cell::new(p.index.short()).paint(paint::slate),
        ]
    });
    text.push_str(&layout(&cells.collect::<Vec<_>>(), 2));
    if let Some(fallback) = &revision.fallback {
        let of: Vec<String> =
            fallback.programs.iter().map(|p| format!("{} {}", p.package, p.version)).collect();
        let _ = writeln!(text, "  may fall back to r{}: {}", fallback.revision, of.join(", "));
    }
    if let Some(rule) = &revision.approval {
        let waves = rule.before.join(", ");
        let _ = writeln!(text, "  needs the approval of {} operators before {waves}", rule.by);
    }
    let nodes = match policy.nodes.as_slice() {
        [] => "selects no node".to_owned(),
        names => format!("on {}", names.join(" ")),
    };
    let _ = writeln!(text, "  {nodes}");
    text
}
