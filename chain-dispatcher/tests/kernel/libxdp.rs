//! Chains that are shared with libxdp's own tools: Debian's `xdp-loader` shows, extends, thins and
//! unloads ours, and we do the same with its chain.

mod sharing;

use std::path::PathBuf;
use std::process::Command;

use skep_artifact::hook::{Hook, Mode, Verdict, VerdictSet};
use skep_chain_dispatcher::{
    ApplyError, Attachment, Backend, BackendChoice, Chain, Engine, Member, ObservedChain,
};

use crate::place::{Place, alone, answering, at, chain, compile, packet};

/// A program of somebody else: answers PASS, at the priority 20.
const THEIRS: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int theirs(struct xdp_md *ctx) { return XDP_PASS; }
struct { int (*priority)[20]; int (*XDP_PASS)[1]; } _theirs SEC(".xdp_run_config") = {};
char _license[] SEC("license") = "GPL";
"#;

/// Another: drops, at the priority 90.
const DROPS: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int drops(struct xdp_md *ctx) { return XDP_DROP; }
struct { int (*priority)[90]; int (*XDP_PASS)[1]; } _drops SEC(".xdp_run_config") = {};
char _license[] SEC("license") = "GPL";
"#;

fn shared(test: impl FnOnce(&Place) + Send) {
    Place::run_with(Backend::Libxdp, &[Hook::Xdp], test);
}

fn ours(generation: u64, members: Vec<Member>) -> Chain {
    Chain { backend: BackendChoice::Libxdp, ..chain(Hook::Xdp, generation, members) }
}

fn passing(name: &str, priority: u32) -> Member {
    answering(Hook::Xdp, name, priority, 2)
}

/// Runs xdp-loader in the test's own BPF file system and gives what it prints.
pub(crate) fn xdp_loader(place: &Place, arguments: &[&str]) -> String {
    let bpffs = place.libxdp_bpffs();
    if !bpffs.is_dir() {
        std::fs::create_dir(&bpffs).unwrap();
        let mounted = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&bpffs).status();
        assert!(mounted.unwrap().success());
    }
    let mut loader = Command::new("xdp-loader");
    loader.args(arguments).env("LIBXDP_BPFFS", &bpffs);
    let output = alone(|| loader.output()).expect("xdp-tools is installed");
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success(), "xdp-loader {}: {told}", arguments.join(" "));
    told
}

/// The members that xdp-loader shows on the interface: run priority, name, id.
fn shown(place: &Place) -> Vec<(u32, String, u32)> {
    let told = xdp_loader(place, &["status", "skep0"]);
    told.lines()
        .filter_map(|line| line.trim().strip_prefix("=>"))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[0].parse().unwrap(), words[1].to_owned(), words[2].parse().unwrap())
        })
        .collect()
}

/// A compiled object as a file, for xdp-loader.
pub(crate) fn file(place: &Place, name: &str, source: &str) -> PathBuf {
    let path = place.root.with_file_name(name);
    std::fs::write(&path, compile(source).bytes()).unwrap();
    path
}

fn load_theirs(place: &Place, source: &str) {
    let object = file(place, "theirs.o", source);
    xdp_loader(place, &["load", "skep0", object.to_str().unwrap()]);
}

fn verdict(engine: &Engine) -> i32 {
    engine.test_run(&at(Hook::Xdp), &packet(), 1).unwrap().unwrap().code
}

fn names(chain: &ObservedChain) -> Vec<&str> {
    chain.members.iter().filter(|m| m.prog_id.is_some()).map(|m| m.name.as_str()).collect()
}

#[test]
fn xdp_loader_shows_our_chain_in_our_order() {
    shared(|place| {
        let engine = place.engine();
        let members = vec![passing("b", 10), passing("a", 10), answering(Hook::Xdp, "c", 5, 2)];
        let applied = engine.apply(&ours(1, members)).unwrap();
        assert_eq!(applied.plan.chosen.backend, Backend::Libxdp);
        assert_eq!(applied.chain.attachment, Some(Attachment::XdpNetlink));
        let ids: Vec<u32> = applied.chain.members.iter().map(|m| m.prog_id.unwrap()).collect();
        let shown = shown(place);
        let order: Vec<_> = shown.iter().map(|(priority, _, id)| (*priority, *id)).collect();
        assert_eq!(order, [(5, ids[0]), (10, ids[1]), (11, ids[2])]);
        assert!(shown.iter().all(|(_, name, _)| name == "on_xdp"), "{shown:?}");
    });
}

#[test]
fn a_chain_of_one_is_shown_too_and_means_what_it_says() {
    shared(|place| {
        let engine = place.engine();
        engine.apply(&ours(1, vec![answering(Hook::Xdp, "only", 10, 1)])).unwrap();
        assert_eq!(shown(place).len(), 1);
        assert_eq!(verdict(&engine), 1);
        let counters = engine.counters(&at(Hook::Xdp)).unwrap();
        assert_eq!(counters[0].verdicts, [(Verdict::Drop, 1)]);
    });
}

#[test]
fn xdp_loader_adds_to_our_chain_and_our_members_are_still_seen() {
    shared(|place| {
        let engine = place.engine();
        let wanted = ours(1, vec![passing("first", 10), passing("last", 50)]);
        let before = engine.apply(&wanted).unwrap().chain;
        load_theirs(place, THEIRS);
        let order: Vec<String> = shown(place).into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(order, ["on_xdp", "theirs", "on_xdp"]);

        let after = engine.observe_hook(&at(Hook::Xdp)).unwrap();
        assert_ne!(after.dispatcher_id, before.dispatcher_id, "they built another dispatcher");
        assert_eq!(after.members, before.members, "the same programs");
        assert_eq!((after.generation, after.backend), (1, Some(Backend::Libxdp)));
        assert_eq!(after.foreign.len(), 1);
        assert_eq!(after.foreign[0].name, "theirs");
        assert_eq!(after.foreign[0].run_priority, Some(20));
        assert!(engine.plan(&wanted).unwrap().is_empty(), "nothing to repair");
        assert_eq!(verdict(&engine), 2);
        assert_eq!(engine.counters(&at(Hook::Xdp)).unwrap()[1].packets, 1);
    });
}

#[test]
fn a_change_of_our_chain_keeps_what_xdp_loader_put_into_it() {
    shared(|place| {
        let engine = place.engine();
        engine.apply(&ours(1, vec![passing("first", 10), passing("last", 50)])).unwrap();
        load_theirs(place, THEIRS);
        let theirs = shown(place)[1].2;
        let wanted = ours(2, vec![passing("first", 10), passing("new", 20), passing("last", 50)]);
        let after = engine.apply(&wanted).unwrap().chain;
        assert_eq!(after.generation, 2);
        let places: Vec<(u32, bool)> =
            shown(place).iter().map(|(priority, _, id)| (*priority, *id == theirs)).collect();
        // They were there first, so our equal priority gives way.
        assert_eq!(places, [(10, false), (20, true), (21, false), (50, false)]);
        assert!(engine.plan(&wanted).unwrap().is_empty());
    });
}

#[test]
fn we_join_a_chain_that_xdp_loader_made_and_leave_it_as_it_was() {
    shared(|place| {
        load_theirs(place, THEIRS);
        load_theirs(place, DROPS);
        let theirs: Vec<u32> = shown(place).iter().map(|(_, _, id)| *id).collect();
        let engine = place.engine();
        let seen = engine.observe_hook(&at(Hook::Xdp)).unwrap();
        assert!(seen.members.is_empty() && seen.foreign.len() == 3, "{:?}", seen.foreign);
        let after = engine.apply(&ours(1, vec![passing("first", 10)])).unwrap().chain;
        assert_eq!(after.foreign.iter().map(|f| f.program_id).collect::<Vec<_>>(), theirs);
        assert_eq!(shown(place).len(), 3);
        assert_eq!(verdict(&engine), 1, "theirs drops behind ours");

        engine.detach(&at(Hook::Xdp)).unwrap();
        let left: Vec<u32> = shown(place).iter().map(|(_, _, id)| *id).collect();
        assert_eq!(left, theirs);
        assert_eq!(place.hook_folders(), 0, "nothing of ours stays");
        assert_eq!(dispatchers(place), 1);
    });
}

/// How many chains have pins in libxdp's folder.
fn dispatchers(place: &Place) -> usize {
    std::fs::read_dir(place.libxdp_root()).map_or(0, Iterator::count)
}

#[test]
fn when_xdp_loader_unloads_one_of_ours_it_is_seen_and_the_next_apply_repairs_it() {
    shared(|place| {
        let engine = place.engine();
        let wanted = ours(1, vec![passing("a", 10), passing("b", 20), passing("c", 30)]);
        engine.apply(&wanted).unwrap();
        let second = shown(place)[1].2.to_string();
        xdp_loader(place, &["unload", "skep0", "--id", &second]);
        let seen = engine.observe_hook(&at(Hook::Xdp)).unwrap();
        assert_eq!(names(&seen), ["a", "c"]);
        engine.apply(&wanted).unwrap();
        assert_eq!(shown(place).len(), 3);
        assert_eq!(names(&engine.observe_hook(&at(Hook::Xdp)).unwrap()), ["a", "b", "c"]);
        assert_eq!(place.generations(Hook::Xdp).len(), 1);
        assert_eq!(dispatchers(place), 1, "the chain between has no pins any more");
    });
}

#[test]
fn when_xdp_loader_unloads_everything_the_hook_is_free_and_apply_puts_ours_back() {
    shared(|place| {
        let engine = place.engine();
        let wanted = ours(1, vec![passing("a", 10), passing("b", 20)]);
        engine.apply(&wanted).unwrap();
        xdp_loader(place, &["unload", "skep0", "--all"]);
        let seen = engine.observe_hook(&at(Hook::Xdp)).unwrap();
        assert!(seen.members.is_empty() && seen.foreign.is_empty() && seen.backend.is_none());
        assert!(engine.test_run(&at(Hook::Xdp), &packet(), 1).unwrap().is_none());
        engine.apply(&wanted).unwrap();
        assert_eq!(shown(place).len(), 2);
    });
}

#[test]
fn when_xdp_loader_unloads_theirs_ours_stay() {
    shared(|place| {
        let engine = place.engine();
        let wanted = ours(1, vec![passing("a", 10)]);
        engine.apply(&wanted).unwrap();
        load_theirs(place, THEIRS);
        let theirs = shown(place)[1].2.to_string();
        xdp_loader(place, &["unload", "skep0", "--id", &theirs]);
        assert!(engine.plan(&wanted).unwrap().is_empty());
        assert_eq!(verdict(&engine), 2);
        engine.detach(&at(Hook::Xdp)).unwrap();
        assert!(shown(place).is_empty());
        assert_eq!((dispatchers(place), place.hook_folders()), (0, 0));
    });
}

#[test]
fn state_is_carried_over_and_observers_let_the_chain_go_on() {
    shared(|place| {
        let engine = place.engine();
        let mut watching = answering(Hook::Xdp, "watching", 10, 1);
        watching.mode = Mode::Observe;
        engine.apply(&ours(1, vec![watching.clone(), passing("next", 20)])).unwrap();
        assert_eq!(verdict(&engine), 2);
        let counters = engine.counters(&at(Hook::Xdp)).unwrap();
        assert_eq!(counters[0].verdicts, [(Verdict::Drop, 1)]);
        watching.mode = Mode::Enforce;
        engine.apply(&ours(2, vec![watching, passing("next", 20)])).unwrap();
        assert_eq!(verdict(&engine), 1);
        let seen = place.pin(Hook::Xdp, "members/test+watching/maps/seen");
        let map = aya::maps::MapData::from_pin(seen).unwrap();
        let array = aya::maps::Array::<_, u64>::try_from(aya::maps::Map::Array(map)).unwrap();
        assert_eq!(array.get(&0, 0).unwrap(), 2, "both packets, over the change");
    });
}

#[test]
fn each_limit_is_named_before_anything_is_touched() {
    shared(|place| {
        let engine = place.engine();
        let mut far = passing("far", 10);
        far.proceed_on = VerdictSet::of(&[Verdict::Pass, Verdict::Drop]);
        let refused = engine.apply(&ours(1, vec![far])).unwrap_err();
        assert!(refused.to_string().contains("test/far lets the chain go on after"), "{refused}");
        load_theirs(place, THEIRS);
        let ten = (0..10).map(|n| passing(&format!("m{n}"), n)).collect();
        let refused = engine.apply(&ours(1, ten)).unwrap_err();
        assert!(matches!(refused, ApplyError::BackendUnavailable { .. }), "{refused}");
        assert!(
            refused.to_string().contains("holds 10 members, of which 1 are others'"),
            "{refused}"
        );
        let nine = (0..9).map(|n| passing(&format!("m{n}"), n)).collect();
        engine.apply(&ours(2, nine)).unwrap();
        assert_eq!(shown(place).len(), 10);
    });
}

#[test]
fn a_program_that_follows_no_protocol_is_reported_and_left_alone() {
    shared(|place| {
        let engine = place.engine();
        let object = file(place, "alone.o", THEIRS);
        crate::place::ip(&[
            "link",
            "set",
            "skep0",
            "xdp",
            "obj",
            object.to_str().unwrap(),
            "sec",
            "xdp",
        ]);
        let refused = engine.apply(&ours(1, vec![passing("a", 10)])).unwrap_err();
        assert!(matches!(refused, ApplyError::Foreign { .. }), "{refused}");
        let seen = engine.observe_hook(&at(Hook::Xdp)).unwrap();
        assert_eq!(seen.foreign.len(), 1);
        assert_eq!(place.hook_folders(), 0, "a refused chain leaves nothing");
    });
}
