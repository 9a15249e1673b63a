//! Builders of policies and chains, so that a test names only what it is about.

use proptest::prelude::*;
use skep_artifact::config::ConfigValues;
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, Verdict, VerdictSet};
use skep_fleet::policy::{Attach, InterfaceMatch, PinnedProgram};
use skep_fleet::selector::{Labels, Selector};
use skep_fleet::{How, ObservedChain, ObservedMember, PolicyRevision};
use std::collections::BTreeSet;

pub(crate) fn program(name: &str, package: &str, priority: u32) -> PinnedProgram {
    PinnedProgram {
        name: name.parse().unwrap(),
        package: package.parse().unwrap(),
        version: semver::Version::new(1, 0, 0),
        index: Digest::of(package.as_bytes()),
        program: "main".to_owned(),
        priority,
        proceed_on: VerdictSet::of(&[Verdict::Pass]),
        mode: Mode::Enforce,
        failure: Failure::Closed,
        config: ConfigValues::default(),
    }
}

pub(crate) fn policy(
    name: &str,
    patterns: &[&str],
    programs: Vec<PinnedProgram>,
) -> PolicyRevision {
    let patterns = patterns.iter().map(|p| (*p).to_owned()).collect();
    PolicyRevision {
        name: name.parse().unwrap(),
        revision: 1,
        removed: false,
        nodes: Selector::label("role", "edge"),
        attach: Attach::on(InterfaceMatch { patterns }, Hook::Xdp),
        programs,
        fallback: None,
        rollout: None,
        approval: None,
    }
}

pub(crate) fn edge() -> Labels {
    Labels::from([("role".to_owned(), "edge".to_owned())])
}

pub(crate) fn interfaces(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

pub(crate) fn member(name: &str, version: u64) -> ObservedMember {
    ObservedMember {
        policy: "fw".parse().unwrap(),
        name: name.parse().unwrap(),
        package: "skep/firewall".parse().unwrap(),
        version: semver::Version::new(version, 0, 0),
        index: Digest::of(b"index"),
        program: "main".to_owned(),
        priority: 10,
        proceed_on: VerdictSet::of(&[Verdict::Pass]),
        mode: Mode::Enforce,
        failure: Failure::Closed,
        config: Digest::of(b"config"),
    }
}

pub(crate) fn chain(interface: &str, hook: Hook, members: Vec<ObservedMember>) -> ObservedChain {
    ObservedChain { interface: interface.to_owned(), hook, members, how: How::default() }
}

/// Chains on up to six places, each at most once, in any order.
pub(crate) fn any_chains() -> impl Strategy<Value = Vec<ObservedChain>> {
    let place = (0u8..3, prop::sample::select(Hook::ALL.to_vec()));
    let members = prop::collection::vec((0u8..3, 1u64..3), 0..4);
    let one = (place, members).prop_map(|((interface, hook), members)| {
        let members = members.into_iter().map(|(n, v)| member(&format!("m{n}"), v)).collect();
        chain(&format!("eth{interface}"), hook, members)
    });
    prop::collection::vec(one, 0..6).prop_map(|mut chains| {
        let mut seen = BTreeSet::new();
        chains.retain(|c| seen.insert((c.interface.clone(), c.hook)));
        chains
    })
}

/// Policies with different names that may meet on the same hooks.
pub(crate) fn any_policies() -> impl Strategy<Value = Vec<PolicyRevision>> {
    let programs = prop::collection::vec((0u8..4, 0u32..3), 1..4).prop_map(|all| {
        let mut seen = BTreeSet::new();
        let fresh = all.into_iter().filter(|(n, _)| seen.insert(*n)).collect::<Vec<_>>();
        fresh.into_iter().map(|(n, p)| program(&format!("m{n}"), "skep/firewall", p)).collect()
    });
    let pattern = prop::sample::select(vec!["eth*", "eth0", "lo", "*"]);
    let one = (programs, pattern, any::<bool>(), prop::sample::select(Hook::ALL.to_vec()));
    prop::collection::vec(one, 0..5).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        numbered
            .map(|(n, (programs, pattern, removed, hook))| {
                let mut policy = policy(&format!("p{n}"), &[pattern], programs);
                policy.attach.hook = hook;
                if removed { policy.tombstone(2) } else { policy }
            })
            .collect()
    })
}
