//! Policy sets, approvals and revocations as they were handed in. Refuses to know what they say.

use super::fleet_clock::{FleetStamp, tick_documents};
use super::log::append;
use super::{Store, StoreError, failed, signed};
use skep_artifact::digest::Digest;
use skep_artifact::log::{Entry, Event};

/// What the log says of an operator's document.
fn logged(what: &str, name: &str, revision: u64, document: &Document) -> Entry {
    let event = Event::Policy {
        what: what.to_owned(),
        name: name.to_owned(),
        revision,
        envelope: Digest::of(&document.envelope),
    };
    Entry { at: document.at, event }
}

/// A signed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The envelope's bytes.
    pub envelope: Vec<u8>,
    pub at: i64,
    pub by: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    envelope: Vec<u8>,
    given_at: i64,
    given_by: String,
}

impl Row {
    fn read(self) -> Document {
        let Self { envelope, given_at: at, given_by: by } = self;
        Document { envelope, at, by }
    }
}

impl Store {
    /// The newest policy set of every environment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn policy_sets(&self) -> Result<Vec<Document>, StoreError> {
        let select = "SELECT envelope, applied_at AS given_at, applied_by AS given_by FROM policy_sets \
             ORDER BY applied_at, environment";
        self.documents(select, "list policy sets").await
    }

    /// Every approval, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn approvals(&self) -> Result<Vec<Document>, StoreError> {
        let select = "SELECT envelope, approved_at AS given_at, approved_by AS given_by FROM approvals \
             ORDER BY approved_at, policy, digest";
        self.documents(select, "list approvals").await
    }

    /// Every revocation, in the order they came.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revocations(&self) -> Result<Vec<Document>, StoreError> {
        let select = "SELECT envelope, revoked_at AS given_at, revoked_by AS given_by FROM revocations \
             ORDER BY number";
        self.documents(select, "list revocations").await
    }

    async fn documents(
        &self,
        select: &'static str,
        what: &'static str,
    ) -> Result<Vec<Document>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as(select).fetch_all(&self.read).await.map_err(failed(what))?;
        Ok(rows.into_iter().map(Row::read).collect())
    }

    /// Replaces the policy set of an environment, if nothing of the fleet changed after `since`; the log says so, and when
    /// an epoch begins with it.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when something did; [`StoreError`].
    pub async fn put_policy_set(
        &self,
        environment: &str,
        epoch: u64,
        version: u64,
        set: &Document,
        since: FleetStamp,
    ) -> Result<FleetStamp, StoreError> {
        let mut change = self.begin().await?;
        let stamp = tick_documents(&mut change, since).await?;
        let before: Option<i64> =
            sqlx::query_scalar("SELECT epoch FROM policy_sets WHERE environment = $1")
                .bind(environment)
                .fetch_optional(&mut *change)
                .await
                .map_err(failed("read the epoch"))?;
        let put = "INSERT INTO policy_sets \
             (environment, epoch, version, envelope, applied_at, applied_by) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (environment) DO UPDATE SET \
             epoch = excluded.epoch, version = excluded.version, envelope = excluded.envelope, \
             applied_at = excluded.applied_at, applied_by = excluded.applied_by";
        sqlx::query(put)
            .bind(environment)
            .bind(signed("epoch", epoch)?)
            .bind(signed("version", version)?)
            .bind(&set.envelope[..])
            .bind(set.at)
            .bind(&set.by)
            .execute(&mut *change)
            .await
            .map_err(failed("write a policy set"))?;
        append(&mut change, &logged("set", environment, version, set)).await?;
        // Generations begin at epoch 1 without anybody saying so.
        if signed("epoch", epoch)? != before.unwrap_or(1) {
            append(&mut change, &logged("epoch", environment, epoch, set)).await?;
        }
        change.commit().await.map_err(failed("commit a policy set"))?;
        Ok(stamp)
    }

    /// Keeps an approval of a policy's newest revision, and forgets those of revisions before it, if nothing of the
    /// fleet changed after `since`.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when something did; [`StoreError`].
    pub async fn put_approval(
        &self,
        (policy, revision): (&str, u64),
        approval: &Document,
        stale: &[Digest],
        since: FleetStamp,
    ) -> Result<FleetStamp, StoreError> {
        let mut change = self.begin().await?;
        let stamp = tick_documents(&mut change, since).await?;
        for digest in stale {
            sqlx::query("DELETE FROM approvals WHERE policy = $1 AND digest = $2")
                .bind(policy)
                .bind(&digest.as_bytes()[..])
                .execute(&mut *change)
                .await
                .map_err(failed("forget an approval"))?;
        }
        let put = "INSERT INTO approvals (policy, digest, envelope, approved_at, approved_by) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (policy, digest) DO NOTHING";
        let put = sqlx::query(put)
            .bind(policy)
            .bind(&Digest::of(&approval.envelope).as_bytes()[..])
            .bind(&approval.envelope[..])
            .bind(approval.at)
            .bind(&approval.by)
            .execute(&mut *change)
            .await
            .map_err(failed("write an approval"))?;
        if put.rows_affected() > 0 {
            append(&mut change, &logged("approval", policy, revision, approval)).await?;
        }
        change.commit().await.map_err(failed("commit an approval"))?;
        Ok(stamp)
    }

    /// Appends a revocation, with what the log says of it, if nothing of the fleet changed after `since`.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when something did; [`StoreError`].
    pub async fn add_revocation(
        &self,
        revocation: &Document,
        event: Event,
        since: FleetStamp,
    ) -> Result<FleetStamp, StoreError> {
        let mut change = self.begin().await?;
        let stamp = tick_documents(&mut change, since).await?;
        let add = "INSERT INTO revocations (number, digest, envelope, revoked_at, revoked_by) \
             SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4 FROM revocations";
        sqlx::query(add)
            .bind(&Digest::of(&revocation.envelope).as_bytes()[..])
            .bind(&revocation.envelope[..])
            .bind(revocation.at)
            .bind(&revocation.by)
            .execute(&mut *change)
            .await
            .map_err(failed("write a revocation"))?;
        append(&mut change, &Entry { at: revocation.at, event }).await?;
        change.commit().await.map_err(failed("commit a revocation"))?;
        Ok(stamp)
    }
}
