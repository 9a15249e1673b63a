//! The fleet's control plane: policies in, desired state of every node out, nodes woken. Holds the
//! fleet in memory and writes every decision before it acts on it. Refuses to know HTTP and to
//! decide what may run: nodes verify the operators' signatures themselves.

pub mod documents;
mod enrol;
mod installs;
mod loaded;
mod offers;
mod replicas;

use crate::clock;
use crate::live::{Desired, Node, Offer};
use crate::secret::{NoRandomness, SecretHash};
use crate::server_key::ServerKey;
use crate::store::fleet_clock::FleetStamp;
use crate::store::nodes::WantedChange;
use crate::store::policies::StoredPolicy;
use crate::store::{Store, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use documents::{DocumentError, Held};
use loaded::{Loaded, Roster};
use offers::{HeldPolicy, Offers, Policies};
use skep_api::v1::nodes::{NodeDetail, NodeSummary};
use skep_api::v1::operators::Standing;
use skep_api::v1::policies::{ApplyReceipt, PolicyInfo};
use skep_api::v1::sync::{DESIRED_BYTES_MAX, POLICIES_MAX, Report};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{DsseError, Envelope, POLICY_PAYLOAD_TYPE};
use skep_artifact::name::{PackageName, Version};
use skep_fleet::ids::{Generation, NodeName, PolicyName};
use skep_fleet::policy::{PolicyError, PolicyRevision};
use skep_fleet::selector::LABELS_MAX;
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

/// Why the control plane did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("the envelope is not base64")]
    EnvelopeText,
    #[error("the envelope is refused")]
    Envelope { source: DsseError },
    #[error("the envelope holds '{found}', not a policy revision")]
    PayloadType { found: String },
    #[error("the policy revision is refused")]
    Revision { source: Box<PolicyError> },
    #[error("the policy names {package} {version}, which is not published here")]
    NoSuchPackage { package: PackageName, version: Version },
    #[error(transparent)]
    OtherIndex(Box<IndexMismatch>),
    #[error("policy {policy} wants to go to its nodes in waves, which this registry cannot do yet")]
    Waves { policy: PolicyName },
    #[error("policy {policy} is at revision {stored}; revision {found} is not newer")]
    Stale { policy: PolicyName, stored: u64, found: u64 },
    #[error(
        "node {node} would have {policies} policies of {bytes} bytes; at most {POLICIES_MAX} of {DESIRED_BYTES_MAX} bytes are allowed"
    )]
    TooMuch { node: NodeName, policies: usize, bytes: usize },
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("the assignment cannot be written")]
    Assignment { source: DsseError },
    #[error("the node token is refused")]
    TokenRefused,
    #[error("the name {name} is taken")]
    NameTaken { name: NodeName },
    #[error(
        "{found} labels, or one of more than {LABEL_BYTES_MAX} bytes; at most {LABELS_MAX} are allowed"
    )]
    Labels { found: usize },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// A policy that names other bytes under a published version's name.
#[derive(Debug, thiserror::Error)]
#[error("{package} {version} has index {published}, the policy names {named}")]
pub struct IndexMismatch {
    pub package: PackageName,
    pub version: Version,
    pub published: Digest,
    pub named: Digest,
}

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

    /// Stores a signed revision and wakes every node whose desired state it changes. The very
    /// bytes that are stored already are accepted again: an answer may have been lost.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn apply(&self, envelope: Vec<u8>, by: &str) -> Result<ApplyReceipt, ControlError> {
        let revision = read_revision(&envelope)?;
        self.check_packages(&revision).await?;
        let mut stamp = self.changing.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            self.catch_up(&mut stamp).await?;
            match self.try_apply(&revision, &envelope, by, &mut stamp).await {
                Err(ControlError::Store(StoreError::Moved)) => {}
                applied => return applied,
            }
        }
        Err(StoreError::Moved.into())
    }

    async fn try_apply(
        &self,
        revision: &PolicyRevision,
        envelope: &[u8],
        by: &str,
        stamp: &mut FleetStamp,
    ) -> Result<ApplyReceipt, ControlError> {
        let name = revision.name.clone();
        let mut policies = self.policies().clone();
        let found = revision.revision;
        if let Some(held) = policies.get(&name) {
            let stored = held.stored.revision.revision;
            if held.stored.envelope == envelope {
                let policy = name.to_string();
                return Ok(ApplyReceipt { policy, revision: found, nodes: Vec::new() });
            }
            if found <= stored {
                return Err(ControlError::Stale { policy: name, stored, found });
            }
        }
        let applied_at = clock::now();
        let stored = StoredPolicy {
            revision: revision.clone(),
            envelope: envelope.to_owned(),
            applied_at,
            applied_by: by.to_owned(),
        };
        policies.insert(name.clone(), HeldPolicy::new(stored.clone()));
        let wakes = self.wakes(&policies)?;
        let changes: Vec<WantedChange> = wakes
            .iter()
            .map(|(node, desired)| change(&node.name, desired.generation, &desired.offer))
            .collect();
        *stamp = self.store.put_wanted(Some(&stored), &changes, *stamp).await?;
        *write(&self.policies) = policies;
        for (node, desired) in &wakes {
            node.want(desired.clone());
        }
        let nodes: Vec<String> = wakes.iter().map(|(node, _)| node.name.to_string()).collect();
        tracing::info!(policy = %name, revision = found, nodes = nodes.len(), by,
            "policy {name} is at revision {found} and changes {} nodes", nodes.len());
        Ok(ApplyReceipt { policy: name.to_string(), revision: found, nodes })
    }

    /// Nodes for which these policies mean something else than what they have now.
    fn wakes(&self, policies: &Policies) -> Result<Vec<(Arc<Node>, Desired)>, ControlError> {
        let mut offers = Offers::default();
        let mut wakes = Vec::new();
        for node in self.roster().by_name.values() {
            let now = node.desired();
            let offer = offers.get(policies, &node.name, &node.labels, &now.offer.policies)?;
            if offer.digest != now.offer.digest {
                let generation = Generation(now.generation.0 + 1);
                wakes.push((node.clone(), Desired { generation, offer }));
            }
        }
        Ok(wakes)
    }

    async fn check_packages(&self, revision: &PolicyRevision) -> Result<(), ControlError> {
        for program in &revision.programs {
            let (package, version) = (program.package.clone(), program.version.clone());
            match self.store.version(&package, &version).await? {
                None => return Err(ControlError::NoSuchPackage { package, version }),
                Some(detail) if detail.summary.index != program.index => {
                    let published = detail.summary.index;
                    let mismatch =
                        IndexMismatch { package, version, published, named: program.index };
                    return Err(ControlError::OtherIndex(Box::new(mismatch)));
                }
                Some(_) => {}
            }
        }
        Ok(())
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
            fallback: Default::default(),
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

    /// Keeps a node's report.
    pub fn reported(&self, node: &Node, report: Report) {
        if let Some(change) = node.reported(report, clock::now()) {
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
                envelope: held.base64.clone(),
                applied_at: held.stored.applied_at,
                applied_by: held.stored.applied_by.clone(),
                nodes: selected.map(|node| node.name.to_string()).collect(),
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
        wanted: crate::store::nodes::Wanted { generation, digest: offer.digest },
        policies: offer.policies.iter().cloned().collect(),
    }
}

/// Reads what an operator signed. Whether the signature counts is for the nodes to say.
fn read_revision(envelope: &[u8]) -> Result<PolicyRevision, ControlError> {
    let envelope = Envelope::parse(envelope).map_err(|source| ControlError::Envelope { source })?;
    if envelope.payload_type() != POLICY_PAYLOAD_TYPE {
        let found = envelope.payload_type().chars().take(100).collect();
        return Err(ControlError::PayloadType { found });
    }
    let revision = PolicyRevision::from_json(envelope.unverified_payload())
        .map_err(|source| ControlError::Revision { source: Box::new(source) })?;
    match revision.rollout {
        // Its waves were signed: giving it to everybody at once is not what anybody wanted.
        Some(_) => Err(ControlError::Waves { policy: revision.name }),
        None => Ok(revision),
    }
}
