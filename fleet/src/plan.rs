//! From what is wanted and what runs to the steps that lead there. Refuses to do any of them.

use crate::desired::DesiredChain;
use crate::how::How;
use crate::observed::{ObservedChain, ObservedMember};
use serde::Serialize;
use skep_artifact::digest::Digest;
use skep_artifact::hook::Hook;
use skep_artifact::name::PackageName;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One package a node must have before its chains can be planned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NeededPackage {
    pub package: PackageName,
    pub version: semver::Version,
    pub index: Digest,
}

/// Every package the chains name, each once.
#[must_use]
pub fn packages_needed(chains: &[DesiredChain]) -> BTreeSet<NeededPackage> {
    let members = chains.iter().flat_map(|c| &c.members);
    members
        .map(|m| NeededPackage {
            package: m.package.clone(),
            version: m.version.clone(),
            index: m.index,
        })
        .collect()
}

/// A wanted chain whose packages were verified and whose config was encoded: it has the same
/// shape as what a node observes, so that the two can be compared.
pub type WantedChain = ObservedChain;

/// What the executor does next. Plain data: compared in tests, printed by `--dry-run`, logged.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Load, configure and switch the whole chain in one kernel operation.
    SwapChain { interface: String, hook: Hook, members: Vec<ObservedMember>, how: How, why: Why },
    /// Take the chain off, because no policy wants one there any more.
    DetachChain { interface: String, hook: Hook },
}

/// Why a chain is swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nothing of ours runs there.
    NotRunning,
    /// Something of ours runs there, with other members, order or settings.
    Differs,
}

/// The steps that make `observed` equal to `wanted`. Empty when they are equal already: after a
/// restart the agent adopts what runs and touches nothing.
///
/// Swaps come before detaches, so that a chain that moves between interfaces is never missing
/// from both.
#[must_use]
pub fn plan(wanted: &[WantedChain], observed: &[ObservedChain]) -> Vec<Step> {
    fn by_place(chains: &[ObservedChain]) -> BTreeMap<(&str, Hook), &ObservedChain> {
        chains.iter().map(|c| ((c.interface.as_str(), c.hook), c)).collect()
    }
    let (wanted, running) = (by_place(wanted), by_place(observed));
    let swaps = wanted.iter().filter_map(|(place, chain)| {
        let why = match running.get(place) {
            Some(now) if now.serves(chain) => return None,
            Some(_) => Why::Differs,
            None => Why::NotRunning,
        };
        let ObservedChain { interface, hook, members, how } = (*chain).clone();
        Some(Step::SwapChain { interface, hook, members, how, why })
    });
    let gone = running.keys().filter(|place| !wanted.contains_key(*place));
    let detaches = gone.map(|(interface, hook)| Step::DetachChain {
        interface: (*interface).to_owned(),
        hook: *hook,
    });
    swaps.chain(detaches).collect()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwapChain { interface, hook, members, how, why } => {
                let names: Vec<String> =
                    members.iter().map(|m| format!("{} {}", m.package, m.version)).collect();
                let because = match why {
                    Why::NotRunning => "nothing of ours runs there",
                    Why::Differs => "what runs there differs",
                };
                let how = if how.is_default() { String::new() } else { format!(" ({how})") };
                write!(f, "swap {interface} {hook} to [{}]{how}: {because}", names.join(", "))
            }
            Self::DetachChain { interface, hook } => {
                write!(f, "detach {interface} {hook}: no chain is wanted there")
            }
        }
    }
}
