//! `plan`: the steps lead from what runs to what is wanted, and no further.

use crate::wish::{any_chains, chain, member};
use proptest::prelude::*;
use skep_artifact::hook::Hook;
use skep_fleet::plan::{Step, plan};
use skep_fleet::{AttachMode, Backend, How, ObservedChain};
use std::collections::BTreeMap;

#[track_caller]
fn check(wanted: &[ObservedChain], running: &[ObservedChain], expected: &[&str]) {
    let steps: Vec<String> = plan(wanted, running).iter().map(ToString::to_string).collect();
    assert_eq!(steps, expected);
}

#[test]
fn adopts_what_runs_already() {
    let wanted = [chain("eth0", Hook::Xdp, vec![member("a", 1)])];
    check(&wanted, &wanted, &[]);
}

#[test]
fn puts_a_chain_where_none_runs() {
    let wanted = [chain("eth0", Hook::Xdp, vec![member("a", 1)])];
    check(&wanted, &[], &["swap eth0 xdp to [skep/firewall 1.0.0]: nothing of ours runs there"]);
}

#[test]
fn replaces_whole_when_anything_that_decides_about_packets_differs() {
    let running = member("a", 1);
    let mut changed = vec![member("a", 1); 6];
    changed[0].version = semver::Version::new(2, 0, 0);
    changed[1].priority = 11;
    changed[2].proceed_on = skep_artifact::VerdictSet::EMPTY;
    changed[3].mode = skep_artifact::Mode::Observe;
    changed[4].failure = skep_artifact::Failure::Open;
    changed[5].config = skep_artifact::Digest::of(b"another config");
    for wanted in changed {
        let steps = plan(
            &[chain("eth0", Hook::Xdp, vec![wanted.clone()])],
            &[chain("eth0", Hook::Xdp, vec![running.clone()])],
        );
        assert!(matches!(&steps[..], [Step::SwapChain { members, .. }] if members == &[wanted]));
    }
}

#[test]
fn another_order_is_another_chain() {
    let (a, b) = (member("a", 1), member("b", 1));
    let steps = plan(
        &[chain("eth0", Hook::Xdp, vec![a.clone(), b.clone()])],
        &[chain("eth0", Hook::Xdp, vec![b, a])],
    );
    assert_eq!(steps.len(), 1);
}

#[test]
fn swaps_before_it_detaches() {
    let (old, new) = (
        chain("eth0", Hook::Xdp, vec![member("a", 1)]),
        chain("eth1", Hook::Xdp, vec![member("a", 1)]),
    );
    check(
        &[new],
        &[old],
        &[
            "swap eth1 xdp to [skep/firewall 1.0.0]: nothing of ours runs there",
            "detach eth0 xdp: no chain is wanted there",
        ],
    );
}

#[test]
fn the_hooks_of_one_interface_are_planned_apart() {
    let running = [
        chain("eth0", Hook::Xdp, vec![member("a", 1)]),
        chain("eth0", Hook::TcIngress, vec![member("a", 1)]),
    ];
    check(&running[..1], &running, &["detach eth0 tc-ingress: no chain is wanted there"]);
}

#[test]
fn a_chain_is_swapped_where_it_runs_otherwise_than_it_was_asked_for() {
    let with = |backend, mode| {
        let how = How { backend, mode, ..How::default() };
        ObservedChain { how, ..chain("eth0", Hook::Xdp, vec![member("a", 1)]) }
    };
    let (auto, native, generic) = (AttachMode::Auto, AttachMode::Native, AttachMode::Generic);
    // (wanted, running, whether it is left as it is)
    let table = [
        (with(Backend::Auto, auto), with(Backend::Slots, native), true),
        (with(Backend::Slots, auto), with(Backend::Slots, native), true),
        (with(Backend::Fused, auto), with(Backend::Slots, native), false),
        (with(Backend::Slots, auto), with(Backend::Libxdp, native), false),
        (with(Backend::Slots, native), with(Backend::Slots, generic), false),
        (with(Backend::Slots, generic), with(Backend::Slots, generic), true),
        (with(Backend::Slots, auto), with(Backend::Tc, auto), true),
        (with(Backend::Fused, auto), with(Backend::TcxFused, auto), true),
        (with(Backend::TcFused, auto), with(Backend::TcxFused, auto), false),
        // Nothing is known of how it runs.
        (with(Backend::Fused, native), with(Backend::Auto, auto), true),
    ];
    for (wanted, running, left) in table {
        let steps = plan(std::slice::from_ref(&wanted), std::slice::from_ref(&running));
        assert_eq!(steps.is_empty(), left, "{:?} for {:?}", running.how, wanted.how);
    }
}

/// The host after one step: an independent model of what the executor does.
fn after(mut host: Vec<ObservedChain>, step: &Step) -> Vec<ObservedChain> {
    let (Step::SwapChain { interface, hook, .. } | Step::DetachChain { interface, hook }) = step;
    host.retain(|c| (&c.interface, c.hook) != (interface, *hook));
    if let Step::SwapChain { members, .. } = step {
        host.push(chain(interface, *hook, members.clone()));
    }
    host
}

fn by_place(chains: &[ObservedChain]) -> BTreeMap<(&str, Hook), &ObservedChain> {
    chains.iter().map(|c| ((c.interface.as_str(), c.hook), c)).collect()
}

proptest! {
    #[test]
    fn the_steps_lead_to_what_is_wanted(wanted in any_chains(), running in any_chains()) {
        let host = plan(&wanted, &running).iter().fold(running, after);
        prop_assert_eq!(by_place(&host), by_place(&wanted));
    }

    #[test]
    fn a_second_plan_is_empty(wanted in any_chains(), running in any_chains()) {
        let host = plan(&wanted, &running).iter().fold(running, after);
        prop_assert_eq!(plan(&wanted, &host), vec![]);
    }

    #[test]
    fn stopped_after_any_step_every_place_runs_its_old_or_its_new_chain(
        wanted in any_chains(), running in any_chains(), stop in any::<prop::sample::Index>(),
    ) {
        let steps = plan(&wanted, &running);
        let stop = stop.index(steps.len() + 1);
        let host = steps[..stop].iter().fold(running.clone(), after);
        let (old, new) = (by_place(&running), by_place(&wanted));
        for (place, chain) in by_place(&host) {
            prop_assert!(old.get(&place) == Some(&chain) || new.get(&place) == Some(&chain));
        }
        for place in old.keys().filter(|place| new.contains_key(*place)) {
            prop_assert!(by_place(&host).contains_key(place), "a wanted hook was left bare");
        }
    }

    #[test]
    fn the_plan_does_not_depend_on_the_order_of_its_inputs(
        wanted in any_chains(), running in any_chains(),
    ) {
        let turned = |chains: &[ObservedChain]| -> Vec<ObservedChain> {
            chains.iter().rev().cloned().collect()
        };
        prop_assert_eq!(plan(&wanted, &running), plan(&turned(&wanted), &turned(&running)));
    }
}
