//! Chains beside others: programs that somebody else attached, other processes, other namespaces.

use std::path::{Path, PathBuf};
use std::process::Command;

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{ApplyError, Backend, Engine, EngineConfig, Foreign};

use crate::place::{ANSWER, Place, answering, at, chain, compile, ip, packet};

fn answer_of(engine: &Engine, hook: Hook) -> i32 {
    engine.test_run(&at(hook), &packet(), 1).unwrap().unwrap().code
}

#[test]
fn a_link_changed_behind_our_back_is_told_and_put_right() {
    Place::run(|place| {
        let engine = place.engine();
        let wanted = chain(Hook::Xdp, 1, vec![answering(Hook::Xdp, "a", 1, 1)]);
        engine.apply(&wanted).unwrap();
        let mut theirs =
            aya::Ebpf::load(compile(&ANSWER.replace("SEC(\"tc\")", "SEC(\"classifier\")")).bytes())
                .unwrap();
        let program: &mut aya::programs::Xdp =
            theirs.program_mut("on_xdp").unwrap().try_into().unwrap();
        program.load().unwrap();
        let link =
            aya::programs::links::PinnedLink::from_pin(place.hook_folder(Hook::Xdp).join("link"));
        let link: aya::programs::links::FdLink = link.unwrap().into();
        program.attach_to_link(link.try_into().unwrap()).unwrap();

        let engine = place.engine();
        let observed = engine.observe_hook(&at(Hook::Xdp)).unwrap();
        assert!(observed.members.is_empty());
        assert!(observed.reason.contains("no chain under the pin root"), "{}", observed.reason);
        engine.apply(&wanted).unwrap();
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
        assert_eq!(place.generations(Hook::Xdp).len(), 1);
    });
}

/// Runs itself again in a mount namespace of its own, where nobody mounted a bpffs.
#[test]
fn the_usual_pin_root_works_where_nobody_mounted_a_bpffs() {
    const INSIDE: &str = "SKEP_TEST_NO_BPFFS";
    if std::env::var_os(INSIDE).is_some() {
        while Command::new("umount").arg("/sys/fs/bpf").output().unwrap().status.success() {}
        let pin_root: PathBuf = "/sys/fs/bpf/skep-test".into();
        let config = EngineConfig::new(&pin_root);
        Engine::open(config.clone()).unwrap();
        Engine::open(config).unwrap();
        assert!(pin_root.is_dir());
        return;
    }
    Place::run(|_| {
        let finished = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "others::the_usual_pin_root_works_where_nobody_mounted_a_bpffs"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        assert!(finished.status.success(), "{finished:?}");
        assert!(!Path::new("/sys/fs/bpf/skep-test").exists());
    });
}

#[test]
fn two_that_apply_at_once_take_turns_and_both_get_there() {
    Place::run(|place| {
        let engine = place.engine();
        std::thread::scope(|scope| {
            for name in ["a", "b"] {
                scope.spawn(move || {
                    place.enter_inner();
                    let engine = place.engine();
                    for generation in 1..=5 {
                        let members = vec![answering(Hook::Xdp, name, generation, 2)];
                        let wanted = chain(Hook::Xdp, generation.into(), members);
                        let applied = engine.apply(&wanted).unwrap();
                        assert_eq!(applied.chain.members.len(), 1);
                    }
                });
            }
        });
        assert_eq!(place.generations(Hook::Xdp).len(), 1);
        assert_eq!(engine.observe_hook(&at(Hook::Xdp)).unwrap().generation, 5);
    });
}

#[test]
fn chains_of_other_namespaces_are_neither_seen_nor_swept() {
    Place::run(|place| {
        let wanted = chain(Hook::Xdp, 1, vec![answering(Hook::Xdp, "a", 1, 1)]);
        place.engine().apply(&wanted).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                place.enter_outer();
                let engine = place.engine();
                assert!(engine.observe().unwrap().is_empty());
                assert_eq!(engine.sweep().unwrap(), 0);
                let missing = engine.apply(&wanted).unwrap_err();
                assert_eq!(missing.code(), "chain.interface_gone");
            });
        });
        assert_eq!(answer_of(&place.engine(), Hook::Xdp), 1);
    });
}

#[test]
fn an_xdp_program_of_somebody_else_is_left_alone_unless_asked_to_take_over() {
    Place::run(|place| {
        let engine = place.engine();
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("theirs.o");
        std::fs::write(&object, compile(ANSWER).bytes()).unwrap();
        ip(&[
            "link",
            "set",
            "skep0",
            "xdp",
            "object",
            object.to_str().unwrap(),
            "program",
            "on_xdp",
        ]);

        let mut wanted = chain(Hook::Xdp, 1, vec![answering(Hook::Xdp, "a", 1, 1)]);
        let refused = engine.apply(&wanted).unwrap_err();
        assert_eq!(refused.code(), "chain.foreign_program");
        let observed = engine.observe().unwrap();
        assert_eq!(observed.len(), 1);
        assert_eq!((observed[0].backend, observed[0].foreign[0].name.as_str()), (None, "on_xdp"));
        assert!(engine.detach_all().unwrap().is_empty());
        assert_eq!(engine.observe().unwrap(), observed, "theirs still runs");

        wanted.foreign = Foreign::TakeOver;
        let applied = engine.apply(&wanted).unwrap();
        assert!(applied.plan.to_string().contains("packets pass unseen"), "{}", applied.plan);
        assert!(applied.chain.foreign.is_empty());
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
    });
}

#[test]
fn an_xdp_link_of_somebody_else_is_taken_over_when_asked() {
    Place::run(|place| {
        let engine = place.engine();
        let mut theirs =
            aya::Ebpf::load(compile(&ANSWER.replace("SEC(\"tc\")", "SEC(\"classifier\")")).bytes())
                .unwrap();
        let program: &mut aya::programs::Xdp =
            theirs.program_mut("on_xdp").unwrap().try_into().unwrap();
        program.load().unwrap();
        program.attach("skep0", aya::programs::XdpMode::default()).unwrap();
        let mut wanted = chain(Hook::Xdp, 1, vec![answering(Hook::Xdp, "a", 1, 1)]);
        let refused = engine.apply(&wanted).unwrap_err();
        let ApplyError::Foreign { program, .. } = refused else { panic!("{refused:?}") };
        assert!(program.link_id.is_some());
        wanted.foreign = Foreign::TakeOver;
        engine.apply(&wanted).unwrap();
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
        assert!(engine.observe_hook(&at(Hook::Xdp)).unwrap().foreign.is_empty());
    });
}

#[test]
fn a_tc_program_of_somebody_else_keeps_its_place() {
    Place::run_with(Backend::Tcx, &[Hook::TcIngress], |place| {
        let engine = place.engine();
        let mut theirs =
            aya::Ebpf::load(compile(&ANSWER.replace("SEC(\"tc\")", "SEC(\"classifier\")")).bytes())
                .unwrap();
        let program: &mut aya::programs::SchedClassifier =
            theirs.program_mut("on_tc").unwrap().try_into().unwrap();
        program.load().unwrap();
        program.attach("skep0", aya::programs::TcAttachType::Ingress).unwrap();
        let applied = engine
            .apply(&chain(Hook::TcIngress, 1, vec![answering(Hook::TcIngress, "a", 1, 2)]))
            .unwrap();
        assert_eq!(applied.chain.backend, Some(Backend::Tcx));
        assert_eq!(applied.chain.foreign.len(), 1);
        assert_eq!(engine.detach_all().unwrap(), [at(Hook::TcIngress)]);
        let left = engine.observe().unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].link_id, left[0].foreign.len()), (None, 1));
    });
}
