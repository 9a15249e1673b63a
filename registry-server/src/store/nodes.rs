//! Nodes, the tokens they enrol with, what is wanted of each and what each last reported.
//! Refuses to know selectors and time-outs.

use super::fleet_clock::{FleetStamp, tick};
use super::log::append;
use super::policies::StoredPolicy;
use super::rollouts::{RolloutWrite, put_earlier, put_rollout};
use super::{
    Change, Store, StoreError, digest, failed, from_json, parsed, signed, to_json, unsigned,
};
use crate::secret::SecretHash;
use skep_api::v1::sync::Report;
use skep_artifact::digest::Digest;
use skep_fleet::ids::{Generation, NodeName, PolicyName};
use skep_fleet::selector::Labels;

/// A token with which nodes may enrol.
pub struct StoredNodeToken {
    pub hash: SecretHash,
    pub labels: Labels,
    pub uses_left: u32,
    pub created_at: i64,
    pub expires_at: i64,
    pub created_by: String,
}

/// A node as it is stored.
#[derive(Clone)]
pub struct StoredNode {
    pub name: NodeName,
    pub instance: SecretHash,
    pub credential: SecretHash,
    pub node_token: String,
    pub labels: Labels,
    pub wanted: Wanted,
    pub last_seen_at: Option<i64>,
    pub report: Option<(Report, i64)>,
    /// Policies it was ever told about.
    pub policies: Vec<PolicyName>,
}

/// Number and content of what is wanted of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub generation: Generation,
    pub digest: Digest,
}

/// One node whose desired state changed.
pub struct WantedChange {
    pub node: NodeName,
    pub wanted: Wanted,
    pub policies: Vec<PolicyName>,
}

/// What is written of a node now and then.
pub struct Sighting {
    pub node: NodeName,
    pub last_seen_at: i64,
    /// The newest report, when it says something new, and when it came.
    pub report: Option<(Report, i64)>,
}

#[derive(sqlx::FromRow)]
pub(super) struct NodeRow {
    name: String,
    instance_hash: Vec<u8>,
    credential_hash: Vec<u8>,
    node_token: String,
    labels: String,
    generation: i64,
    desired_digest: Vec<u8>,
    last_seen_at: Option<i64>,
    report: Option<String>,
    reported_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct NodeTokenRow {
    hash: Vec<u8>,
    labels: String,
    uses_left: i64,
    created_at: i64,
    expires_at: i64,
    created_by: String,
}

impl Store {
    /// Stores a fresh node token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_node_token(&self, token: &StoredNodeToken) -> Result<(), StoreError> {
        let add = "INSERT INTO node_tokens \
             (id, hash, labels, uses_left, created_at, expires_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(add)
            .bind(token.hash.id())
            .bind(&token.hash.as_bytes()[..])
            .bind(to_json("labels", &token.labels)?)
            .bind(i64::from(token.uses_left))
            .bind(token.created_at)
            .bind(token.expires_at)
            .bind(&token.created_by)
            .execute(&self.write)
            .await
            .map_err(failed("add a node token"))?;
        Ok(())
    }

    /// The node token with this id, used up and expired ones included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn node_token(&self, id: &str) -> Result<Option<StoredNodeToken>, StoreError> {
        let row: Option<NodeTokenRow> = sqlx::query_as("SELECT * FROM node_tokens WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a node token up"))?;
        row.map(NodeTokenRow::read).transpose()
    }

    /// Every node with its last report.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn nodes(&self) -> Result<Vec<StoredNode>, StoreError> {
        let rows: Vec<NodeRow> = sqlx::query_as("SELECT * FROM nodes ORDER BY name")
            .fetch_all(&self.read)
            .await
            .map_err(failed("list nodes"))?;
        let pairs: Vec<(String, String)> =
            sqlx::query_as("SELECT node, policy FROM node_policies ORDER BY node, policy")
                .fetch_all(&self.read)
                .await
                .map_err(failed("list policies of nodes"))?;
        with_policies(rows, pairs)
    }

    /// Stores a new node and uses its token once, in one transaction; `false` when the token has
    /// no use left any more. Counts as a change of the fleet after `since`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_node(
        &self,
        node: &StoredNode,
        now: i64,
        since: FleetStamp,
    ) -> Result<Option<FleetStamp>, StoreError> {
        let mut change = self.begin().await?;
        let stamp = tick(&mut change, since).await?;
        let spend = "UPDATE node_tokens SET uses_left = uses_left - 1 \
             WHERE id = $1 AND uses_left > 0 AND expires_at > $2";
        let spent = sqlx::query(spend)
            .bind(&node.node_token)
            .bind(now)
            .execute(&mut *change)
            .await
            .map_err(failed("use a node token"))?;
        if spent.rows_affected() == 0 {
            return Ok(None);
        }
        put_node(&mut change, node, now, stamp).await?;
        change.commit().await.map_err(failed("commit a node"))?;
        Ok(Some(stamp.into()))
    }

    /// Gives a known node a fresh credential, and its labels and wants as they are now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn renew_node(
        &self,
        node: &StoredNode,
        now: i64,
        since: FleetStamp,
    ) -> Result<FleetStamp, StoreError> {
        let mut change = self.begin().await?;
        let stamp = tick(&mut change, since).await?;
        put_node(&mut change, node, now, stamp).await?;
        change.commit().await.map_err(failed("commit a node"))?;
        Ok(stamp.into())
    }

    /// Stores a policy revision (when one is given), how rollouts stand and what both change on nodes, all or nothing,
    /// if nothing of the fleet changed after `since`: generations are counted from what was seen.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when something did; [`StoreError`].
    pub async fn put_wanted(
        &self,
        policy: Option<&StoredPolicy>,
        rollouts: &[RolloutWrite],
        changes: &[WantedChange],
        since: FleetStamp,
    ) -> Result<FleetStamp, StoreError> {
        let mut change = self.begin().await?;
        let stamp = tick(&mut change, since).await?;
        if let Some(policy) = policy {
            put_policy(&mut change, policy, stamp).await?;
            put_earlier(&mut change, policy).await?;
        }
        for rollout in rollouts {
            put_rollout(&mut change, rollout, stamp).await?;
        }
        for one in changes {
            let update = "UPDATE nodes SET generation = $1, desired_digest = $2, stamp = $3 \
                 WHERE name = $4";
            sqlx::query(update)
                .bind(signed("generation", one.wanted.generation.0)?)
                .bind(&one.wanted.digest.as_bytes()[..])
                .bind(stamp)
                .bind(one.node.as_str())
                .execute(&mut *change)
                .await
                .map_err(failed("write what is wanted of a node"))?;
            put_node_policies(&mut change, &one.node, &one.policies).await?;
        }
        if let Some(policy) = policy {
            append(&mut change, &policy.logged()).await?;
        }
        change.commit().await.map_err(failed("commit what is wanted"))?;
        Ok(stamp.into())
    }

    /// Writes when nodes were last heard of, and what they said, in one transaction. Nothing is read
    /// that must stay true, so other changes go on meanwhile; another server may have heard later.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_sightings(&self, sightings: &[Sighting]) -> Result<(), StoreError> {
        let mut change = self.begin_beside().await?;
        for sighting in sightings {
            let update = "UPDATE nodes SET last_seen_at = $1 \
                 WHERE name = $2 AND (last_seen_at IS NULL OR last_seen_at < $1)";
            sqlx::query(update)
                .bind(sighting.last_seen_at)
                .bind(sighting.node.as_str())
                .execute(&mut *change)
                .await
                .map_err(failed("write when a node was seen"))?;
            if let Some((report, at)) = &sighting.report {
                let update = "UPDATE nodes SET report = $1, reported_at = $2 \
                     WHERE name = $3 AND (reported_at IS NULL OR reported_at <= $2)";
                sqlx::query(update)
                    .bind(to_json("report", report)?)
                    .bind(at)
                    .bind(sighting.node.as_str())
                    .execute(&mut *change)
                    .await
                    .map_err(failed("write a node's report"))?;
            }
        }
        change.commit().await.map_err(failed("commit what nodes said"))
    }
}

pub(super) fn with_policies(
    rows: Vec<NodeRow>,
    pairs: Vec<(String, String)>,
) -> Result<Vec<StoredNode>, StoreError> {
    let mut pairs = pairs.into_iter().peekable();
    let mut nodes = Vec::with_capacity(rows.len());
    for row in rows {
        let mut policies = Vec::new();
        while let Some((_, policy)) = pairs.next_if(|(node, _)| *node == row.name) {
            policies.push(parsed("policy name", &policy)?);
        }
        nodes.push(row.read(policies)?);
    }
    Ok(nodes)
}

async fn put_policy(
    change: &mut Change,
    policy: &StoredPolicy,
    stamp: i64,
) -> Result<(), StoreError> {
    let payload = policy
        .revision
        .to_json()
        .map_err(|e| StoreError::Corrupt { what: "policy", reason: e.to_string() })?;
    let put = "INSERT INTO policies \
         (name, revision, envelope, payload, applied_at, applied_by, stamp) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET \
         revision = excluded.revision, envelope = excluded.envelope, payload = excluded.payload, \
         applied_at = excluded.applied_at, applied_by = excluded.applied_by, stamp = excluded.stamp";
    sqlx::query(put)
        .bind(policy.revision.name.as_str())
        .bind(signed("revision", policy.revision.revision)?)
        .bind(&policy.envelope)
        .bind(payload)
        .bind(policy.applied_at)
        .bind(&policy.applied_by)
        .bind(stamp)
        .execute(&mut **change)
        .await
        .map_err(failed("write a policy"))?;
    Ok(())
}

async fn put_node(
    change: &mut Change,
    node: &StoredNode,
    now: i64,
    stamp: i64,
) -> Result<(), StoreError> {
    let put = "INSERT INTO nodes (name, instance_hash, credential_hash, node_token, labels, \
         enrolled_at, generation, desired_digest, stamp) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (name) DO UPDATE SET credential_hash = excluded.credential_hash, \
         node_token = excluded.node_token, labels = excluded.labels, \
         generation = excluded.generation, desired_digest = excluded.desired_digest, \
         stamp = excluded.stamp";
    sqlx::query(put)
        .bind(node.name.as_str())
        .bind(&node.instance.as_bytes()[..])
        .bind(&node.credential.as_bytes()[..])
        .bind(&node.node_token)
        .bind(to_json("labels", &node.labels)?)
        .bind(now)
        .bind(signed("generation", node.wanted.generation.0)?)
        .bind(&node.wanted.digest.as_bytes()[..])
        .bind(stamp)
        .execute(&mut **change)
        .await
        .map_err(failed("write a node"))?;
    put_node_policies(change, &node.name, &node.policies).await
}

async fn put_node_policies(
    change: &mut Change,
    node: &NodeName,
    policies: &[PolicyName],
) -> Result<(), StoreError> {
    let put = "INSERT INTO node_policies (node, policy) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    for policy in policies {
        sqlx::query(put)
            .bind(node.as_str())
            .bind(policy.as_str())
            .execute(&mut **change)
            .await
            .map_err(failed("write a node's policy"))?;
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> Result<SecretHash, StoreError> {
    SecretHash::from_stored(bytes).ok_or_else(|| StoreError::Corrupt {
        what: "hash",
        reason: format!("{} bytes", bytes.len()),
    })
}

impl NodeTokenRow {
    fn read(self) -> Result<StoredNodeToken, StoreError> {
        Ok(StoredNodeToken {
            hash: hash(&self.hash)?,
            labels: from_json("labels", &self.labels)?,
            uses_left: u32::try_from(self.uses_left).unwrap_or(0),
            created_at: self.created_at,
            expires_at: self.expires_at,
            created_by: self.created_by,
        })
    }
}

impl NodeRow {
    pub(super) fn read(self, policies: Vec<PolicyName>) -> Result<StoredNode, StoreError> {
        let generation = Generation(unsigned("generation", self.generation)?);
        let report = match (self.report, self.reported_at) {
            (Some(report), Some(at)) => Some((from_json("report", &report)?, at)),
            _ => None,
        };
        Ok(StoredNode {
            name: parsed("node name", &self.name)?,
            instance: hash(&self.instance_hash)?,
            credential: hash(&self.credential_hash)?,
            node_token: self.node_token,
            labels: from_json("labels", &self.labels)?,
            wanted: Wanted { generation, digest: digest(&self.desired_digest)? },
            last_seen_at: self.last_seen_at,
            report,
            policies,
        })
    }
}
