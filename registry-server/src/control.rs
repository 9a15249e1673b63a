//! The fleet's control plane: policies in, desired state of every node out, nodes woken. Holds the
//! fleet in memory and writes every decision before it acts on it. Refuses to know HTTP and to
//! decide what may run: nodes verify the operators' signatures themselves.

mod applying;
pub mod documents;
mod enrol;
mod error;
mod installs;
mod loaded;
mod offers;
mod replicas;
pub mod rollouts;

pub use error::{ControlError, IndexMismatch};

use crate::clock;
use crate::live::{Desired, Node, Offer, Worth};
use crate::secret::SecretHash;
use crate::server_key::ServerKey;
use crate::store::fleet_clock::FleetStamp;
use crate::store::nodes::WantedChange;
use crate::store::{Store, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use documents::Held;
use loaded::{Loaded, Roster};
use offers::{HeldPolicy, Offers, Policies};
use skep_api::v1::nodes::{NodeDetail, NodeSummary};
use skep_api::v1::operators::Standing;
use skep_api::v1::policies::PolicyInfo;
use skep_api::v1::sync::Report;
use skep_artifact::digest::Digest;
use skep_artifact::name::PackageName;
use skep_fleet::ids::{Generation, NodeName};
use skep_trust::Assignment;
use skep_trust::assignment::ASSIGNMENT_SECS_MAX;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{Mutex, watch};

/// How often a change is decided anew because another server was faster each time. One of them gets
/// through each time, so a queue of this many servers is served.
const ATTEMPTS_MAX: usize = 16;
/// Longest label key and value in bytes: a DNS name fits.
pub const LABEL_BYTES_MAX: usize = 253;

/// The fleet of this registry.
pub struct Fleet {
    store: Store,
    started_at: i64,
    roster: RwLock<Roster>,
    policies: RwLock<Policies>,
    installs: RwLock<HashMap<PackageName, u64>>,
    /// What nodes are told beside their policies.
    documents: watch::Sender<Arc<Held>>,
    key: ServerKey,
    /// Changes to policies and enrolments go one after the other. Holds the newest change that the
    /// rest of this is made of.
    changing: Mutex<FleetStamp>,
}

impl Fleet {
    /// Loads the fleet and completes what a crash may have left: a node whose desired state is not
    /// what the policies say gets the next generation.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    pub async fn load(store: Store, key: ServerKey) -> Result<Self, ControlError> {
        let mut attempts = 1;
        let Loaded { stamp, policies, roster } = loop {
            match Loaded::from(&store).await {
                Err(ControlError::Store(StoreError::Moved)) if attempts < ATTEMPTS_MAX => {
                    attempts += 1;
                }
                loaded => break loaded?,
            }
        };
        let mut installs = HashMap::new();
        for package in roster.by_name.values().flat_map(|node| node.packages()) {
            *installs.entry(package).or_default() += 1;
        }
        Ok(Self {
            documents: documents::load(&store).await?,
            store,
            key,
            started_at: clock::now(),
            roster: RwLock::new(roster),
            policies: RwLock::new(policies),
            installs: RwLock::new(installs),
            changing: Mutex::new(stamp),
        })
    }

    /// Nodes for which these policies mean something else than what they have now.
    fn wakes(&self, policies: &Policies) -> Result<Vec<(Arc<Node>, Desired)>, ControlError> {
        let mut offers = Offers::default();
        let mut wakes = Vec::new();
        for node in self.roster().by_name.values() {
            let now = node.desired();
            let offer = offers.get(policies, &node.name, &node.labels, &now.offer.policies)?;
            if offer.choice != now.offer.choice {
                let generation = Generation(now.generation.0 + 1);
                wakes.push((node.clone(), Desired { generation, offer }));
            }
        }
        Ok(wakes)
    }

    /// What the server's online key says to a node about what it is offered: an envelope in base64.
    ///
    /// # Errors
    /// [`ControlError::Assignment`].
    pub fn assign(&self, node: &NodeName, desired: &Desired) -> Result<String, ControlError> {
        let held = self.held();
        let set = held.set.as_ref().map(|held| &held.set);
        let issued_at = clock::now();
        let assignment = Assignment {
            node: node.to_string(),
            epoch: set.map_or(1, |set| set.epoch),
            generation: desired.generation.0,
            set: set.map(|set| set.version),
            revisions: desired.offer.revisions.clone(),
            fallback: desired.offer.fallback.clone(),
            issued_at,
            expires_at: issued_at.saturating_add(ASSIGNMENT_SECS_MAX),
        };
        let envelope =
            self.key.assign(&assignment).map_err(|source| ControlError::Assignment { source })?;
        Ok(BASE64.encode(envelope))
    }

    /// How every node stands to what operators signed, by its last report.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.roster().by_name.values().filter_map(|node| node.standing()).collect()
    }

    /// Keeps a node's report. What it counted is worth a write only where another server may drive a rollout that
    /// looks at it.
    pub fn reported(&self, node: &Node, report: Report) {
        let counters = self.store.is_shared() && self.is_watched(&node.name);
        let worth = if counters { Worth::Counters } else { Worth::News };
        if let Some(change) = node.reported(report, clock::now(), worth) {
            self.count_installs(&change);
        }
    }

    /// The node with this credential.
    #[must_use]
    pub fn node_with(&self, credential: &SecretHash) -> Option<Arc<Node>> {
        let node = self.roster().by_credential.get(credential.as_bytes()).cloned()?;
        node.credential.same_as(credential).then_some(node)
    }

    /// All nodes, by name.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeSummary> {
        let now = clock::now();
        self.roster().by_name.values().map(|node| node.summary(self.started_at, now)).collect()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<NodeDetail> {
        let node = self.roster().by_name.get(name).cloned()?;
        Some(node.detail(self.started_at, clock::now()))
    }

    /// How many nodes are enrolled.
    #[must_use]
    pub fn size(&self) -> usize {
        self.roster().by_name.len()
    }

    /// Every policy with the nodes it selects now.
    #[must_use]
    pub fn policy_list(&self) -> Vec<PolicyInfo> {
        let roster = self.roster();
        let info = |held: &Arc<HeldPolicy>| {
            let selected = roster.by_name.values().filter(|node| held.selects(&node.labels));
            PolicyInfo {
                revision: held.stored.revision.clone(),
                digest: Digest::of(&held.stored.envelope),
                envelope: held.newest.base64.clone(),
                applied_at: held.stored.applied_at,
                applied_by: held.stored.applied_by.clone(),
                nodes: selected.map(|node| node.name.to_string()).collect(),
                lowest: held.lowest(),
                rolled_back: held.went_back(),
            }
        };
        self.policies().values().map(info).collect()
    }

    /// Writes who was heard of and what they said, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; it is tried again next time.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let nodes: Vec<Arc<Node>> = self.roster().by_name.values().cloned().collect();
        let heard: Vec<_> = nodes
            .iter()
            .filter_map(|node| node.take_sighting().map(|sighting| (node, sighting)))
            .collect();
        if heard.is_empty() {
            return Ok(());
        }
        let (nodes, sightings): (Vec<_>, Vec<_>) = heard.into_iter().unzip();
        let written = self.store.put_sightings(&sightings).await;
        if written.is_err() {
            nodes.iter().zip(&sightings).for_each(|(node, s)| node.return_sighting(s));
        }
        written
    }

    fn roster(&self) -> RwLockReadGuard<'_, Roster> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn policies(&self) -> RwLockReadGuard<'_, Policies> {
        self.policies.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn change(node: &NodeName, generation: Generation, offer: &Offer) -> WantedChange {
    WantedChange {
        node: node.clone(),
        wanted: crate::store::nodes::Wanted { generation, digest: offer.choice },
        policies: offer.policies.iter().cloned().collect(),
    }
}
