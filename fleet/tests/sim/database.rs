//! What servers share: the events of every rollout and what each node is wanted to have, changed together or not at all.
//! Refuses to decide anything.

use skep_fleet::rollout::{Event, Held, Rollout};
use skep_fleet::{Generation, NodeName};
use std::collections::{BTreeMap, BTreeSet};

/// What is wanted of a node, by policy, and the number it has.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Wanted {
    pub(crate) generation: Generation,
    /// By policy: what it has, and how often it was told to try again.
    pub(crate) has: BTreeMap<usize, (Held, u32)>,
}

/// One rollout as it is kept.
pub(crate) struct Kept {
    pub(crate) first: Rollout,
    pub(crate) events: Vec<(Event, i64)>,
    /// Derived, and compared with a replay at the end.
    pub(crate) state: Rollout,
}

#[derive(Default)]
pub(crate) struct Database {
    pub(crate) version: u64,
    pub(crate) rollouts: Vec<Kept>,
    pub(crate) wanted: BTreeMap<NodeName, Wanted>,
    pub(crate) bad: BTreeSet<skep_artifact::digest::Digest>,
    /// Who drives, and until when by its own clock.
    pub(crate) lease: Option<(usize, i64)>,
}

impl Database {
    pub(crate) fn states(&self) -> Vec<Rollout> {
        self.rollouts.iter().map(|kept| kept.state.clone()).collect()
    }
}
