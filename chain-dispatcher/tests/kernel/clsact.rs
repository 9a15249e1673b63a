//! Chains as one clsact filter: what becomes of the queueing discipline, and of others' filters.

use std::process::Command;

use skep_artifact::hook::{Hook, Mode};
use skep_chain_dispatcher::{
    ApplyError, Attachment, Backend, BackendChoice, Chain, Crossing, Engine, Gap, Step,
};

use crate::place::{ANSWER, Place, answering, at, chain, compile, packet};

const TC: [Hook; 2] = [Hook::TcIngress, Hook::TcEgress];

fn tc(arguments: &[&str]) -> String {
    let output = Command::new("tc").args(arguments).output().expect("iproute2 is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tc {}: {said}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn disciplines() -> String {
    tc(&["qdisc", "show", "dev", "skep0"])
}

/// A filter that somebody else adds on ingress.
fn add_theirs(preference: &str) {
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("theirs.o");
    std::fs::write(&object, compile(ANSWER).bytes()).unwrap();
    let filter = ["filter", "add", "dev", "skep0", "ingress", "pref", preference, "bpf", "da"];
    tc(&[&filter[..], &["obj", object.to_str().unwrap(), "sec", "tc"]].concat());
}

fn wanted(hook: Hook, generation: u64, answer: i32) -> Chain {
    let members = vec![answering(hook, "first", 1, -1), answering(hook, "last", 2, answer)];
    Chain { backend: BackendChoice::Tc, ..chain(hook, generation, members) }
}

fn answer_of(engine: &Engine, hook: Hook) -> i32 {
    engine.test_run(&at(hook), &packet(), 1).unwrap().unwrap().code
}

#[test]
fn a_clsact_that_we_made_goes_with_our_last_chain() {
    Place::run_on(&TC, |place| {
        let engine = place.engine();
        assert!(!disciplines().contains("clsact"));
        for hook in TC {
            let applied = engine.apply(&wanted(hook, 1, 2)).unwrap();
            assert_eq!(applied.chain.backend, Some(Backend::Tc));
            assert_eq!(applied.chain.attachment, Some(Attachment::Clsact));
            assert_eq!((applied.chain.link_id, applied.chain.foreign.len()), (None, 0));
            assert_eq!(answer_of(&engine, hook), 2);
            assert!(engine.plan(&wanted(hook, 1, 2)).unwrap().is_empty());
        }
        // Opened anew, as after a restart.
        let engine = place.engine();
        assert_eq!(engine.observe().unwrap().len(), 2);
        engine.detach(&at(Hook::TcIngress)).unwrap();
        assert!(disciplines().contains("clsact"), "the other hook uses it");
        assert_eq!(answer_of(&engine, Hook::TcEgress), 2);
        engine.detach(&at(Hook::TcEgress)).unwrap();
        assert!(!disciplines().contains("clsact"));
        assert_eq!(place.hook_folders(), 0);
    });
}

#[test]
fn a_clsact_of_somebody_else_and_their_filters_stay() {
    Place::run_on(&TC, |place| {
        let engine = place.engine();
        tc(&["qdisc", "add", "dev", "skep0", "clsact"]);
        engine.apply(&wanted(Hook::TcIngress, 1, 2)).unwrap();
        assert_eq!(engine.detach_all().unwrap(), [at(Hook::TcIngress)]);
        assert!(disciplines().contains("clsact"), "it was there before us");

        add_theirs("7");
        add_theirs("8");
        let applied = engine.apply(&wanted(Hook::TcIngress, 2, 2)).unwrap();
        assert_eq!(applied.chain.foreign.len(), 2, "{:?}", applied.chain.foreign);
        engine.apply(&wanted(Hook::TcIngress, 3, 0)).unwrap();
        assert_eq!(answer_of(&engine, Hook::TcIngress), 0);
        engine.detach(&at(Hook::TcIngress)).unwrap();
        let left = tc(&["filter", "show", "dev", "skep0", "ingress"]);
        assert!(left.contains("pref 7 bpf") && left.contains("pref 8 bpf"), "{left}");
        assert!(!left.contains("pref 60000"), "{left}");
    });
}

#[test]
fn a_clsact_that_we_made_stays_while_others_use_it() {
    Place::run_on(&TC, |place| {
        let engine = place.engine();
        engine.apply(&wanted(Hook::TcEgress, 1, 2)).unwrap();
        add_theirs("8");
        engine.detach(&at(Hook::TcEgress)).unwrap();
        assert!(tc(&["filter", "show", "dev", "skep0", "ingress"]).contains("pref 8 bpf"));
    });
}

#[test]
fn a_filter_removed_behind_our_back_is_put_back() {
    Place::run_on(&TC, |place| {
        let engine = place.engine();
        let wanted = wanted(Hook::TcIngress, 1, 2);
        engine.apply(&wanted).unwrap();
        tc(&["qdisc", "del", "dev", "skep0", "clsact"]);
        assert!(engine.observe().unwrap().is_empty());
        let applied = engine.apply(&wanted).unwrap();
        assert!(applied.plan.steps.iter().any(|step| matches!(step, Step::Attach { .. })));
        assert_eq!(answer_of(&engine, Hook::TcIngress), 2);
        engine.detach(&at(Hook::TcIngress)).unwrap();
        assert!(!disciplines().contains("clsact"));
    });
}

#[test]
fn stolen_and_trapped_keep_their_meaning_as_a_filter_and_drop_on_tcx() {
    Place::run_with(Backend::Tcx, &TC, |place| {
        let engine = place.engine();
        let mut generation = 0;
        for (backend, answers) in [
            (BackendChoice::Tc, [(4, 4), (8, 8), (3, -1), (6, -1), (7, 7), (99, -1)]),
            (BackendChoice::Tcx, [(4, 2), (8, 2), (3, -1), (6, -1), (7, 7), (99, -1)]),
        ] {
            for (answer, meant) in answers {
                generation += 1;
                let wanted = Chain { backend, ..wanted(Hook::TcEgress, generation, answer) };
                engine.apply(&wanted).unwrap();
                assert_eq!(answer_of(&engine, Hook::TcEgress), meant, "{backend} {answer}");
            }
            engine.detach(&at(Hook::TcEgress)).unwrap();
        }
    });
}

#[test]
fn moving_between_a_tcx_link_and_a_filter_needs_leave_for_a_gap() {
    Place::run_with(Backend::Tcx, &TC, |place| {
        let engine = place.engine();
        let hook = Hook::TcIngress;
        let on_tcx =
            |generation| Chain { backend: BackendChoice::Tcx, ..wanted(hook, generation, 2) };
        let before = engine.apply(&on_tcx(1)).unwrap().chain;
        let refused = engine.apply(&wanted(hook, 2, 0)).unwrap_err();
        assert_eq!(refused.code(), "chain.gap_refused");
        let ApplyError::GapRefused { crossing, .. } = &refused else { panic!("{refused:?}") };
        let (from, to) = (Attachment::Tcx, Attachment::Clsact);
        assert_eq!(*crossing, Crossing::Attachment { from, to });
        assert!(refused.to_string().contains("from a tcx link to a clsact filter"), "{refused}");
        assert_eq!(engine.observe_hook(&at(hook)).unwrap(), before);

        let crossed = engine.apply(&Chain { gap: Gap::Allow, ..wanted(hook, 2, 0) }).unwrap();
        assert!(crossed.plan.to_string().contains("pass unseen"), "{}", crossed.plan);
        assert_eq!(crossed.chain.attachment, Some(Attachment::Clsact));
        assert_eq!(answer_of(&engine, hook), 0);
        assert_eq!(place.generations(hook).len(), 1);
        assert!(engine.plan(&wanted(hook, 2, 0)).unwrap().is_empty());

        let back = engine.apply(&Chain { gap: Gap::Allow, ..on_tcx(3) }).unwrap();
        assert_eq!(back.chain.attachment, Some(Attachment::Tcx));
        assert!(!disciplines().contains("clsact"));
        assert_eq!(answer_of(&engine, hook), 2);
    });
}

#[test]
fn observers_of_a_filter_chain_count_and_decide_nothing() {
    Place::run_on(&TC, |place| {
        let engine = place.engine();
        let mut wanted = wanted(Hook::TcIngress, 1, 2);
        wanted.members[1].mode = Mode::Observe;
        engine.apply(&wanted).unwrap();
        assert_eq!(answer_of(&engine, Hook::TcIngress), -1);
        let counted = engine.counters(&at(Hook::TcIngress)).unwrap();
        assert_eq!((counted[0].packets, counted[1].packets), (1, 1));
    });
}
