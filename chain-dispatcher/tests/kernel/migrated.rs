//! State whose layout changes: migrated as the package declares, refused when nobody says how it goes
//! on, and begun anew only where that was allowed.

use std::collections::BTreeMap;

use skep_artifact::hook::Hook;
use skep_artifact::manifest::Migration;
use skep_chain_dispatcher::{ApplyError, BackendChoice, Chain, Engine, LostState, Member, Step};

use crate::place::{Place, at, chain, compile, member, packet};

/// Counts packets by length in a hash, and on every CPU in an array.
const COUNTER: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct flow { %FLOW% };
struct { __uint(type, BPF_MAP_TYPE_%KIND%); __uint(max_entries, %ENTRIES%);
         __type(key, __u32); __type(value, struct flow); } %NAME% SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, %ENTRIES%);
         __type(key, __u32); __type(value, %WIDTH%); } each SEC(".maps");
SEC("xdp") int on_xdp(struct xdp_md *ctx) {
    __u32 length = ctx->data_end - ctx->data, zero = 0;
    struct flow fresh = {}, *flow = bpf_map_lookup_elem(&%NAME%, &length);
    %WIDTH% *all = bpf_map_lookup_elem(&each, &zero);
    if (!flow) {
        bpf_map_update_elem(&%NAME%, &length, &fresh, 0);
        flow = bpf_map_lookup_elem(&%NAME%, &length);
    }
    if (!flow || !all) return XDP_ABORTED;
    flow->packets++;
    *all += 1;
    return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
"#;

struct Layout {
    name: &'static str,
    kind: &'static str,
    flow: &'static str,
    width: &'static str,
    entries: &'static str,
}

const FIRST: Layout = Layout {
    name: "flows",
    kind: "HASH",
    flow: "__u32 packets; __u16 spare;",
    width: "__u32",
    entries: "8",
};
/// A wider counter in another place, a field that is gone, another kind of hash, more entries.
const SECOND: Layout = Layout {
    name: "talks",
    kind: "LRU_HASH",
    flow: "__u64 seen; __u64 packets;",
    width: "__u64",
    entries: "64",
};

fn version(layout: &Layout, migrations: &[(&str, Migration)]) -> Member {
    let migrations = migrations.iter().map(|(map, how)| ((*map).to_owned(), how.clone()));
    let member = member("m", 1, &source_of(layout), "on_xdp", Hook::Xdp);
    Member { migrations: migrations.collect(), ..member }
}

fn declared() -> Vec<(&'static str, Migration)> {
    let flows = Migration { from: Some("flows".to_owned()), drop: vec!["spare".to_owned()] };
    vec![("talks", flows), ("each", Migration::default())]
}

fn wanted(backend: BackendChoice, generation: u64, member: Member) -> Chain {
    Chain { backend, ..chain(Hook::Xdp, generation, vec![member]) }
}

/// One more packet of 60 bytes.
fn meet(engine: &Engine) {
    assert_eq!(engine.test_run(&at(Hook::Xdp), &packet(), 1).unwrap().unwrap().code, 2);
}

/// What the second version counted: `seen` and `packets` of the one length, and all packets of all CPUs.
fn counted(place: &Place) -> (u64, u64, u64) {
    let pinned = |name: &str| {
        let pin = place.pin(Hook::Xdp, &format!("members/test+m/maps/{name}"));
        aya::maps::MapData::from_pin(pin).unwrap()
    };
    let talks = aya::maps::Map::LruHashMap(pinned("talks"));
    let talks: aya::maps::HashMap<_, u32, [u64; 2]> = talks.try_into().unwrap();
    let entries: Vec<_> = talks.iter().map(Result::unwrap).collect();
    let [(60, [seen, packets])] = entries[..] else { panic!("{entries:?}") };
    let each = aya::maps::Map::PerCpuArray(pinned("each"));
    let each: aya::maps::PerCpuArray<_, u64> = each.try_into().unwrap();
    (seen, packets, each.get(&0, 0).unwrap().iter().sum())
}

fn check(backend: BackendChoice) {
    Place::run_choosing(&[backend], Hook::Xdp, |place| {
        let engine = place.engine();
        engine.apply(&wanted(backend, 1, version(&FIRST, &[]))).unwrap();
        (0..3).for_each(|_| meet(&engine));

        let applied = engine.apply(&wanted(backend, 2, version(&SECOND, &declared()))).unwrap();
        let moved: Vec<(&str, &str)> = applied
            .plan
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Migrate { map, from, .. } => Some((from.as_str(), map.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(moved, [("each", "each"), ("flows", "talks")], "{}", applied.plan);
        assert_eq!(counted(place), (0, 3, 3), "a new field, and what was counted before");
        meet(&engine);
        assert_eq!(counted(place), (0, 4, 4));

        // The next version has the same layout: carried as it is, whatever is declared.
        let mut next = version(&SECOND, &declared());
        next.object = compile(&(source_of(&SECOND) + "\nint more(void) { return 1; }"));
        let applied = engine.apply(&wanted(backend, 3, next)).unwrap();
        assert!(!applied.plan.steps.iter().any(|step| matches!(step, Step::Migrate { .. })));
        meet(&engine);
        assert_eq!(counted(place), (0, 5, 5));
        engine.detach_all().unwrap();
    });
}

fn source_of(layout: &Layout) -> String {
    COUNTER
        .replace("%NAME%", layout.name)
        .replace("%KIND%", layout.kind)
        .replace("%FLOW%", layout.flow)
        .replace("%WIDTH%", layout.width)
        .replace("%ENTRIES%", layout.entries)
}

#[test]
fn state_goes_on_in_another_layout_as_the_package_declares() {
    check(BackendChoice::Slots);
}

#[test]
fn state_goes_on_in_another_layout_of_a_fused_member() {
    check(BackendChoice::Fused);
}

#[test]
fn state_goes_on_in_another_layout_of_an_extension() {
    check(BackendChoice::Libxdp);
}

#[test]
fn state_that_would_be_lost_keeps_the_old_version_running_unless_that_is_allowed() {
    Place::run(|place| {
        let engine = place.engine();
        let first = wanted(BackendChoice::Auto, 1, version(&FIRST, &[]));
        let before = engine.apply(&first).unwrap().chain;
        meet(&engine);
        let keeps = Migration { from: Some("flows".to_owned()), drop: Vec::new() };
        let not_said = version(&Layout { name: "flows", ..SECOND }, &[]);
        let said_wrong = version(&SECOND, &[("talks", keeps), ("each", Migration::default())]);
        for (lost, why, next) in [
            ("each", "its value size was 4 and is 8", not_said.clone()),
            ("talks", "no field spare; name it under `drop`", said_wrong),
        ] {
            let next = wanted(BackendChoice::Auto, 2, next);
            let refused = engine.apply(&next).unwrap_err();
            assert_eq!(refused.code(), "chain.state_lost");
            let ApplyError::StateLost { member, map, why: told } = &refused else {
                panic!("{refused:?}")
            };
            assert_eq!((member.as_str(), map.as_str()), ("test/m", lost));
            assert!(told.contains(why), "{told}");
            assert_eq!(engine.observe_hook(&at(Hook::Xdp)).unwrap(), before);
        }
        let next = wanted(BackendChoice::Auto, 2, not_said);
        let applied = engine.apply(&Chain { lost_state: LostState::Allow, ..next }).unwrap();
        assert!(applied.plan.to_string().contains("flows starts empty because"));
    });
}

#[test]
fn state_that_does_not_fit_is_named_and_the_old_version_runs_on() {
    Place::run(|place| {
        let engine = place.engine();
        let before =
            engine.apply(&wanted(BackendChoice::Auto, 1, version(&FIRST, &[]))).unwrap().chain;
        let mut lengths = BTreeMap::new();
        for bytes in 60..66usize {
            let mut packet = packet();
            packet.resize(bytes, 0);
            let run = engine.test_run(&at(Hook::Xdp), &packet, 1).unwrap().unwrap();
            lengths.insert(bytes, run.code);
        }
        assert_eq!(lengths.len(), 6);
        let small = Layout { kind: "HASH", entries: "8", ..SECOND };
        let source = source_of(&small).replacen("max_entries, 8", "max_entries, 4", 1);
        let mut next = version(&small, &declared());
        next.object = compile(&source);
        let refused = engine.apply(&wanted(BackendChoice::Auto, 2, next)).unwrap_err();
        assert_eq!(refused.code(), "chain.migrate_refused", "{refused:?}");
        assert_eq!(engine.observe_hook(&at(Hook::Xdp)).unwrap(), before);
        assert_eq!(place.generations(Hook::Xdp).len(), 1, "nothing is left behind");
    });
}
