//! One node as the running server holds it: who it is, what is wanted of it, what it last said.
//! Refuses to know selectors and SQL.

use crate::node_state::{Known, Refusal};
use crate::secret::SecretHash;
use crate::store::nodes::{Sighting, StoredNode, Wanted};
use serde_json::value::RawValue;
use skep_api::v1::chains::MemberStatus;
use skep_api::v1::nodes::{NodeDetail, NodeSummary};
use skep_api::v1::operators::Standing;
use skep_api::v1::sync::{Have, Report};
use skep_artifact::digest::Digest;
use skep_artifact::name::{PackageName, Version};
use skep_fleet::ids::{Generation, NodeName, PolicyName};
use skep_fleet::rollout::kernel_class;
use skep_fleet::selector::Labels;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A list of envelopes that any number of nodes are offered: serialised once.
#[derive(Debug)]
pub struct Offer {
    /// Of the envelopes: what nodes compare.
    pub digest: Digest,
    /// Of the envelopes, of what is chosen among them and how often it was tried: what tells two wishes apart.
    pub choice: Digest,
    pub policies: BTreeSet<PolicyName>,
    /// JSON array of base64 texts.
    pub envelopes: Box<RawValue>,
    /// Digests of the signed bytes in them.
    pub revisions: BTreeSet<Digest>,
    /// Those of them whose signed fallback runs instead.
    pub fallback: BTreeSet<Digest>,
}

/// What one node should look at.
#[derive(Debug, Clone)]
pub struct Desired {
    pub generation: Generation,
    pub offer: Arc<Offer>,
}

impl Desired {
    /// Number and content, as they are stored.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        Wanted { generation: self.generation, digest: self.offer.choice }
    }

    fn is(&self, have: Option<Have>) -> bool {
        have.is_some_and(|h| (h.generation, h.digest) == (self.generation, self.offer.digest))
    }
}

/// An enrolled node. Its identity never changes; enrolling again makes a new one of these.
pub struct Node {
    pub name: NodeName,
    pub instance: SecretHash,
    pub credential: SecretHash,
    pub node_token: String,
    pub labels: Labels,
    desired: watch::Sender<Desired>,
    live: Mutex<Live>,
}

#[derive(Clone, Default)]
struct Live {
    last_seen_at: Option<i64>,
    wait_secs: Option<u32>,
    polls: u32,
    report: Option<(Report, i64)>,
    seen_changed: bool,
    report_changed: bool,
}

/// A poll that is parked here; ends when it is dropped.
pub struct Parked<'n> {
    node: &'n Node,
    clock: fn() -> i64,
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        let now = (self.clock)();
        let mut live = self.node.live();
        live.polls = live.polls.saturating_sub(1);
        live.last_seen_at = Some(now);
        live.seen_changed = true;
    }
}

impl Node {
    /// A node as the database has it, with what is wanted of it now.
    #[must_use]
    pub fn new(stored: StoredNode, desired: Desired) -> Self {
        let live =
            Live { last_seen_at: stored.last_seen_at, report: stored.report, ..Live::default() };
        Self {
            name: stored.name,
            instance: stored.instance,
            credential: stored.credential,
            node_token: stored.node_token,
            labels: stored.labels,
            desired: watch::Sender::new(desired),
            live: Mutex::new(live),
        }
    }

    /// Takes over what the earlier enrolment of the same node last said.
    pub fn inherit(&self, earlier: &Self) {
        let before = earlier.live().clone();
        *self.live() = Live { polls: 0, ..before };
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wanted now.
    #[must_use]
    pub fn desired(&self) -> Desired {
        self.desired.borrow().clone()
    }

    /// Replaces what is wanted and wakes the node's parked poll.
    pub fn want(&self, desired: Desired) {
        self.desired.send_replace(desired);
    }

    /// Notes a poll that begins now.
    pub fn park(&self, wait_secs: u32, clock: fn() -> i64) -> Parked<'_> {
        let now = clock();
        let mut live = self.live();
        live.polls += 1;
        live.wait_secs = Some(live.wait_secs.unwrap_or(0).max(wait_secs));
        live.last_seen_at = Some(now);
        live.seen_changed = true;
        drop(live);
        Parked { node: self, clock }
    }

    /// Waits until something other than `have` is wanted. Costs a parked future and nothing else.
    /// `None` when this identity was replaced by a newer enrolment.
    pub async fn other_than(&self, have: Option<Have>) -> Option<Desired> {
        let mut watch = self.desired.subscribe();
        let changed = watch.wait_for(|desired| !desired.is(have)).await;
        changed.ok().map(|desired| desired.clone())
    }

    /// Keeps the newest report. Returns the packages it ran before and runs now, when they differ.
    pub fn reported(&self, report: Report, now: i64, worth: Worth) -> Option<PackageChange> {
        let after = packages_of(&report);
        let mut live = self.live();
        live.last_seen_at = Some(now);
        live.seen_changed = true;
        let same = |before: &Report| worth == Worth::News && says_the_same(before, &report);
        let news = live.report.as_ref().is_none_or(|(before, _)| !same(before));
        let before = live.report.as_ref().map(|(r, _)| packages_of(r)).unwrap_or_default();
        live.report_changed |= news;
        live.report = Some((report, now));
        (before != after).then_some(PackageChange { before, after })
    }

    /// Takes over what another server heard of it, where that is newer. Returns like
    /// [`Node::reported`].
    pub fn heard_elsewhere(
        &self,
        last_seen_at: i64,
        report: Option<(Report, i64)>,
    ) -> Option<PackageChange> {
        let mut live = self.live();
        live.last_seen_at = live.last_seen_at.max(Some(last_seen_at));
        let (report, at) = report?;
        // One second of the node's life may hold two reports: of those the later number counts.
        let order = |report: &Report, at: i64| (at, report.seq);
        let newer = live.report.as_ref().is_none_or(|(r, t)| order(r, *t) < order(&report, at));
        if !newer {
            return None;
        }
        let after = packages_of(&report);
        let before = live.report.as_ref().map(|(r, _)| packages_of(r)).unwrap_or_default();
        live.report = Some((report, at));
        (before != after).then_some(PackageChange { before, after })
    }

    /// The packages it runs by its last report.
    #[must_use]
    pub fn packages(&self) -> BTreeSet<PackageName> {
        self.live().report.as_ref().map(|(report, _)| packages_of(report)).unwrap_or_default()
    }

    /// The versions of a package it runs by its last report.
    #[must_use]
    pub fn versions_of(&self, package: &PackageName) -> BTreeSet<Version> {
        let live = self.live();
        let members = live.report.iter().flat_map(|(r, _)| &r.chains).flat_map(|c| &c.members);
        members.filter(|m| m.package == *package).map(|m| m.version.clone()).collect()
    }

    /// Kernels that verify like its own; empty before its first report.
    #[must_use]
    pub fn kernel_class(&self) -> String {
        let live = self.live();
        let facts = live.report.as_ref().map(|(report, _)| &report.facts);
        facts.map_or_else(String::new, |facts| kernel_class(&facts.kernel, &facts.arch))
    }

    /// The members of a policy that run on it, by its last report.
    #[must_use]
    pub fn members_of(&self, policy: &str) -> Vec<MemberStatus> {
        let live = self.live();
        let chains = live.report.iter().flat_map(|(report, _)| &report.chains);
        chains.flat_map(|c| &c.members).filter(|m| m.policy == policy).cloned().collect()
    }

    /// What has to be written of it, when anything has; asking takes it.
    pub fn take_sighting(&self) -> Option<Sighting> {
        let mut live = self.live();
        let last_seen_at = live.last_seen_at.filter(|_| live.seen_changed)?;
        live.seen_changed = false;
        let report = std::mem::take(&mut live.report_changed).then(|| live.report.clone());
        Some(Sighting { node: self.name.clone(), last_seen_at, report: report.flatten() })
    }

    /// Gives a sighting back that could not be written, so that it is tried again.
    pub fn return_sighting(&self, sighting: &Sighting) {
        let mut live = self.live();
        live.seen_changed = true;
        live.report_changed |= sighting.report.is_some();
    }

    /// How it stands to what operators signed, by its last report.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.live().report.as_ref().and_then(|(report, _)| report.standing.clone())
    }

    /// Its row of the node list.
    #[must_use]
    pub fn summary(&self, started_at: i64, now: i64) -> NodeSummary {
        let wanted = self.desired.borrow().generation;
        summary(self, &self.live(), wanted, started_at, now)
    }

    /// Everything known of it.
    #[must_use]
    pub fn detail(&self, started_at: i64, now: i64) -> NodeDetail {
        let wanted = self.desired.borrow().generation;
        let live = self.live();
        let report = live.report.as_ref();
        NodeDetail {
            summary: summary(self, &live, wanted, started_at, now),
            facts: report.map(|(r, _)| r.facts.clone()).unwrap_or_default(),
            chains: report.map(|(r, _)| r.chains.clone()).unwrap_or_default(),
            notes: report.map(|(r, _)| r.notes.clone()).unwrap_or_default(),
            log: report.and_then(|(r, _)| r.log.clone()),
            standing: report.and_then(|(r, _)| r.standing.clone()),
            reported_at: report.map(|(_, at)| *at),
            now,
        }
    }
}

/// What of a report is worth a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// What it says beside its counters.
    News,
    /// What was counted as well: another server judges a rollout by it.
    Counters,
}

/// How the set of packages a node runs changed.
pub struct PackageChange {
    pub before: BTreeSet<PackageName>,
    pub after: BTreeSet<PackageName>,
}

fn summary(node: &Node, live: &Live, wanted: Generation, started_at: i64, now: i64) -> NodeSummary {
    let report = live.report.as_ref().map(|(report, _)| report);
    let generation = |have: Option<Have>| have.map(|h| h.generation).unwrap_or_default();
    let applied = generation(report.and_then(|r| r.applied));
    let refusal = report.and_then(|r| r.refusal.clone());
    let known = Known {
        started_at,
        last_seen_at: live.last_seen_at,
        wait_secs: live.wait_secs,
        polling: live.polls > 0,
        wanted,
        seen: generation(report.and_then(|r| r.seen)),
        applied,
        refusal: if refusal.is_some() { Refusal::Reported } else { Refusal::None },
    };
    NodeSummary {
        name: node.name.clone(),
        state: known.state(now),
        labels: node.labels.clone(),
        kernel: report.map(|r| r.facts.kernel.clone()).unwrap_or_default(),
        arch: report.map(|r| r.facts.arch.clone()).unwrap_or_default(),
        chains: report.map_or(0, |r| u32::try_from(r.chains.len()).unwrap_or(u32::MAX)),
        wanted_generation: wanted,
        applied_generation: applied,
        last_seen_at: live.last_seen_at,
        refusal,
        interfaces: report.map(|r| r.facts.interfaces.clone()).unwrap_or_default(),
    }
}

fn packages_of(report: &Report) -> BTreeSet<PackageName> {
    report.chains.iter().flat_map(|c| &c.members).map(|m| m.package.clone()).collect()
}

/// Whether two reports differ in nothing but counters and their own number: then the later one is
/// not worth a write.
fn says_the_same(before: &Report, after: &Report) -> bool {
    let bare = |report: &Report| {
        let mut report = Report { seq: 0, ..report.clone() };
        for member in report.chains.iter_mut().flat_map(|c| &mut c.members) {
            member.counters = skep_api::v1::chains::MemberCounters::default();
        }
        report
    };
    bare(before) == bare(after)
}
