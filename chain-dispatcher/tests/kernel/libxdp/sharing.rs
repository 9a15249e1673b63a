//! Who shares an interface with whom: other pin roots, other versions of the protocol, other backends,
//! and others who change the chain at the same time.

use std::process::Command;

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{
    Backend, BackendChoice, Chain, Engine, EngineConfig, Foreign, Gap, LibxdpVersion,
};

use super::{
    DROPS, THEIRS, dispatchers, file, load_theirs, names, ours, passing, shared, shown, verdict,
    xdp_loader,
};
use crate::place::{alone, at, chain};

#[test]
fn left_to_choose_it_joins_a_libxdp_chain_and_says_so() {
    shared(|place| {
        load_theirs(place, THEIRS);
        let engine = place.engine();
        let applied = engine.apply(&Chain::new(at(Hook::Xdp), 1, vec![passing("a", 10)])).unwrap();
        assert_eq!(applied.plan.chosen.backend, Backend::Libxdp);
        assert!(applied.plan.chosen.why.contains("a libxdp chain is there"), "{:?}", applied.plan);
        assert_eq!(shown(place).len(), 2);
    });
}

#[test]
fn two_pin_roots_share_an_interface_and_leave_each_others_members_alone() {
    shared(|place| {
        let first = place.engine();
        first.apply(&ours(1, vec![passing("a", 10)])).unwrap();
        let root = place.root.join("second");
        let config = EngineConfig { pin_root: root, ..place.config() };
        let second = Engine::open(config).unwrap();
        let joined = second.apply(&ours(7, vec![passing("b", 5), passing("c", 15)])).unwrap().chain;
        assert_eq!((joined.members.len(), joined.foreign.len()), (2, 1));
        let seen = first.observe_hook(&at(Hook::Xdp)).unwrap();
        assert_eq!((names(&seen), seen.foreign.len()), (vec!["a"], 2));
        second.detach(&at(Hook::Xdp)).unwrap();
        let seen = first.observe_hook(&at(Hook::Xdp)).unwrap();
        assert_eq!((names(&seen), seen.foreign.len()), (vec!["a"], 0));
        assert!(first.plan(&ours(1, vec![passing("a", 10)])).unwrap().is_empty());
        assert_eq!(verdict(&first), 2);
    });
}

#[test]
fn a_chain_of_version_3_is_joined_in_version_3_and_debians_tools_keep_their_hands_off() {
    shared(|place| {
        let config = EngineConfig { libxdp_version: LibxdpVersion::V3, ..place.config() };
        let first = Engine::open(config).unwrap();
        first.apply(&ours(1, vec![passing("a", 10), passing("b", 20)])).unwrap();
        let config = EngineConfig { pin_root: place.root.join("second"), ..place.config() };
        let second = Engine::open(config).unwrap();
        let joined = second.apply(&ours(1, vec![passing("c", 15)])).unwrap().chain;
        assert_eq!(joined.foreign.len(), 2, "joined, though the second begins chains in version 2");
        assert_eq!(verdict(&second), 2);
        // Debian's 1.3.1 knows no version 3: neither shows nor changes such a chain.
        let object = file(place, "theirs.o", THEIRS);
        let mut loader = Command::new("xdp-loader");
        loader.args(["load", "skep0", object.to_str().unwrap()]);
        loader.env("LIBXDP_BPFFS", place.libxdp_bpffs());
        let refused = alone(|| loader.output()).unwrap();
        assert!(!refused.status.success());
        assert_eq!(names(&first.observe_hook(&at(Hook::Xdp)).unwrap()), ["a", "b"]);
    });
}

#[test]
fn the_libxdp_of_the_host_says_its_version() {
    // Debian's, which these tests drive.
    shared(|_| assert_eq!(LibxdpVersion::installed(), Some(LibxdpVersion::V2)));
}

#[test]
fn moving_from_slots_to_libxdp_needs_a_gap_that_is_allowed() {
    shared(|place| {
        let engine = place.engine();
        let slots =
            Chain { backend: BackendChoice::Slots, ..chain(Hook::Xdp, 1, vec![passing("a", 10)]) };
        engine.apply(&slots).unwrap();
        let mut libxdp = ours(2, vec![passing("a", 10)]);
        assert_eq!(engine.apply(&libxdp).unwrap_err().code(), "chain.gap_refused");
        libxdp.gap = Gap::Allow;
        engine.apply(&libxdp).unwrap();
        assert_eq!(shown(place).len(), 1);
        // Back, while somebody else is in the chain: that would take theirs off.
        load_theirs(place, THEIRS);
        let back = Chain { generation: 3, gap: Gap::Allow, ..slots.clone() };
        assert_eq!(engine.apply(&back).unwrap_err().code(), "chain.foreign_program");
        assert_eq!(shown(place).len(), 2);
        let theirs = shown(place)[1].2.to_string();
        xdp_loader(place, &["unload", "skep0", "--id", &theirs]);
        engine.apply(&back).unwrap();
        assert_eq!(engine.observe_hook(&at(Hook::Xdp)).unwrap().backend, Some(Backend::Slots));
        assert_eq!(dispatchers(place), 0, "nothing stays in libxdp's folder");
    });
}

#[test]
fn takeover_takes_a_libxdp_chain_off_with_its_pins() {
    shared(|place| {
        load_theirs(place, THEIRS);
        let engine = place.engine();
        let mut wanted =
            Chain { backend: BackendChoice::Slots, ..chain(Hook::Xdp, 1, vec![passing("a", 10)]) };
        assert_eq!(engine.apply(&wanted).unwrap_err().code(), "chain.foreign_program");
        assert_eq!(shown(place).len(), 1);
        wanted.foreign = Foreign::TakeOver;
        let chain = engine.apply(&wanted).unwrap().chain;
        assert!(chain.foreign.is_empty());
        assert_eq!(dispatchers(place), 0);
    });
}

#[test]
fn when_the_interface_goes_the_pins_in_libxdps_folder_go_too() {
    shared(|place| {
        let engine = place.engine();
        engine.apply(&ours(1, vec![passing("a", 10), passing("b", 20)])).unwrap();
        assert_eq!(dispatchers(place), 1);
        place.remove_pair();
        engine.sweep().unwrap();
        assert_eq!((dispatchers(place), place.hook_folders()), (0, 0));
    });
}

#[test]
fn others_who_change_the_chain_while_we_do_never_lose_a_member() {
    shared(|place| {
        load_theirs(place, THEIRS);
        let object = file(place, "drops.o", DROPS);
        let arguments = ["load", "skep0", object.to_str().unwrap()];
        let wanted = |generation: u64| {
            let last = 30 + u32::try_from(generation % 2).unwrap();
            ours(generation, vec![passing("a", 10), passing("b", last)])
        };
        std::thread::scope(|scope| {
            let them = scope.spawn(|| {
                place.enter_inner();
                for _ in 0..3 {
                    xdp_loader(place, &arguments);
                    let shown = shown(place);
                    let (_, _, id) = shown.iter().find(|(_, name, _)| name == "drops").unwrap();
                    xdp_loader(place, &["unload", "skep0", "--id", &id.to_string()]);
                }
            });
            let engine = place.engine();
            (1..=8).for_each(|generation| drop(engine.apply(&wanted(generation)).unwrap()));
            them.join().unwrap();
            assert!(engine.plan(&wanted(8)).unwrap().is_empty());
        });
        let order: Vec<String> = shown(place).into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(order, ["on_xdp", "theirs", "on_xdp"]);
        assert_eq!(dispatchers(place), 1, "every chain between is forgotten");
    });
}
