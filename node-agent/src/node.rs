//! One host and everything needed to keep it at its desired state: takes offers, reconciles,
//! answers what runs. Does no networking and waits for nothing but disk and kernel. Refuses to
//! decide: `reconcile` does.

use crate::cache::Cache;
use crate::detached::{self, Detached};
use crate::envelope::{self, Seat};
use crate::evidence::Kept;
use crate::execute::execute;
use crate::fetch::FetchedBeside;
use crate::interfaces;
use crate::ledger::{Found, Ledger, LedgerError, Place, Store};
use crate::notices::Me;
use crate::observe::{self, Seen};
use crate::prepare::{FetchResult, Learned};
use crate::reconcile::{Decision, Failure, Running, View, Wish, decide, place_of};
use skep_api::v1::nodes::Refused;
use skep_api::v1::operators::RevokedHere;
use skep_api::v1::sync::Have;
use skep_artifact::digest::Digest;
use skep_artifact::name::Namespace;
use skep_chain_dispatcher::{Engine, ObserveError};
use skep_fleet::plan::{NeededPackage, Step};
use skep_fleet::selector::Labels;
use skep_fleet::{PolicyName, PolicyRevision};
use skep_trust::NodePolicy;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

mod log;
mod offer;
mod revoked;
mod settle;
mod summary;
mod timing;
mod trust;
mod wishes;

pub use summary::Summary;

/// Rounds of "decide, then do" in one pass: one for what is wanted, one for what runs instead when the kernel
/// refuses it, one that finds nothing left to do.
const ROUNDS_MAX: usize = 3;

/// Why a node could not be opened or a pass could not be made. What runs stays.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("The node's ledger could not be read or written.")]
    Ledger { source: LedgerError },
    #[error("What runs on this host could not be read.")]
    Observe { source: ObserveError },
    #[error("The network interfaces of this host could not be listed.")]
    Interfaces { source: interfaces::InterfaceError },
}

/// What a node is made from.
pub struct Parts {
    pub engine: Engine,
    pub policy: NodePolicy,
    pub me: Me,
    pub labels: Labels,
    pub state: PathBuf,
    pub cache: Cache,
}

/// One host.
pub struct Node {
    parts: Parts,
    store: Store,
    ledger: Ledger,
    /// The accepted revisions whose signatures verified when they were last looked at.
    revisions: BTreeMap<PolicyName, PolicyRevision>,
    /// Accepted revisions that no longer verify, for instance because an operator's key was taken out of the node's policy.
    unverified: BTreeMap<PolicyName, Refused>,
    offer: Offer,
    /// Digest of the set and the approvals that were looked at since the agent started.
    notices: Option<Digest>,
    failures: Vec<(Failure, Lasting)>,
    fetched: BTreeMap<NeededPackage, FetchResult>,
    offered_roles: BTreeMap<Namespace, Digest>,
    /// What came beside packages since, by their index, not yet verified with them.
    offered_evidence: BTreeMap<Digest, Kept>,
    /// Why the log is refused as it is shown now.
    log_refused: Option<Refused>,
    /// What the policies ask of each place, as last prepared; dropped when anything it follows from changes.
    prepared: Option<Prepared>,
    pass: Pass,
    trusting: trust::Trusting,
    notes: Vec<String>,
}

/// What became of the newest offered state.
#[derive(Debug, Default)]
struct Offer {
    seen: Option<Have>,
    refused: Vec<Refused>,
    omitted: Vec<PolicyName>,
    /// Policies that the signed set names for this node, and that the server left out or keeps too old.
    left_out: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    /// Only another chain will do.
    UntilChanged,
    /// The same chain may work later.
    Passing,
}

struct Prepared {
    interfaces: Vec<String>,
    wishes: Vec<Wish>,
    learned: Learned,
    /// Revoked content that policies ask for, and what becomes of it.
    revoked: Vec<RevokedHere>,
}

/// What a pass found and left.
#[derive(Debug, Default)]
pub struct Pass {
    pub decision: Decision,
    pub seen: Seen,
    pub interfaces: Vec<String>,
    /// Packages that must be fetched before everything wanted can run.
    pub missing: BTreeSet<NeededPackage>,
    /// The steps that were done.
    pub done: Vec<Step>,
}

impl Node {
    /// Opens a node: reads the ledger and verifies every accepted revision again.
    ///
    /// # Errors
    /// [`NodeError::Ledger`] when the disk refuses; a torn ledger is survived and noted.
    pub fn open(parts: Parts) -> Result<Self, NodeError> {
        let store = Store::new(&parts.state);
        let found = store.load().map_err(|source| NodeError::Ledger { source })?;
        let (ledger, note) = match found {
            Found::Nothing => (Ledger::default(), None),
            Found::Whole(ledger) => (ledger, None),
            Found::Before(ledger) => {
                (ledger, Some("The newest ledger was torn; the one before it is used."))
            }
            Found::Lost => (
                Ledger::default(),
                Some(
                    "The ledger is damaged beyond reading. What runs is left as it is until the server sends its state.",
                ),
            ),
        };
        if let Some(note) = note {
            tracing::warn!("{note}");
        }
        let mut node = Self {
            parts,
            store,
            ledger,
            revisions: BTreeMap::new(),
            unverified: BTreeMap::new(),
            offer: Offer::default(),
            notices: None,
            failures: Vec::new(),
            fetched: BTreeMap::new(),
            offered_roles: BTreeMap::new(),
            offered_evidence: BTreeMap::new(),
            log_refused: None,
            prepared: None,
            pass: Pass::default(),
            trusting: trust::Trusting::default(),
            notes: note.map(str::to_owned).into_iter().collect(),
        };
        node.verify_accepted();
        Ok(node)
    }

    /// What is remembered over restarts.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The newest state that was looked at since the agent started, accepted or not.
    #[must_use]
    pub fn seen(&self) -> Option<Have> {
        self.offer.seen
    }

    /// Takes note of what fetching a package came to.
    pub fn fetched(
        &mut self,
        package: NeededPackage,
        role: Option<(Namespace, Digest)>,
        beside: FetchedBeside,
        result: FetchResult,
    ) {
        self.offered_roles.extend(role);
        let result = result.and_then(|()| self.take_beside(&package, beside));
        self.fetched.insert(package, result);
        self.prepared = None;
    }

    /// Lets chains be tried again that failed for a reason that may have passed.
    pub fn forgive(&mut self) {
        self.failures.retain(|(_, lasting)| *lasting == Lasting::UntilChanged);
    }

    /// What a pass would do, without doing it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn plan(&mut self, now: i64) -> Result<Decision, NodeError> {
        let seen = self.look()?;
        self.prepare(&seen, self.trusted_time(now))?;
        Ok(self.decide(&seen))
    }

    /// Brings the host to its desired state as far as it will go: every place on its own, each all or nothing.
    ///
    /// # Errors
    /// [`NodeError`]; places that are done stay done.
    pub fn reconcile(&mut self, now: i64) -> Result<&Pass, NodeError> {
        let now = self.trusted_time(now);
        self.look_at_trust(now);
        let mut done = Vec::new();
        let mut seen = self.look()?;
        self.prepare(&seen, now)?;
        let mut decision = self.decide(&seen);
        for _ in 0..ROUNDS_MAX {
            if decision.steps.is_empty() {
                break;
            }
            for step in &decision.steps {
                if self.perform(step, now) {
                    done.push(step.clone());
                }
            }
            seen = self.look()?;
            self.prepare(&seen, now)?;
            decision = self.decide(&seen);
        }
        let prepared = self.prepared.as_ref();
        let interfaces = prepared.map(|p| p.interfaces.clone()).unwrap_or_default();
        let missing = prepared.map(|p| p.learned.missing.clone()).unwrap_or_default();
        self.pass = Pass { decision, seen, interfaces, missing, done };
        self.settle(now)?;
        self.forget_failures();
        Ok(&self.pass)
    }

    fn look(&self) -> Result<Seen, NodeError> {
        observe::look(&self.parts.engine).map_err(|source| NodeError::Observe { source })
    }

    fn generation(&self) -> u64 {
        self.ledger.newest.map_or(0, |have| have.generation.0)
    }

    fn decide(&self, seen: &Seen) -> Decision {
        // Without knowing what is wanted nothing may be called unwanted.
        let Some(prepared) = &self.prepared else { return Decision::default() };
        let known = self.known_policies();
        let failures: Vec<Failure> = self.failures.iter().map(|(f, _)| f.clone()).collect();
        let marked = match detached::load(&self.parts.state) {
            Ok(marked) => marked,
            Err(error) => {
                let notes = vec![format!("Nothing is changed on this host: {error}")];
                return Decision { notes, ..Decision::default() };
            }
        };
        let Detached { all, .. } = marked;
        // An interface that came or went between the two looks is left to the next pass.
        let there = |r: &&Running| prepared.interfaces.contains(&r.chain.interface);
        let running: Vec<Running> = seen.running.iter().filter(there).cloned().collect();
        let mut decision = decide(&View {
            wishes: &prepared.wishes,
            running: &running,
            failures: &failures,
            known: &known,
            newest: self.generation().max(self.ledger.operators.superseded),
            detached: &|place| marked.holds(place),
        });
        if all {
            decision.notes = vec![
                "Everything was detached by hand; `skep-agent resume` lets the agent attach again."
                    .to_owned(),
            ];
        }
        decision
    }

    /// Policies of which this node knows the newest state for certain.
    fn known_policies(&self) -> BTreeSet<PolicyName> {
        let floors = self.ledger.floors.revisions.keys().filter_map(|name| name.parse().ok());
        let mut known: BTreeSet<PolicyName> =
            floors.chain(self.ledger.accepted.keys().cloned()).collect();
        known.retain(|name| !self.unverified.contains_key(name));
        known
    }

    /// Does one step; gives whether it was done.
    fn perform(&mut self, step: &Step, now: i64) -> bool {
        let ready = self.ready_for(step, now);
        tracing::info!("{step}.");
        let result = execute(&self.parts.engine, step, ready.as_ref().map(|r| &r.chain));
        match (result, step) {
            (Ok(()), Step::SwapChain { .. }) => true,
            (Ok(()), Step::DetachChain { interface, hook }) => {
                self.ledger.good.remove(&Place { interface: interface.clone(), hook: *hook });
                true
            }
            (Err(error), _) => {
                tracing::warn!(code = error.refused().code, "{error}");
                if ready.is_none() {
                    // What was verified a moment ago does not verify now, so look at all of it again.
                    self.prepared = None;
                }
                if let Some(ready) = ready {
                    let lasting =
                        if error.is_passing() { Lasting::Passing } else { Lasting::UntilChanged };
                    let place = place_of(&ready.wanted);
                    let failure = Failure { place, tried: ready.wanted, refused: error.refused() };
                    self.failures.push((failure, lasting));
                }
                false
            }
        }
    }

    fn remember(&mut self, next: Ledger) -> Result<(), NodeError> {
        if next != self.ledger {
            self.store.write(&next).map_err(|source| NodeError::Ledger { source })?;
            self.ledger = next;
        }
        Ok(())
    }

    /// Who this node is in a rollout.
    fn seat(&self) -> Seat<'_> {
        Seat { name: &self.parts.me.name, labels: &self.parts.labels }
    }

    fn verify_accepted(&mut self) {
        let verified = envelope::verify_accepted(&self.parts.policy, &self.ledger, self.seat());
        self.revisions = verified.revisions;
        self.unverified = verified.refused;
        self.prepared = None;
    }
}
