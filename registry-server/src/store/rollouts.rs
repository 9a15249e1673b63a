//! Rollouts: how each began, what happened, how it stands; what is known to be bad; freezes; who drives. Refuses to know
//! what an event means.

use super::policies::StoredPolicy;
use super::{Change, Store, StoreError, digest, failed, from_json, signed, to_json, unsigned};
use skep_artifact::digest::Digest;
use skep_fleet::policy::PolicyRevision;
use skep_fleet::rollout::{Event, Freeze, Rollout};
use sqlx::AnyConnection;
use std::collections::BTreeMap;

/// A rollout as it is stored.
#[derive(Debug, Clone)]
pub struct StoredRollout {
    pub first: Rollout,
    pub state: Rollout,
    /// How many events lie between the two.
    pub events: u64,
}

/// What is written of a rollout in one change of the fleet.
pub struct RolloutWrite {
    /// As it stands afterwards, its new events counted.
    pub rollout: StoredRollout,
    pub events: Vec<(Event, i64)>,
    /// Why what it runs is known to be bad from now on.
    pub bad: Option<String>,
}

/// What belongs to policies beside their newest revision, by their names.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) rollouts: BTreeMap<String, StoredRollout>,
    pub(super) earlier: BTreeMap<String, Vec<StoredPolicy>>,
}

#[derive(sqlx::FromRow)]
struct RolloutRow {
    policy: String,
    first: String,
    state: String,
    events: i64,
}

#[derive(sqlx::FromRow)]
struct EarlierRow {
    policy: String,
    envelope: Vec<u8>,
    payload: Vec<u8>,
    applied_at: i64,
    applied_by: String,
}

impl RolloutRow {
    fn read(self) -> Result<(String, StoredRollout), StoreError> {
        let (first, state) =
            (from_json("rollout", &self.first)?, from_json("rollout", &self.state)?);
        let events = unsigned("number of events", self.events)?;
        Ok((self.policy, StoredRollout { first, state, events }))
    }
}

/// What belongs to every policy that was changed after a stamp of the fleet.
pub(super) async fn beside(look: &mut AnyConnection, since: i64) -> Result<Beside, StoreError> {
    let select = "SELECT r.policy, r.first, r.state, r.events FROM rollouts r \
         JOIN policies p ON p.name = r.policy AND p.revision = r.revision WHERE p.stamp > $1";
    let rows: Vec<RolloutRow> = sqlx::query_as(select)
        .bind(since)
        .fetch_all(&mut *look)
        .await
        .map_err(failed("list rollouts"))?;
    let rollouts = rows.into_iter().map(RolloutRow::read).collect::<Result<_, _>>()?;
    let select = "SELECT e.policy, e.envelope, e.payload, e.applied_at, e.applied_by \
         FROM policy_revisions e JOIN policies p ON p.name = e.policy \
         WHERE p.stamp > $1 AND e.revision < p.revision ORDER BY e.policy, e.revision";
    let rows: Vec<EarlierRow> = sqlx::query_as(select)
        .bind(since)
        .fetch_all(look)
        .await
        .map_err(failed("list earlier revisions"))?;
    let mut earlier: BTreeMap<String, Vec<StoredPolicy>> = BTreeMap::new();
    for row in rows {
        let revision = PolicyRevision::from_json(&row.payload)
            .map_err(|e| StoreError::Corrupt { what: "policy", reason: e.to_string() })?;
        let EarlierRow { policy, envelope, applied_at, applied_by, .. } = row;
        let (rollout, before) = (None, Vec::new());
        let stored =
            StoredPolicy { revision, envelope, applied_at, applied_by, rollout, earlier: before };
        earlier.entry(policy).or_default().push(stored);
    }
    Ok(Beside { rollouts, earlier })
}

/// Keeps the revisions before one, so that they can be offered on, and forgets those that no node can have any more.
pub(super) async fn put_earlier(
    change: &mut Change,
    policy: &StoredPolicy,
) -> Result<(), StoreError> {
    for earlier in &policy.earlier {
        let payload = (earlier.revision.to_json())
            .map_err(|e| StoreError::Corrupt { what: "policy", reason: e.to_string() })?;
        let put = "INSERT INTO policy_revisions \
             (policy, revision, envelope, payload, applied_at, applied_by) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (policy, revision) DO NOTHING";
        sqlx::query(put)
            .bind(earlier.revision.name.as_str())
            .bind(signed("revision", earlier.revision.revision)?)
            .bind(&earlier.envelope)
            .bind(payload)
            .bind(earlier.applied_at)
            .bind(&earlier.applied_by)
            .execute(&mut **change)
            .await
            .map_err(failed("keep a revision"))?;
    }
    let oldest = policy.earlier.first().map_or(policy.revision.revision, |e| e.revision.revision);
    sqlx::query("DELETE FROM policy_revisions WHERE policy = $1 AND revision < $2")
        .bind(policy.revision.name.as_str())
        .bind(signed("revision", oldest)?)
        .execute(&mut **change)
        .await
        .map_err(failed("forget a revision"))?;
    Ok(())
}

/// Writes how a rollout stands and what happened, and counts its policy as changed.
pub(super) async fn put_rollout(
    change: &mut Change,
    write: &RolloutWrite,
    stamp: i64,
) -> Result<(), StoreError> {
    let RolloutWrite { rollout: StoredRollout { first, state, events }, .. } = write;
    let (policy, revision) = (state.policy.as_str(), signed("revision", state.to)?);
    let put = "INSERT INTO rollouts (policy, revision, first, state, events) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (policy, revision) DO UPDATE SET \
         state = excluded.state, events = excluded.events";
    sqlx::query(put)
        .bind(policy)
        .bind(revision)
        .bind(to_json("rollout", first)?)
        .bind(to_json("rollout", state)?)
        .bind(signed("number of events", *events)?)
        .execute(&mut **change)
        .await
        .map_err(failed("write a rollout"))?;
    let before = signed("number of events", *events)?
        - i64::try_from(write.events.len()).unwrap_or(i64::MAX);
    for (number, (event, at)) in (before + 1..).zip(&write.events) {
        let add = "INSERT INTO rollout_events (policy, revision, number, happened_at, event) \
             VALUES ($1, $2, $3, $4, $5)";
        sqlx::query(add)
            .bind(policy)
            .bind(revision)
            .bind(number)
            .bind(at)
            .bind(to_json("event", event)?)
            .execute(&mut **change)
            .await
            .map_err(failed("write what happened to a rollout"))?;
    }
    sqlx::query("UPDATE policies SET stamp = $1 WHERE name = $2")
        .bind(stamp)
        .bind(policy)
        .execute(&mut **change)
        .await
        .map_err(failed("count a change of a rollout"))?;
    match &write.bad {
        Some(why) => put_bad(change, state, why).await,
        None => Ok(()),
    }
}

async fn put_bad(change: &mut Change, state: &Rollout, why: &str) -> Result<(), StoreError> {
    let put = "INSERT INTO known_bad (content, policy, revision, why, found_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (content) DO NOTHING";
    sqlx::query(put)
        .bind(&state.content.as_bytes()[..])
        .bind(state.policy.as_str())
        .bind(signed("revision", state.to)?)
        .bind(why)
        .bind(state.clock)
        .execute(&mut **change)
        .await
        .map_err(failed("remember what is bad"))?;
    Ok(())
}

impl Store {
    /// Every rollout, the newest of each policy first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rollouts(&self) -> Result<Vec<StoredRollout>, StoreError> {
        let select = "SELECT policy, first, state, events FROM rollouts \
             ORDER BY policy, revision DESC";
        let rows: Vec<RolloutRow> =
            sqlx::query_as(select).fetch_all(&self.read).await.map_err(failed("list rollouts"))?;
        rows.into_iter().map(|row| row.read().map(|(_, rollout)| rollout)).collect()
    }

    /// Everything that happened to a rollout, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rollout_events(
        &self,
        policy: &str,
        revision: u64,
    ) -> Result<Vec<(Event, i64)>, StoreError> {
        let select = "SELECT event, happened_at FROM rollout_events \
             WHERE policy = $1 AND revision = $2 ORDER BY number";
        let rows: Vec<(String, i64)> = sqlx::query_as(select)
            .bind(policy)
            .bind(signed("revision", revision)?)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list what happened to a rollout"))?;
        rows.into_iter().map(|(event, at)| Ok((from_json("event", &event)?, at))).collect()
    }

    /// What is known to be bad, by what it runs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_bad(&self) -> Result<Vec<Digest>, StoreError> {
        let rows: Vec<Vec<u8>> = sqlx::query_scalar("SELECT content FROM known_bad")
            .fetch_all(&self.read)
            .await
            .map_err(failed("list what is bad"))?;
        rows.iter().map(|bytes| digest(bytes)).collect()
    }

    /// Every freeze, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn freezes(&self) -> Result<Vec<Freeze>, StoreError> {
        let rows: Vec<String> = sqlx::query_scalar("SELECT document FROM freezes ORDER BY name")
            .fetch_all(&self.read)
            .await
            .map_err(failed("list freezes"))?;
        rows.iter().map(|text| from_json("freeze", text)).collect()
    }

    /// Sets a freeze, in the place of one of the same name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_freeze(&self, freeze: &Freeze, by: &str, now: i64) -> Result<(), StoreError> {
        let put = "INSERT INTO freezes (name, document, set_at, set_by) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO UPDATE SET document = excluded.document, \
             set_at = excluded.set_at, set_by = excluded.set_by";
        sqlx::query(put)
            .bind(&freeze.name)
            .bind(to_json("freeze", freeze)?)
            .bind(now)
            .bind(by)
            .execute(&self.write)
            .await
            .map_err(failed("write a freeze"))?;
        Ok(())
    }

    /// Takes a freeze away; `false` when there was none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_freeze(&self, name: &str) -> Result<bool, StoreError> {
        let removed = sqlx::query("DELETE FROM freezes WHERE name = $1")
            .bind(name)
            .execute(&self.write)
            .await
            .map_err(failed("remove a freeze"))?;
        Ok(removed.rows_affected() > 0)
    }

    /// Becomes or stays the server that drives rollouts; `false` while another one does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_rollout_lease(
        &self,
        holder: &str,
        now: i64,
        secs: i64,
    ) -> Result<bool, StoreError> {
        let take = "UPDATE rollout_driver SET holder = $1, held_until = $2 \
             WHERE id = 1 AND (holder = $1 OR held_until < $3)";
        let taken = sqlx::query(take)
            .bind(holder)
            .bind(now.saturating_add(secs))
            .bind(now)
            .execute(&self.write)
            .await
            .map_err(failed("choose who drives rollouts"))?;
        Ok(taken.rows_affected() > 0)
    }
}
