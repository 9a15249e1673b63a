//! The transparency log: what it is, its entries, its alarms. Refuses to know a clock.

use crate::render::table::{Cell, layout};
use crate::render::{paint, units};
use skep_api::v1::log::{LogAlarms, LogDescription};
use skep_artifact::digest::Digest;
use skep_artifact::log::{Entry, Event};

/// Which log a registry keeps.
pub(crate) fn description(log: &LogDescription) -> String {
    let mut rows = vec![
        row("origin", log.origin.clone()),
        row("entries", units::count(log.size)),
        row("root", log.root.to_string()),
        row("key", log.key.clone()),
    ];
    rows.extend(log.witnesses.iter().map(|witness| row("witness", witness.clone())));
    layout(&rows, 0)
}

fn row(name: &str, value: String) -> Vec<Cell> {
    vec![Cell::new(name).paint(paint::dim), Cell::new(value)]
}

/// One entry on one line.
pub(crate) fn entry(index: u64, entry: &Entry, now: i64) -> String {
    let what = match &entry.event {
        Event::Publish { package, version, index, .. } => {
            format!("{package} {version}  {}", index.short())
        }
        Event::Attestation { package, version, predicate_type, .. } => {
            format!("{package} {version}  {predicate_type}")
        }
        Event::Yank { package, version, yanked, reason, .. } => {
            let verb = if *yanked { "yanked" } else { "not yanked any more" };
            format!("{package} {version}  {verb} {reason}")
        }
        Event::Deprecate { package, version, message } => {
            let version = version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
            let message = if message.is_empty() { "not any more" } else { message };
            format!("{package}{version}  {message}")
        }
        Event::Tombstone { package, message } => format!("{package}  {message}"),
        Event::Revoke { package, versions, digests, lifts, reason, .. } => {
            let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
            let what = match (versions.as_slice(), digests.as_slice(), lifts) {
                (_, _, Some(lifted)) => format!("allowed again ({})", lifted.short()),
                ([], digests, None) => {
                    digests.iter().map(Digest::short).collect::<Vec<_>>().join(", ")
                }
                (versions, _, None) => versions.join(", "),
            };
            format!("{package} {what}  {reason}")
        }
        Event::Delegation { namespace, keys, threshold, .. } => {
            let keys: Vec<String> = keys.iter().map(|key| key.key_id().short()).collect();
            format!("{namespace}/*  {threshold} of {}", keys.join(", "))
        }
        Event::Trust { role, version, .. } => format!("{role} {version}"),
        Event::Policy { what, name, revision, .. } => format!("{what} {name} {revision}"),
        Event::Rollout { policy, revision, step } => format!("{policy} {revision}  {step}"),
    };
    format!(
        "{:>8}  {}  {}  {}\n",
        index,
        paint::bold(&format!("{:<11}", entry.kind())),
        what.trim_end(),
        paint::dim(&units::ago(entry.at, now)),
    )
}

/// Alarms that stand.
pub(crate) fn alarms(alarms: &LogAlarms, now: i64) -> String {
    if alarms.alarms.is_empty() {
        return "Every node sees the registry's log.\n".to_owned();
    }
    let heads = ["node", "code", "since", "entries", "what"];
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    rows.extend(alarms.alarms.iter().map(|alarm| {
        vec![
            Cell::new(alarm.node.to_string()).paint(paint::bold),
            Cell::new(&alarm.code).paint(paint::clay),
            Cell::new(units::ago(alarm.since, now)),
            Cell::number(units::count(alarm.size)),
            Cell::new(&alarm.message),
        ]
    }));
    layout(&rows, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::plain;

    #[test]
    fn an_entry_is_one_line() {
        let event = Event::Policy {
            what: "revision".to_owned(),
            name: "edge".to_owned(),
            revision: 3,
            envelope: Digest::of(b""),
        };
        let line = plain(&entry(41, &Entry { at: 0, event }, 60));
        assert_eq!(line, "      41  policy       revision edge 3  60 s ago\n");
    }
}
