//! One host's agent: takes what is newer, tries it, keeps what ran when it cannot. Refuses to know rollouts.

use crate::random::Random;
use skep_fleet::rollout::Held;
use skep_fleet::rollout::event::Said;
use skep_fleet::{Generation, Labels, NodeName};
use std::collections::{BTreeMap, BTreeSet};

/// What a node is offered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) generation: Generation,
    pub(crate) has: BTreeMap<usize, Held>,
}

/// What a node says.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) node: NodeName,
    pub(crate) generation: Generation,
    pub(crate) said: BTreeMap<usize, Said>,
    /// Packets that met each policy's member since it runs, and those dropped.
    pub(crate) counted: BTreeMap<usize, (u64, u64)>,
}

pub(crate) struct Agent {
    pub(crate) name: NodeName,
    pub(crate) labels: Labels,
    pub(crate) class: String,
    pub(crate) up: bool,
    /// Until when nothing goes in or out.
    pub(crate) cut_until: i64,
    /// Kept on disk.
    pub(crate) generation: Generation,
    pub(crate) accepted: BTreeMap<usize, u64>,
    pub(crate) wants: BTreeMap<usize, Held>,
    /// What runs, by policy.
    pub(crate) runs: BTreeMap<usize, Held>,
    /// Everything that ever ran.
    pub(crate) ran: BTreeSet<(usize, Held)>,
    pub(crate) refused: BTreeMap<usize, Held>,
    /// When the change under way is done.
    pub(crate) done_at: Option<i64>,
    pub(crate) counted: BTreeMap<usize, (u64, u64)>,
    /// Revisions it cannot run, by policy: of those the kernel refuses once, or always.
    pub(crate) cannot: BTreeMap<(usize, u64), u32>,
    pub(crate) polls_at: i64,
}

impl Agent {
    pub(crate) fn new(name: NodeName, labels: Labels, class: String) -> Self {
        Self {
            name,
            labels,
            class,
            up: true,
            cut_until: 0,
            generation: Generation(0),
            accepted: BTreeMap::new(),
            wants: BTreeMap::new(),
            runs: BTreeMap::new(),
            ran: BTreeSet::new(),
            refused: BTreeMap::new(),
            done_at: None,
            counted: BTreeMap::new(),
            cannot: BTreeMap::new(),
            polls_at: 0,
        }
    }

    pub(crate) fn reachable(&self, now: i64) -> bool {
        self.up && now >= self.cut_until
    }

    /// Takes a state, unless it is older than what it has.
    pub(crate) fn offered(&mut self, offer: &Offer, now: i64, random: &mut Random) {
        if offer.generation <= self.generation {
            return;
        }
        for (policy, held) in &offer.has {
            let floor = self.accepted.entry(*policy).or_default();
            assert!(held.revision >= *floor, "{}: offered a revision below its floor", self.name);
            *floor = held.revision;
        }
        self.generation = offer.generation;
        self.wants.clone_from(&offer.has);
        self.refused.clear();
        self.done_at = Some(now + random.between(1, 20));
    }

    /// Finishes a change. Without the registry nothing new can be fetched; what is on the host runs again.
    pub(crate) fn work(&mut self, now: i64, registry: bool) {
        if !self.up || self.done_at.is_none_or(|at| now < at) {
            return;
        }
        let mut open = false;
        for (policy, held) in self.wants.clone() {
            if self.runs.get(&policy) == Some(&held) || self.refused.get(&policy) == Some(&held) {
                continue;
            }
            if !held.fallback && !registry {
                open = true;
                continue;
            }
            let cannot = self.cannot.get_mut(&(policy, held.revision));
            match cannot.filter(|times| !held.fallback && **times > 0) {
                Some(times) => {
                    *times -= 1;
                    self.refused.insert(policy, held);
                }
                None => {
                    self.runs.insert(policy, held);
                    self.ran.insert((policy, held));
                    self.counted.insert(policy, (0, 0));
                }
            }
        }
        self.done_at = open.then_some(now + 5);
    }

    pub(crate) fn word(&self) -> Word {
        let said = self.wants.iter().map(|(policy, held)| {
            let said = if self.refused.get(policy) == Some(held) {
                let (code, message) =
                    ("chain.verifier".to_owned(), "not on this kernel".to_owned());
                Said::Refuses { offered: *held, code, message }
            } else if self.runs.get(policy) == Some(held) {
                Said::Runs(*held)
            } else {
                Said::Busy
            };
            (*policy, said)
        });
        Word {
            node: self.name.clone(),
            generation: self.generation,
            said: said.collect(),
            counted: self.counted.clone(),
        }
    }

    /// It dies, and comes back with what is on disk and in the kernel.
    pub(crate) fn restart(&mut self, now: i64) {
        if self.wants.iter().any(|(policy, held)| self.runs.get(policy) != Some(held)) {
            self.refused.clear();
            self.done_at = Some(now + 2);
        }
        self.up = true;
    }
}
