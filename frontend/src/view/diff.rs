//! What changed from one version of a package to another: what its programs are and may do, what it needs, how large
//! it is. Facts of the objects are compared, not what an author says of the change. It refuses to judge.

use crate::view::{format, permissions};
use crate::words;
use skep_api::v1::packages::VersionDetail;
use skep_artifact::manifest::Manifest;
use skep_artifact::object::{MapFacts, ObjectFacts, ProgramFacts};
use std::collections::{BTreeMap, BTreeSet};

/// How a line of a comparison differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added,
    Removed,
    Changed,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub change: Change,
    pub what: String,
    /// Before and after, or what there is to know of what came or went.
    pub detail: String,
}

/// Differences of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub title: &'static str,
    pub lines: Vec<Line>,
}

/// Every difference, by kind; kinds without one are left out.
#[must_use]
pub fn of(before: &VersionDetail, after: &VersionDetail) -> Vec<Group> {
    let (old, new) = (&before.facts, &after.facts);
    let groups = [
        (words::PERMISSIONS, lines(&may(old), &may(new))),
        (words::DIFF_NEEDS, needs(before, after)),
        (words::PROGRAMS, lines(&programs(old), &programs(new))),
        (words::COL_HELPERS, lines(&calls(old), &calls(new))),
        (words::MAPS, lines(&maps(old), &maps(new))),
        (words::CONFIGURATION, lines(&settings(before), &settings(after))),
    ];
    let all = groups.map(|(title, lines)| Group { title, lines });
    all.into_iter().filter(|group| !group.lines.is_empty()).collect()
}

/// Things by name with what there is to know of each.
type Named = BTreeMap<String, String>;

fn lines(before: &Named, after: &Named) -> Vec<Line> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let line = |name: &String| {
        let (change, detail) = match (before.get(name), after.get(name)) {
            (None, Some(now)) => (Change::Added, now.clone()),
            (Some(then), None) => (Change::Removed, then.clone()),
            (Some(then), Some(now)) if then != now => {
                (Change::Changed, words::before_and_after(then, now))
            }
            _ => return None,
        };
        Some(Line { change, what: name.clone(), detail })
    };
    names.into_iter().filter_map(line).collect()
}

fn may(facts: &[ObjectFacts]) -> Named {
    permissions::of(facts).into_iter().map(|p| (p.what.to_owned(), p.programs.join(", "))).collect()
}

fn needs(before: &VersionDetail, after: &VersionDetail) -> Vec<Line> {
    let of = |detail: &VersionDetail| -> Named {
        let programs = detail.facts.iter().flat_map(|facts| &facts.programs);
        let lowest: Option<Vec<_>> = programs.map(|program| program.lowest_kernel).collect();
        let kernel = lowest.and_then(|all| all.into_iter().max()).map(|kernel| kernel.to_string());
        let said = |key: &str| detail.manifest.pointer(key).and_then(|text| text.as_str());
        let license = said("/package/license").unwrap_or(words::UNKNOWN).to_owned();
        [
            (words::LABEL_KERNEL, words::lowest_kernel(kernel.as_deref())),
            (words::LABEL_SIZE, format::bytes(detail.summary.size_bytes)),
            (words::LABEL_LICENSE, license),
            (words::LABEL_SIGNED_BY, detail.signed_by.join(", ")),
        ]
        .map(|(label, value)| (label.to_owned(), value))
        .into()
    };
    lines(&of(before), &of(after))
}

fn programs(facts: &[ObjectFacts]) -> Named {
    let program = |program: &ProgramFacts| {
        let count = format::counted(u64::from(program.insns), "instruction", "instructions");
        (program.name.clone(), format!("{} · {count}", program.section))
    };
    facts.iter().flat_map(|facts| &facts.programs).map(program).collect()
}

fn calls(facts: &[ObjectFacts]) -> Named {
    let mut callers: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for program in facts.iter().flat_map(|facts| &facts.programs) {
        for called in program.helpers.iter().chain(&program.kfuncs) {
            callers.entry(called.clone()).or_default().insert(&program.name);
        }
    }
    let listed = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    callers.into_iter().map(|(name, programs)| (name, listed(programs))).collect()
}

fn maps(facts: &[ObjectFacts]) -> Named {
    let map = |map: &MapFacts| {
        let shape = format!(
            "{} · {} × {} → {}",
            map.kind.replace('_', " "),
            format::count(u64::from(map.max_entries)),
            format::bytes(u64::from(map.key_size)),
            format::bytes(u64::from(map.value_size))
        );
        (map.name.clone(), shape)
    };
    facts.iter().flat_map(|facts| &facts.maps).map(map).collect()
}

fn settings(detail: &VersionDetail) -> Named {
    let manifest: Option<Manifest> = serde_json::from_value(detail.manifest.clone()).ok();
    let rows = manifest.as_ref().map(super::package::settings).unwrap_or_default();
    rows.into_iter()
        .map(|row| (row.name, format!("{} · {} {}", row.ty, row.default, row.range)))
        .map(|(name, text)| (name, text.trim_end().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn changed(change: impl FnOnce(&mut VersionDetail)) -> Vec<Group> {
        let before = samples::version();
        let mut after = before.clone();
        change(&mut after);
        of(&before, &after)
    }

    fn group<'g>(groups: &'g [Group], title: &str) -> &'g [Line] {
        groups.iter().find(|group| group.title == title).map_or(&[], |group| &group.lines)
    }

    #[test]
    fn the_same_facts_are_no_difference() {
        assert_eq!(changed(|_| {}), []);
    }

    #[test]
    fn a_new_helper_shows_as_a_helper_and_as_what_it_allows() {
        let groups =
            changed(|after| after.facts[0].programs[0].helpers.push("bpf_probe_write_user".into()));
        let may = group(&groups, words::PERMISSIONS);
        assert_eq!(
            (may[0].change, may[0].what.as_str()),
            (Change::Added, words::MAY_WRITE_USER_MEMORY)
        );
        let calls = group(&groups, words::COL_HELPERS);
        assert_eq!(calls[0].what, "bpf_probe_write_user");
        assert_eq!(calls[0].detail, "xdp_ratelimit");
        assert_eq!(groups.len(), 2);
    }

    #[test]
    fn sizes_programs_and_maps_say_before_and_after() {
        let groups = changed(|after| {
            after.summary.size_bytes = 20_480;
            after.facts[0].programs[0].insns = 500;
            after.facts[0].maps.remove(0);
            after.facts[0].maps[0].max_entries = 10;
        });
        assert_eq!(group(&groups, words::DIFF_NEEDS)[0].detail, "9.80 KiB → 20.0 KiB");
        assert_eq!(
            group(&groups, words::PROGRAMS)[0].detail,
            "xdp · 412 instructions → xdp · 500 instructions"
        );
        let maps = group(&groups, words::MAPS);
        assert_eq!((maps[0].change, maps[0].what.as_str()), (Change::Removed, "blocklist"));
        assert_eq!(maps[1].change, Change::Changed);
    }

    #[test]
    fn settings_that_go_are_named() {
        let groups = changed(|after| {
            after.manifest["config"].as_object_mut().unwrap().remove("rate");
        });
        let lines = group(&groups, words::CONFIGURATION);
        assert_eq!((lines[0].change, lines[0].what.as_str()), (Change::Removed, "rate"));
        assert!(lines[0].detail.starts_with("u32 · 1,000 packets/s"), "{}", lines[0].detail);
    }
}
