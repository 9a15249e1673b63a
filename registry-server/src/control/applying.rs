//! Taking a signed revision in: read, checked against what is published, stored with what it changes on nodes, and
//! then told to them, in waves where it is signed with waves. Refuses to decide whether a signature counts.

use super::offers::HeldPolicy;
use super::rollouts::changes_of;
use super::{ATTEMPTS_MAX, ControlError, Fleet, IndexMismatch, write};
use crate::clock;
use crate::store::StoreError;
use crate::store::fleet_clock::FleetStamp;
use crate::store::policies::StoredPolicy;
use skep_api::v1::policies::ApplyReceipt;
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{Envelope, POLICY_PAYLOAD_TYPE};
use skep_fleet::policy::PolicyRevision;

/// A revision that was read, and the bytes it was read from.
struct Given {
    revision: PolicyRevision,
    envelope: Vec<u8>,
    /// Of the signed bytes.
    payload: Digest,
}

impl Fleet {
    /// Stores a signed revision. Without waves it goes to every node that it changes, at once; with waves its rollout
    /// begins. The very bytes that are stored already are accepted again: an answer may have been lost.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn apply(&self, envelope: Vec<u8>, by: &str) -> Result<ApplyReceipt, ControlError> {
        let given = read_revision(envelope)?;
        self.check_packages(&given.revision).await?;
        let mut stamp = self.changing.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            self.catch_up(&mut stamp).await?;
            match self.try_apply(&given, by, &mut stamp).await {
                Err(ControlError::Store(StoreError::Moved)) => {}
                applied => return applied,
            }
        }
        Err(StoreError::Moved.into())
    }

    async fn try_apply(
        &self,
        given: &Given,
        by: &str,
        stamp: &mut FleetStamp,
    ) -> Result<ApplyReceipt, ControlError> {
        let Given { revision, envelope, payload } = given;
        let name = revision.name.clone();
        let mut policies = self.policies().clone();
        let found = revision.revision;
        let before = policies.get(&name).cloned();
        if let Some(held) = &before {
            let stored = held.stored.revision.revision;
            if held.stored.envelope == *envelope {
                let (policy, nodes) = (name.to_string(), Vec::new());
                return Ok(ApplyReceipt { policy, revision: found, nodes, waves: held.waves() });
            }
            if found <= stored {
                return Err(ControlError::Stale { policy: name, stored, found });
            }
        }
        let stored = StoredPolicy {
            revision: revision.clone(),
            envelope: envelope.clone(),
            applied_at: clock::now(),
            applied_by: by.to_owned(),
            rollout: None,
            earlier: Vec::new(),
        };
        let (stored, rollouts) = self.with_rollout(stored, *payload, before.as_ref())?;
        let held = HeldPolicy::new(stored.clone());
        let waves = held.waves();
        policies.insert(name.clone(), held);
        let wakes = self.wakes(&policies)?;
        let changes = changes_of(&wakes);
        *stamp = self.store.put_wanted(Some(&stored), &rollouts, &changes, *stamp).await?;
        *write(&self.policies) = policies;
        for (node, desired) in &wakes {
            node.want(desired.clone());
        }
        let nodes: Vec<String> = wakes.iter().map(|(node, _)| node.name.to_string()).collect();
        tracing::info!(policy = %name, revision = found, nodes = nodes.len(), waves, by,
            "policy {name} is at revision {found} and changes {} nodes", nodes.len());
        Ok(ApplyReceipt { policy: name.to_string(), revision: found, nodes, waves })
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
}

/// Reads what an operator signed. Whether the signature counts is for the nodes to say.
fn read_revision(bytes: Vec<u8>) -> Result<Given, ControlError> {
    let envelope = Envelope::parse(&bytes).map_err(|source| ControlError::Envelope { source })?;
    if envelope.payload_type() != POLICY_PAYLOAD_TYPE {
        let found = envelope.payload_type().chars().take(100).collect();
        return Err(ControlError::PayloadType { found });
    }
    let revision = PolicyRevision::from_json(envelope.unverified_payload())
        .map_err(|source| ControlError::Revision { source: Box::new(source) })?;
    let payload = Digest::of(envelope.unverified_payload());
    Ok(Given { revision, envelope: bytes, payload })
}
