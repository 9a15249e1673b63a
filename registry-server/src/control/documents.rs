//! Policy sets, approvals and revocations: taken in, kept, and handed to nodes at once. Refuses to decide whether they
//! count: every node verifies them itself. What no node could read is not taken.

mod read;

use super::{ATTEMPTS_MAX, ControlError, Fleet};
use crate::clock;
use crate::store::documents::Document;
use crate::store::fleet_clock::FleetStamp;
use crate::store::{Store, StoreError};
pub use read::{check_publishers, revoked_package};
use read::{logged, read_approval, read_revocation, read_set};
use skep_api::v1::operators::{
    ApprovalInfo, Notices, NoticesSeen, PolicySetInfo, RevocationInfo, StoredSet,
};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::DsseError;
use skep_fleet::ids::PolicyName;
use skep_trust::{NotSigned, PolicySet};
use std::sync::Arc;
use tokio::sync::watch;

/// Approvals kept of one policy: as many as operators may have keys, for several waves.
pub const APPROVALS_MAX: usize = 256;
/// Revocations kept: what one node remembers at most.
pub const REVOCATIONS_MAX: usize = skep_trust::revocation::REVOCATIONS_MAX;
/// Revocations in one answer to a node: with the longest reason and 256 digests each, below 8 MiB.
const REVOCATIONS_AT_ONCE: usize = 256;

/// Why a document is not taken.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("the document is refused")]
    Envelope { source: DsseError },
    #[error("the document holds '{found}', not {wanted}")]
    PayloadType { found: String, wanted: &'static str },
    #[error("the document is refused")]
    Form { source: NotSigned },
    #[error("nobody signed the document")]
    Unsigned,
    #[error("the namespace's keys did not sign the revocation")]
    NotByPublisher { source: DsseError },
    #[error("this registry serves the environment {stored}, and the set is for {found}")]
    OtherEnvironment { stored: String, found: String },
    #[error(
        "the policy set is at epoch {epoch} version {version}; epoch {found_epoch} version {found} is not newer"
    )]
    SetStale { epoch: u64, version: u64, found_epoch: u64, found: u64 },
    #[error("there is no policy {policy}")]
    NoPolicy { policy: String },
    #[error("policy {policy} is at another revision than the one approved")]
    OtherRevision { policy: String },
    #[error("policy {policy} has {APPROVALS_MAX} approvals; no more are kept")]
    TooManyApprovals { policy: String },
    #[error("{REVOCATIONS_MAX} revocations are kept; no more are taken")]
    TooManyRevocations,
}

/// What nodes are told beside their policies.
#[derive(Debug, Default)]
pub struct Held {
    pub set: Option<HeldSet>,
    pub approvals: Vec<HeldApproval>,
    pub revocations: Vec<RevocationInfo>,
    /// Over set and approvals.
    digest: Option<Digest>,
}

/// The policy set as nodes get it.
#[derive(Debug, Clone)]
pub struct HeldSet {
    pub set: PolicySet,
    pub info: StoredSet,
}

/// An approval as nodes get it.
#[derive(Debug, Clone)]
pub struct HeldApproval {
    pub info: ApprovalInfo,
    envelope: Digest,
}

impl Held {
    pub(super) async fn load(store: &Store) -> Result<Self, StoreError> {
        let corrupt = |what| {
            move |error: DocumentError| StoreError::Corrupt { what, reason: error.to_string() }
        };
        let sets = store.policy_sets().await?;
        let set = sets.last().map(read_set).transpose().map_err(corrupt("policy set"))?;
        let approvals = store.approvals().await?;
        let approvals = approvals.iter().map(read_approval).collect::<Result<_, _>>();
        let revocations = store.revocations().await?;
        let revocations = revocations.iter().map(read_revocation).collect::<Result<_, _>>();
        let approvals = approvals.map_err(corrupt("approval"))?;
        let revocations = revocations.map_err(corrupt("revocation"))?;
        Ok(Self { set, approvals, revocations, digest: None }.counted())
    }

    fn counted(mut self) -> Self {
        let set = self.set.as_ref().map(|held| held.info.envelope.as_str());
        self.digest = Some(Notices::digest_of(set, &self.approval_texts()));
        self
    }

    fn approval_texts(&self) -> Vec<String> {
        self.approvals.iter().map(|held| held.info.envelope.clone()).collect()
    }

    /// Whether a node that has seen this has seen all.
    fn is_news_to(&self, seen: &NoticesSeen) -> bool {
        let revocations = u64::try_from(self.revocations.len()).unwrap_or(u64::MAX);
        seen.digest != self.digest || seen.revocations != revocations
    }

    /// What a node is told that has seen this much. Many revocations come in several answers.
    #[must_use]
    pub fn notices(&self, seen: &NoticesSeen) -> Notices {
        let all = self.revocations.len();
        // A node that has seen more than there are saw them before this server was restored.
        let from = usize::try_from(seen.revocations).ok().filter(|seen| *seen <= all).unwrap_or(0);
        let to = all.min(from + REVOCATIONS_AT_ONCE);
        let approvals = self.approval_texts();
        let set = self.set.as_ref().map(|held| held.info.envelope.clone());
        Notices {
            digest: Notices::digest_of(set.as_deref(), &approvals),
            set,
            approvals,
            revocations: self.revocations[from..to].iter().map(|r| r.envelope.clone()).collect(),
            revocations_in_all: u64::try_from(to).unwrap_or(u64::MAX),
        }
    }
}

/// Loads what nodes are told.
pub(super) async fn load(store: &Store) -> Result<watch::Sender<Arc<Held>>, StoreError> {
    Ok(watch::Sender::new(Arc::new(Held::load(store).await?)))
}

impl Fleet {
    /// What nodes are told beside their policies, now.
    #[must_use]
    pub fn held(&self) -> Arc<Held> {
        self.documents.borrow().clone()
    }

    /// Waits until there is something a node that has seen this has not.
    pub async fn news(&self, seen: &NoticesSeen) {
        let mut watch = self.documents.subscribe();
        // The sender lives as long as the fleet, so that this ends only with news.
        let _ = watch.wait_for(|held| held.is_news_to(seen)).await;
    }

    /// The policy set, and how far nodes are beyond it.
    #[must_use]
    pub fn policy_set(&self) -> PolicySetInfo {
        let mut info = PolicySetInfo::default();
        for standing in self.standings() {
            for (policy, revision) in standing.accepted {
                let highest = info.accepted.entry(policy).or_default();
                *highest = revision.max(*highest);
            }
            let epoch = standing.set.map_or(0, |set| set.epoch);
            info.epoch_accepted = epoch.max(info.epoch_accepted);
        }
        info.set = self.held().set.as_ref().map(|held| held.info.clone());
        info
    }

    /// Takes a signed policy set and tells every node. The very bytes that are held already are taken again.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn hand_in_set(
        &self,
        envelope: Vec<u8>,
        by: &str,
    ) -> Result<StoredSet, ControlError> {
        let document = Document { envelope, at: clock::now(), by: by.to_owned() };
        let found = read_set(&document)?;
        let mut stamp = self.changing.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            self.catch_up(&mut stamp).await?;
            match self.try_hand_in_set(&document, &found, &mut stamp).await {
                Err(ControlError::Store(StoreError::Moved)) => {}
                done => return done,
            }
        }
        Err(StoreError::Moved.into())
    }

    async fn try_hand_in_set(
        &self,
        document: &Document,
        found: &HeldSet,
        stamp: &mut FleetStamp,
    ) -> Result<StoredSet, ControlError> {
        if let Some(held) = &self.held().set {
            if held.info.envelope == found.info.envelope {
                return Ok(held.info.clone());
            }
            if held.set.environment != found.set.environment {
                let stored = held.set.environment.clone();
                let found = found.set.environment.clone();
                return Err(DocumentError::OtherEnvironment { stored, found }.into());
            }
            let (epoch, version) = (held.set.epoch, held.set.version);
            if (found.set.epoch, found.set.version) <= (epoch, version) {
                let (found_epoch, found) = (found.set.epoch, found.set.version);
                let stale = DocumentError::SetStale { epoch, version, found_epoch, found };
                return Err(stale.into());
            }
        }
        let PolicySet { environment, epoch, version, .. } = &found.set;
        let by = &document.by;
        *stamp = self.store.put_policy_set(environment, *epoch, *version, document, *stamp).await?;
        tracing::info!(
            environment,
            epoch,
            version,
            by,
            "policy set {version} of {environment} is in force"
        );
        self.tell(|held| held.set = Some(found.clone()));
        Ok(found.info.clone())
    }

    /// Takes a signed approval of a policy's newest revision and tells every node.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn approve(&self, envelope: Vec<u8>, by: &str) -> Result<ApprovalInfo, ControlError> {
        let document = Document { envelope, at: clock::now(), by: by.to_owned() };
        let found = read_approval(&document)?;
        let mut stamp = self.changing.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            self.catch_up(&mut stamp).await?;
            match self.try_approve(&document, &found, &mut stamp).await {
                Err(ControlError::Store(StoreError::Moved)) => {}
                done => return done,
            }
        }
        Err(StoreError::Moved.into())
    }

    async fn try_approve(
        &self,
        document: &Document,
        found: &HeldApproval,
        stamp: &mut FleetStamp,
    ) -> Result<ApprovalInfo, ControlError> {
        let policy = found.info.policy.clone();
        let newest = policy.parse().ok().and_then(|name: PolicyName| {
            self.policies()
                .get(&name)
                .map(|held| (held.newest.payload, held.stored.revision.revision))
        });
        let (newest, revision) =
            newest.ok_or_else(|| DocumentError::NoPolicy { policy: policy.clone() })?;
        if found.info.revision != newest {
            return Err(DocumentError::OtherRevision { policy }.into());
        }
        let held = self.held();
        let of_policy: Vec<&HeldApproval> =
            held.approvals.iter().filter(|approval| approval.info.policy == policy).collect();
        let (current, stale): (Vec<_>, Vec<_>) =
            of_policy.into_iter().partition(|approval| approval.info.revision == newest);
        if let Some(known) = current.iter().find(|known| known.envelope == found.envelope) {
            return Ok(known.info.clone());
        }
        if current.len() >= APPROVALS_MAX {
            return Err(DocumentError::TooManyApprovals { policy }.into());
        }
        let stale: Vec<Digest> = stale.into_iter().map(|approval| approval.envelope).collect();
        *stamp = self.store.put_approval((&policy, revision), document, &stale, *stamp).await?;
        self.tell(|held| {
            held.approvals.retain(|approval| !stale.contains(&approval.envelope));
            held.approvals.push(found.clone());
        });
        Ok(found.info.clone())
    }

    /// Takes a signed revocation, or the lift of one, and tells every node.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn revoke(
        &self,
        envelope: Vec<u8>,
        by: &str,
    ) -> Result<RevocationInfo, ControlError> {
        let document = Document { envelope, at: clock::now(), by: by.to_owned() };
        let found = read_revocation(&document)?;
        let mut stamp = self.changing.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            self.catch_up(&mut stamp).await?;
            match self.try_revoke(&document, &found, &mut stamp).await {
                Err(ControlError::Store(StoreError::Moved)) => {}
                done => return done,
            }
        }
        Err(StoreError::Moved.into())
    }

    async fn try_revoke(
        &self,
        document: &Document,
        found: &RevocationInfo,
        stamp: &mut FleetStamp,
    ) -> Result<RevocationInfo, ControlError> {
        let held = self.held();
        if let Some(known) = held.revocations.iter().find(|r| r.envelope == found.envelope) {
            return Ok(known.clone());
        }
        if held.revocations.len() >= REVOCATIONS_MAX {
            return Err(DocumentError::TooManyRevocations.into());
        }
        *stamp = self.store.add_revocation(document, logged(document)?, *stamp).await?;
        let (package, by) = (&found.package, &document.by);
        tracing::warn!(package, by, "{package} is revoked: {}", found.reason);
        self.tell(|held| held.revocations.push(found.clone()));
        Ok(found.clone())
    }

    fn tell(&self, change: impl FnOnce(&mut Held)) {
        self.documents.send_modify(|held| {
            let Held { set, approvals, revocations, digest } = &**held;
            let mut next = Held {
                set: set.clone(),
                approvals: approvals.clone(),
                revocations: revocations.clone(),
                digest: *digest,
            };
            change(&mut next);
            *held = Arc::new(next.counted());
        });
    }
}
