//! Neighbours that attach programs themselves: tcx links, clsact filters, XDP by link and netlink.

use aya::programs::{LinkOrder, SchedClassifier, TcAttachType, XdpMode as AyaMode};
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{Backend, BackendChoice, Chain, Engine, Foreign, Member, XdpMode};

use super::{Theirs, answer_of};
use crate::packets;
use crate::place::{ANSWER, Place, answering, at, chain, compile, ip};

const NEXT: i32 = -1;
const PASS: i32 = 0;

/// Numbers of the programs on the tcx hook, in the order in which packets meet them.
fn order() -> Vec<u32> {
    let (_, programs) = SchedClassifier::query_tcx("skep0", TcAttachType::Ingress).unwrap();
    programs.iter().map(aya::programs::ProgramInfo::id).collect()
}

fn ours(names: &[&str], answer: i32) -> Vec<Member> {
    (1..).zip(names).map(|(p, name)| answering(Hook::TcIngress, name, p, answer)).collect()
}

fn apply(engine: &Engine, backend: BackendChoice, generation: u64, members: Vec<Member>) -> u32 {
    let wanted = Chain { backend, ..chain(Hook::TcIngress, generation, members) };
    engine.apply(&wanted).unwrap().chain.dispatcher_id.unwrap()
}

#[test]
fn tcx_links_of_others_keep_their_places_while_ours_comes_changes_and_goes() {
    Place::run_with(Backend::Tcx, &[Hook::TcIngress], |place| {
        for backend in [BackendChoice::Tcx, BackendChoice::Fused] {
            let engine = place.engine();
            let (mut before, mut after) = (Theirs::answering(NEXT), Theirs::answering(NEXT));
            let first = before.join(LinkOrder::default());
            let chain_id = apply(&engine, backend, 1, ours(&["a"], NEXT));
            let last = after.join(LinkOrder::last());
            assert_eq!(order(), [first, chain_id, last]);
            let observed = engine.observe_hook(&at(Hook::TcIngress)).unwrap();
            let foreign: Vec<u32> = observed.foreign.iter().map(|f| f.program_id).collect();
            assert_eq!(foreign, [first, last]);
            assert!(observed.foreign.iter().all(|program| program.link_id.is_some()));

            for (generation, names) in (2..).zip([&["a", "b", "c"][..], &["c"], &[], &["b", "a"]]) {
                let chain_id = apply(&engine, backend, generation, ours(names, NEXT));
                assert_eq!(order(), [first, chain_id, last], "{names:?}");
            }
            engine.detach_all().unwrap();
            assert_eq!(order(), [first, last]);
            let chain_id = apply(&engine, backend, 9, ours(&["a"], NEXT));
            assert_eq!(order(), [first, last, chain_id], "who comes later goes last");
            drop(before);
            assert_eq!(order(), [last, chain_id]);
            drop(after);
            assert_eq!(answer_of(&engine, Hook::TcIngress), NEXT);
            engine.detach_all().unwrap();
        }
    });
}

#[test]
fn packets_meet_tcx_neighbours_and_ours_in_their_order() {
    Place::run_with(Backend::Tcx, &[Hook::TcIngress], |place| {
        for backend in [BackendChoice::Tcx, BackendChoice::Fused] {
            let engine = place.engine();
            let (mut before, mut after) = (Theirs::answering(NEXT), Theirs::answering(NEXT));
            before.join(LinkOrder::default());
            apply(&engine, backend, 1, ours(&["a", "b"], NEXT));
            after.join(LinkOrder::last());
            let met = || {
                let counters = engine.counters(&at(Hook::TcIngress)).unwrap();
                (before.met(), counters[0].packets, after.met())
            };
            assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
            let (first, chain, last) = met();
            assert!(first >= 2 && (first, first) == (chain, last), "{first} {chain} {last}");
            // A verdict that ends the chain ends the kernel's walk, too.
            apply(&engine, backend, 2, ours(&["a", "b"], PASS));
            assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
            let (first_now, chain, last_now) = met();
            assert!(first_now >= first + 2);
            assert_eq!((chain, last_now), (first_now - first, last));
            drop((before, after));
            engine.detach_all().unwrap();
        }
    });
}

#[test]
fn clsact_filters_of_others_stay_around_ours_and_behind_tcx() {
    for backend in [BackendChoice::Tc, BackendChoice::TcFused, BackendChoice::Tcx] {
        Place::run_choosing(&[backend], Hook::TcIngress, |place| {
            let engine = place.engine();
            let (mut early, mut late) = (Theirs::answering(NEXT), Theirs::answering(NEXT));
            let links = (early.filter(10), late.filter(65_000));
            apply(&engine, backend, 1, ours(&["a"], NEXT));
            let observed = engine.observe_hook(&at(Hook::TcIngress)).unwrap();
            assert_eq!(observed.foreign.len(), 2, "{backend}: {observed:?}");
            assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
            apply(&engine, backend, 2, ours(&["a", "b"], NEXT));
            let before = (early.met(), late.met());
            assert!(before.0 >= 2 && before.0 == before.1, "{backend}: {before:?}");
            engine.detach_all().unwrap();
            assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
            assert!(early.met() > before.0 && late.met() > before.1, "{backend}: theirs stay");
            drop(links);
        });
    }
}

#[test]
fn an_xdp_program_of_others_is_told_in_whatever_mode_and_taken_only_on_request() {
    Place::run(|place| {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("theirs.o");
        std::fs::write(&object, compile(ANSWER).bytes()).unwrap();
        let object = object.to_str().unwrap();
        for backend in [BackendChoice::Slots, BackendChoice::Fused] {
            for (way, mode) in [("xdpdrv", XdpMode::Native), ("xdpgeneric", XdpMode::Generic)] {
                let engine = place.engine();
                ip(&["link", "set", "skep0", way, "object", object, "program", "on_xdp"]);
                let mut wanted =
                    Chain { backend, ..chain(Hook::Xdp, 1, vec![answering(Hook::Xdp, "a", 1, 1)]) };
                let refused = engine.apply(&wanted).unwrap_err();
                assert_eq!(refused.code(), "chain.foreign_program", "{way} {backend}");
                let observed = engine.observe().unwrap();
                assert_eq!(observed[0].foreign[0].mode, Some(mode));
                assert_eq!(observed[0].foreign[0].link_id, None);
                wanted.foreign = Foreign::TakeOver;
                let applied = engine.apply(&wanted).unwrap();
                assert!(applied.chain.foreign.is_empty(), "{way} {backend}");
                assert_eq!(answer_of(&engine, Hook::Xdp), 1);
                engine.detach_all().unwrap();
            }
        }
    });
}

#[test]
fn an_xdp_link_of_others_blocks_ours_until_they_let_go() {
    Place::run(|place| {
        for mode in [AyaMode::Driver, AyaMode::Skb] {
            let engine = place.engine();
            let mut theirs = Theirs::answering(2);
            let program = theirs.on_xdp(mode);
            let wanted = chain(Hook::Xdp, 1, vec![answering(Hook::Xdp, "a", 1, 1)]);
            assert_eq!(engine.apply(&wanted).unwrap_err().code(), "chain.foreign_program");
            let observed = engine.observe_hook(&at(Hook::Xdp)).unwrap();
            assert_eq!(observed.foreign[0].program_id, program);
            drop(theirs);
            engine.apply(&wanted).unwrap();
            assert_eq!(answer_of(&engine, Hook::Xdp), 1);
            engine.detach_all().unwrap();
        }
    });
}
