//! Killed after any step of a change, the hook runs the old chain or the new one, whole; opening
//! again removes the leftovers and applying again gets there.

use std::process::Command;

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{BackendChoice, Chain, Engine, EngineConfig, Step};

use crate::place::{Place, answering, at, chain, packet};

const ROOT: &str = "SKEP_TEST_PIN_ROOT";
const HOOK: &str = "SKEP_TEST_HOOK";
const BACKEND: &str = "SKEP_TEST_BACKEND";
const DIES_AFTER: &str = "SKEP_TEST_DIES_AFTER";

/// Passes, passes, passes: the old chain answers PASS or OK.
fn old_chain(backend: BackendChoice, hook: Hook) -> Chain {
    let on = if hook == Hook::Xdp { 2 } else { -1 };
    let members = vec![answering(hook, "a", 1, on), answering(hook, "b", 2, on)];
    Chain { backend, ..chain(hook, 1, members) }
}

/// Another number of members, and the last one drops.
fn new_chain(backend: BackendChoice, hook: Hook) -> Chain {
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
    let told = [ROOT, HOOK, BACKEND, DIES_AFTER].map(|name| std::env::var(name));
    if let [Ok(root), Ok(hook), Ok(backend), Ok(step)] = told {
        let (backend, hook) = (backend.parse().unwrap(), hook.parse().unwrap());
        let engine = Engine::open(EngineConfig::new(root)).unwrap();
        let mut left: usize = step.parse().unwrap();
        let result = engine.apply_telling(&new_chain(backend, hook), &mut |_| {
            if left == 0 {
                // As unforeseen as it gets: no unwinding, no destructors.
                std::process::abort();
            }
            left -= 1;
        });
        result.unwrap();
        return;
    }
    Place::run(|place| {
        let engine = place.engine();
        let mut told = Vec::new();
        let applied = engine
            .apply_telling(&new_chain(BackendChoice::Auto, Hook::Xdp), &mut |step| {
                told.push(step.clone())
            });
        assert_eq!(applied.unwrap().plan.steps, told);
        assert_eq!(told.len(), 6);
    });
}

type First = fn(BackendChoice, Hook) -> Chain;

fn killed_after_every_step(backend: BackendChoice, hook: Hook, first: Option<First>) {
    Place::run_on(&[hook], |place| {
        let mut step = 0;
        loop {
            let engine = place.engine();
            engine.detach(&at(hook)).unwrap();
            let before = first.map(|chain| engine.apply(&chain(backend, hook)).unwrap().chain);
            let steps = engine.plan(&new_chain(backend, hook)).unwrap().steps;
            let live = steps
                .iter()
                .position(|step| matches!(step, Step::Switch { .. } | Step::Attach { .. }))
                .unwrap();
            let finished = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "killed::steps_are_told_in_the_order_of_the_plan"])
                .env(ROOT, &place.root)
                .env(HOOK, hook.as_str())
                .env(BACKEND, backend.as_str())
                .env(DIES_AFTER, step.to_string())
                .output()
                .unwrap();
            assert_eq!(finished.status.success(), step >= steps.len(), "{finished:?}");

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
            engine.apply(&new_chain(backend, hook)).unwrap();
            assert_eq!(engine.test_run(&at(hook), &packet(), 1).unwrap().unwrap().code, new);
            assert!(engine.plan(&new_chain(backend, hook)).unwrap().is_empty());
            if step >= steps.len() {
                return;
            }
            step += 1;
        }
    });
}

#[test]
fn killed_after_any_step_of_a_swap_on_xdp_a_whole_chain_runs() {
    killed_after_every_step(BackendChoice::Slots, Hook::Xdp, Some(old_chain));
}

#[test]
fn killed_after_any_step_of_a_swap_on_tc_a_whole_chain_runs() {
    killed_after_every_step(BackendChoice::Tcx, Hook::TcEgress, Some(old_chain));
}

#[test]
fn killed_after_any_step_of_a_swap_of_a_clsact_filter_a_whole_chain_runs() {
    killed_after_every_step(BackendChoice::Tc, Hook::TcEgress, Some(old_chain));
}

#[test]
fn killed_after_any_step_of_adding_a_clsact_filter_nothing_or_the_whole_chain_runs() {
    killed_after_every_step(BackendChoice::Tc, Hook::TcIngress, None);
}

#[test]
fn killed_after_any_step_of_the_first_attach_nothing_or_the_whole_chain_runs() {
    killed_after_every_step(BackendChoice::Slots, Hook::Xdp, None);
}

#[test]
fn a_half_pinned_generation_is_swept_and_the_running_one_stays() {
    Place::run(|place| {
        let engine = place.engine();
        engine.apply(&old_chain(BackendChoice::Auto, Hook::Xdp)).unwrap();
        let half = place.hook_folder(Hook::Xdp).join("gen-7").join("members").join("test+a");
        std::fs::create_dir_all(half.join("maps")).unwrap();
        let map = aya::maps::MapData::from_pin(place.hook_folder(Hook::Xdp).join("gen-1/counters"));
        map.unwrap().pin(half.join("maps").join("seen")).unwrap();
        let orphan = place.root.join("4026531840-999999-xdp");
        std::fs::create_dir_all(orphan.join("gen-1")).unwrap();
        assert_eq!(engine.sweep().unwrap(), 2);
        assert!(!half.exists() && !orphan.exists());
        assert_eq!(engine.test_run(&at(Hook::Xdp), &packet(), 1).unwrap().unwrap().code, 2);
        assert!(engine.plan(&old_chain(BackendChoice::Auto, Hook::Xdp)).unwrap().is_empty());
    });
}
