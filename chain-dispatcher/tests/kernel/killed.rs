//! Killed after any step of a change, the hook runs the old chain or the new one, whole; opening
//! again removes the leftovers and applying again gets there.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{BackendChoice, Chain, Engine, Step};

use crate::place::{Place, answering, at, chain, config_at, packet};

const ROOT: &str = "SKEP_TEST_PIN_ROOT";
const HOOK: &str = "SKEP_TEST_HOOK";
const BACKEND: &str = "SKEP_TEST_BACKEND";
const DIES_AFTER: &str = "SKEP_TEST_DIES_AFTER";

/// Passes, passes, passes: the old chain answers PASS or OK.
fn old_chain(hook: Hook, backend: BackendChoice) -> Chain {
    let on = if hook == Hook::Xdp { 2 } else { -1 };
    let members = vec![answering(hook, "a", 1, on), answering(hook, "b", 2, on)];
    Chain { backend, ..chain(hook, 1, members) }
}

/// Another number of members, and the last one drops.
fn new_chain(hook: Hook, backend: BackendChoice) -> Chain {
    let (on, stop) = if hook == Hook::Xdp { (2, 1) } else { (-1, 2) };
    let members = vec![
        answering(hook, "a", 1, on),
        answering(hook, "b", 2, on),
        answering(hook, "c", 3, stop),
    ];
    Chain { backend, ..chain(hook, 2, members) }
}

/// The body of the process that is killed: applies the new chain and dies after the given step.
/// Run on its own it applies and tells its steps in the order of the plan.
#[test]
fn steps_are_told_in_the_order_of_the_plan() {
    let told = [ROOT, HOOK, BACKEND, DIES_AFTER].map(|variable| std::env::var(variable).ok());
    if let [Some(root), Some(hook), Some(backend), Some(step)] = told {
        let engine = Engine::open(config_at(root.as_ref())).unwrap();
        let mut left: usize = step.parse().unwrap();
        let chain = new_chain(hook.parse().unwrap(), backend.parse().unwrap());
        let result = engine.apply_telling(&chain, &mut |_| {
            if left == 0 {
                // As unforeseen as it gets: no unwinding, no destructors, no handler.
                let me = rustix::process::getpid();
                rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
            }
            left -= 1;
        });
        result.unwrap();
        return;
    }
    Place::run(|place| {
        let engine = place.engine();
        let mut told = Vec::new();
        let applied =
            engine.apply_telling(&new_chain(Hook::Xdp, BackendChoice::Slots), &mut |step| {
                told.push(step.clone());
            });
        assert_eq!(applied.unwrap().plan.steps, told);
        assert_eq!(told.len(), 6);
    });
}

fn killed_after_every_step(hook: Hook, old: BackendChoice, new: BackendChoice) {
    let before = Some(old_chain(hook, old));
    killed_after_every_step_from(before.as_ref(), &new_chain(hook, new));
}

fn killed_after_every_step_from(old: Option<&Chain>, wanted: &Chain) {
    let hook = wanted.at.hook;
    let choices: Vec<_> = old.into_iter().chain([wanted]).map(|chain| chain.backend).collect();
    Place::run_choosing(&choices, hook, |place| {
        let mut step = 0;
        loop {
            let engine = place.engine();
            engine.detach(&at(hook)).unwrap();
            let before = old.map(|chain| engine.apply(chain).unwrap().chain);
            let steps = engine.plan(wanted).unwrap().steps;
            let live = steps
                .iter()
                .position(|step| matches!(step, Step::Switch { .. } | Step::Attach { .. }))
                .unwrap();
            let finished = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "killed::steps_are_told_in_the_order_of_the_plan"])
                .env(ROOT, &place.root)
                .env(HOOK, hook.as_str())
                .env(BACKEND, wanted.backend.as_str())
                .env(DIES_AFTER, step.to_string())
                .output()
                .unwrap();
            let killed = (step < steps.len()).then_some(9);
            assert_eq!(finished.status.signal(), killed, "{finished:?}");
            assert_eq!(finished.status.success(), killed.is_none(), "{finished:?}");

            // What a packet meets before anybody has opened the pins again.
            let answer = engine.test_run(&at(hook), &packet(), 1).unwrap().map(|run| run.code);
            let (old, new) = if hook == Hook::Xdp { (2, 1) } else { (-1, 2) };
            let expected = if step >= live { Some(new) } else { before.as_ref().map(|_| old) };
            assert_eq!(answer, expected, "killed after step {step} of {steps:?}");

            let engine = place.engine();
            let members = engine.observe_hook(&at(hook)).unwrap().members.len();
            let whole =
                if step >= live { 3 } else { before.map_or(0, |chain| chain.members.len()) };
            assert_eq!(members, whole, "killed after step {step}");
            if members > 0 {
                assert_eq!(place.generations(hook).len(), 1, "leftovers are swept");
            }
            engine.apply(wanted).unwrap();
            assert_eq!(engine.test_run(&at(hook), &packet(), 1).unwrap().unwrap().code, new);
            assert!(engine.plan(wanted).unwrap().is_empty());
            if step >= steps.len() {
                return;
            }
            step += 1;
        }
    });
}

#[test]
fn killed_after_any_step_of_a_swap_in_slots_a_whole_chain_runs() {
    killed_after_every_step(Hook::Xdp, BackendChoice::Slots, BackendChoice::Slots);
}

#[test]
fn killed_after_any_step_of_a_swap_of_a_fused_chain_a_whole_chain_runs() {
    killed_after_every_step(Hook::Xdp, BackendChoice::Fused, BackendChoice::Fused);
}

#[test]
fn killed_after_any_step_of_a_swap_on_tcx_a_whole_chain_runs() {
    killed_after_every_step(Hook::TcEgress, BackendChoice::Tcx, BackendChoice::Tcx);
}

#[test]
fn killed_after_any_step_of_a_swap_of_a_fused_chain_on_tcx_a_whole_chain_runs() {
    killed_after_every_step(Hook::TcIngress, BackendChoice::Fused, BackendChoice::Fused);
}

#[test]
fn killed_after_any_step_of_a_swap_on_clsact_a_whole_chain_runs() {
    killed_after_every_step(Hook::TcEgress, BackendChoice::Tc, BackendChoice::Tc);
}

#[test]
fn killed_after_any_step_of_a_swap_of_a_fused_chain_on_clsact_a_whole_chain_runs() {
    killed_after_every_step(Hook::TcIngress, BackendChoice::TcFused, BackendChoice::TcFused);
}

#[test]
fn killed_after_any_step_of_a_swap_from_slots_to_a_fused_chain_a_whole_chain_runs() {
    killed_after_every_step(Hook::Xdp, BackendChoice::Slots, BackendChoice::Fused);
}

#[test]
fn killed_after_any_step_of_a_swap_from_a_fused_chain_to_slots_a_whole_chain_runs() {
    killed_after_every_step(Hook::Xdp, BackendChoice::Fused, BackendChoice::Slots);
}

#[test]
fn killed_after_any_step_of_a_swap_from_tcx_to_a_fused_chain_a_whole_chain_runs() {
    killed_after_every_step(Hook::TcEgress, BackendChoice::Tcx, BackendChoice::Fused);
}

#[test]
fn killed_after_any_step_of_the_first_attach_in_slots_nothing_or_the_whole_chain_runs() {
    killed_after_every_step_from(None, &new_chain(Hook::Xdp, BackendChoice::Slots));
}

#[test]
fn killed_after_any_step_of_a_swap_of_a_libxdp_chain_a_whole_chain_runs() {
    killed_after_every_step(Hook::Xdp, BackendChoice::Libxdp, BackendChoice::Libxdp);
}

#[test]
fn killed_after_any_step_of_the_first_attach_of_a_libxdp_chain_nothing_or_the_whole_chain_runs() {
    killed_after_every_step_from(None, &new_chain(Hook::Xdp, BackendChoice::Libxdp));
}

#[test]
fn killed_after_any_step_of_the_first_attach_on_fused_xdp_nothing_or_the_whole_chain_runs() {
    killed_after_every_step_from(None, &new_chain(Hook::Xdp, BackendChoice::Fused));
}

#[test]
fn killed_after_any_step_of_the_first_attach_on_tcx_nothing_or_the_whole_chain_runs() {
    killed_after_every_step_from(None, &new_chain(Hook::TcEgress, BackendChoice::Tcx));
}

#[test]
fn killed_after_any_step_of_the_first_attach_on_fused_tcx_nothing_or_the_whole_chain_runs() {
    killed_after_every_step_from(None, &new_chain(Hook::TcIngress, BackendChoice::Fused));
}

#[test]
fn killed_after_any_step_of_the_first_attach_on_clsact_nothing_or_the_whole_chain_runs() {
    killed_after_every_step_from(None, &new_chain(Hook::TcEgress, BackendChoice::Tc));
}

#[test]
fn killed_after_any_step_of_the_first_attach_on_fused_clsact_nothing_or_the_whole_chain_runs() {
    killed_after_every_step_from(None, &new_chain(Hook::TcIngress, BackendChoice::TcFused));
}

#[test]
fn a_half_pinned_generation_is_swept_and_the_running_one_stays() {
    Place::run(|place| {
        let engine = place.engine();
        engine.apply(&old_chain(Hook::Xdp, BackendChoice::Slots)).unwrap();
        let half = place.hook_folder(Hook::Xdp).join("gen-7").join("members").join("test+a");
        std::fs::create_dir_all(half.join("maps")).unwrap();
        let map = aya::maps::MapData::from_pin(place.hook_folder(Hook::Xdp).join("gen-1/counters"));
        map.unwrap().pin(half.join("maps").join("seen")).unwrap();
        let orphan = place.root.join("4026531840-999999-xdp");
        std::fs::create_dir_all(orphan.join("gen-1")).unwrap();
        assert_eq!(engine.sweep().unwrap(), 2);
        assert!(!half.exists() && !orphan.exists());
        assert_eq!(engine.test_run(&at(Hook::Xdp), &packet(), 1).unwrap().unwrap().code, 2);
        assert!(engine.plan(&old_chain(Hook::Xdp, BackendChoice::Slots)).unwrap().is_empty());
    });
}
