//! The newest revision of each policy, and what belongs to it. Refuses to know which nodes it is for.

use super::rollouts::{Beside, StoredRollout, beside};
use super::{Store, StoreError, failed};
use skep_artifact::digest::Digest;
use skep_artifact::log::{Entry, Event};
use skep_fleet::policy::PolicyRevision;
use sqlx::AnyConnection;

/// A revision as it was handed in.
#[derive(Debug, Clone)]
pub struct StoredPolicy {
    pub revision: PolicyRevision,
    /// The envelope's bytes.
    pub envelope: Vec<u8>,
    pub applied_at: i64,
    pub applied_by: String,
    /// How it goes to its nodes; absent when it goes to all at once.
    pub rollout: Option<StoredRollout>,
    /// Revisions before it that some node may still have, the oldest first, without what belongs to them.
    pub earlier: Vec<StoredPolicy>,
}

impl StoredPolicy {
    /// What the log says of it. A removal is a revision, too.
    pub(super) fn logged(&self) -> Entry {
        let event = Event::Policy {
            what: "revision".to_owned(),
            name: self.revision.name.to_string(),
            revision: self.revision.revision,
            envelope: Digest::of(&self.envelope),
        };
        Entry { at: self.applied_at, event }
    }
}

#[derive(sqlx::FromRow)]
struct PolicyRow {
    envelope: Vec<u8>,
    payload: Vec<u8>,
    applied_at: i64,
    applied_by: String,
}

impl Store {
    /// The newest revision of every policy, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn policies(&self) -> Result<Vec<StoredPolicy>, StoreError> {
        let mut look = self.look().await?;
        // Stamps begin at nothing.
        let policies = policies_after(&mut look, -1).await?;
        look.rollback().await.map_err(failed("end a look"))?;
        Ok(policies)
    }
}

/// Policies that were changed after a stamp of the fleet, each with its rollout and the revisions before it.
pub(super) async fn policies_after(
    look: &mut AnyConnection,
    stamp: i64,
) -> Result<Vec<StoredPolicy>, StoreError> {
    let select = "SELECT envelope, payload, applied_at, applied_by FROM policies \
         WHERE stamp > $1 ORDER BY name";
    let rows: Vec<PolicyRow> = sqlx::query_as(select)
        .bind(stamp)
        .fetch_all(&mut *look)
        .await
        .map_err(failed("list changed policies"))?;
    let mut beside = beside(look, stamp).await?;
    rows.into_iter().map(|row| row.read(&mut beside)).collect()
}

impl PolicyRow {
    fn read(self, beside: &mut Beside) -> Result<StoredPolicy, StoreError> {
        let revision = PolicyRevision::from_json(&self.payload)
            .map_err(|e| StoreError::Corrupt { what: "policy", reason: e.to_string() })?;
        let Self { envelope, applied_at, applied_by, .. } = self;
        let name = revision.name.as_str();
        let rollout = beside.rollouts.remove(name);
        let earlier = beside.earlier.remove(name).unwrap_or_default();
        Ok(StoredPolicy { revision, envelope, applied_at, applied_by, rollout, earlier })
    }
}
