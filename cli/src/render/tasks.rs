//! Tasks of a registry in words. Refuses to know a clock.

use crate::render::table::{Cell, layout};
use crate::render::{paint, units};
use skep_api::v1::maintenance::{Findings, TaskInfo, TaskKind, TaskState};
use skep_artifact::digest::Digest;
use std::fmt::Write as _;

/// Tasks as rows, newest first.
pub(crate) fn list(tasks: &[TaskInfo], now: i64) -> String {
    if tasks.is_empty() {
        return "No task ran since the registry was started.\n".to_owned();
    }
    let heads = ["id", "task", "state", "done", "started"];
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    rows.extend(tasks.iter().map(|task| {
        vec![
            Cell::number(task.id.to_string()),
            Cell::new(word(task.kind)),
            Cell::new(match task.state {
                TaskState::Running => "running",
                TaskState::Done => "done",
                TaskState::Failed => "failed",
            }),
            Cell::number(format!("{}/{}", task.done, task.total)),
            Cell::new(units::ago(task.started_at, now)),
        ]
    }));
    layout(&rows, 0)
}

fn word(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Gc => "gc",
        TaskKind::Scrub => "scrub",
    }
}

/// What a task led to.
pub(crate) fn ended(task: &TaskInfo) -> String {
    match &task.findings {
        None => format!("Removed {} unused blobs.\n", units::count(task.removed)),
        Some(found) => findings(found),
    }
}

fn findings(found: &Findings) -> String {
    let mut text = String::new();
    let kinds: [(&str, &[Digest]); 5] = [
        ("repaired", &found.repaired),
        ("changed", &found.changed),
        ("missing", &found.missing),
        ("lost upload", &found.lost_uploads),
        ("unknown", &found.unknown),
    ];
    for (word, digests) in kinds {
        for digest in digests {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "  {word}  {digest}");
        }
    }
    let broken = found.changed.len() + found.missing.len();
    let intact = units::count(found.intact);
    let _ = match broken {
        0 => writeln!(text, "{} {intact} blobs are intact.", paint::moss("All is well:")),
        n => writeln!(text, "{intact} blobs are intact, {}.", paint::clay(&format!("{n} are not"))),
    };
    text
}
