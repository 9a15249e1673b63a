//! What is exposed is what the documentation says, by name, type, labels and value.

use super::text;
use skep_api::v1::chains::{ChainStatus, MemberCounters, MemberStatus, VerdictCount};
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use std::collections::{BTreeMap, BTreeSet};

fn member(name: &str, mode: Mode, failure: Failure) -> MemberStatus {
    let verdict = |verdict: &str, packets| VerdictCount { verdict: verdict.to_owned(), packets };
    MemberStatus {
        policy: "edge".to_owned(),
        name: name.to_owned(),
        package: "skep/firewall".parse().unwrap(),
        version: semver::Version::new(1, 4, 2),
        index: Digest::of(b"index"),
        program: "xdp_firewall".to_owned(),
        program_id: 7,
        priority: 10,
        proceed_on: VerdictSet::default_for(Hook::Xdp),
        mode,
        failure,
        counters: MemberCounters {
            packets: 100,
            bytes: 6400,
            missed: 5,
            ns: 3_000_000_000,
            timed: 50,
            verdicts: vec![verdict("pass", 80), verdict("drop", 14), verdict("aborted", 1)],
        },
    }
}

fn chain() -> ChainStatus {
    ChainStatus {
        interface: "eth0".to_owned(),
        hook: Hook::Xdp,
        backend: "slots".to_owned(),
        backend_reason: String::new(),
        attach_mode: "native".to_owned(),
        generation: 41,
        applied_at: 1_790_000_000,
        members: vec![
            member("guard", Mode::Enforce, Failure::Closed),
            member("open", Mode::Enforce, Failure::Open),
            member("watcher", Mode::Observe, Failure::Closed),
        ],
    }
}

/// The lines with a value: name, labels, value.
fn values(text: &str) -> Vec<(String, String, String)> {
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        (name.to_owned(), labels.trim_end_matches('}').to_owned(), value.to_owned())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(value).collect()
}

fn labels_of(labels: &str) -> BTreeSet<String> {
    labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned())).collect()
}

/// Rows of the table in docs/metrics.md: name → (type, labels).
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let words = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    include_str!("../../../docs/metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `skep_"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let name = words(cells[0]).into_iter().next().unwrap();
            (name, (cells[1].to_owned(), words(cells[2])))
        })
        .collect()
}

#[test]
fn the_documentation_names_exactly_what_is_exposed() {
    let text = text("edge-07", "0.0.0", &[chain()], Some(7));
    let types: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let mut exposed: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for (name, labels, _) in values(&text) {
        let kind = types.get(name.as_str()).or_else(|| types.get(name.strip_suffix("_total")?));
        exposed.insert(name, ((*kind.unwrap()).to_owned(), labels_of(&labels)));
    }
    assert_eq!(exposed, documented());
    assert!(text.ends_with("# EOF\n"), "the format ends with a mark");
}

#[test]
fn drops_are_those_that_ended_a_packet() {
    let text = text("edge-07", "0.0.0", &[chain()], Some(7));
    let of = |metric: &str, member: &str| {
        let label = format!("member=\"{member}\"");
        let found = values(&text)
            .into_iter()
            .find(|(name, labels, _)| name == metric && labels.contains(&label))
            .unwrap();
        found.2
    };
    assert_eq!(of("skep_member_drops_total", "guard"), "20", "drop, aborted and missed");
    assert_eq!(of("skep_member_drops_total", "open"), "15", "missed packets went on");
    assert_eq!(of("skep_member_drops_total", "watcher"), "0", "it only observes");
    assert_eq!(of("skep_member_packets_total", "guard"), "100");
    assert_eq!(of("skep_member_missed_total", "guard"), "5");
    assert_eq!(of("skep_member_timed_seconds_total", "guard"), "3.0");
    assert_eq!(of("skep_member_timed_packets_total", "guard"), "50");
}

#[test]
fn a_name_with_quotes_stays_one_label() {
    let text = text("edge\"07\n", "0.0.0", &[], None);
    assert!(text.contains(r#"skep_agent{node="edge\"07\n",version="0.0.0"} 1"#), "{text}");
}
