//! Which changes of the fleet other servers made: a counter in the database, rung by a bell where the
//! database has one. Refuses to know what the changes mean.

use super::nodes::{NodeRow, StoredNode, with_policies};
use super::policies::{StoredPolicy, policies_after};
use super::{Change, Dialect, Place, Store, StoreError, failed};
use skep_api::v1::sync::Report;
use skep_fleet::ids::NodeName;
use sqlx::postgres::PgListener;
use sqlx::{Any, AnyConnection, Transaction};
use std::time::Duration;

/// The channel that is rung by a change. Heartbeats never ring: a notice in every transaction takes
/// three quarters of PostgreSQL's throughput.
const CHANNEL: &str = "skep_fleet";
/// How long a server that hears no bell waits before it looks at the counter: half of the two seconds
/// within which servers see each other's changes, whatever became of a notice.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The number of the newest change of the fleet that somebody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FleetStamp(i64);

/// What changed after a stamp.
pub struct FleetNews {
    pub stamp: FleetStamp,
    pub policies: Vec<StoredPolicy>,
    pub nodes: Vec<StoredNode>,
    /// Whether what nodes are told beside their policies changed.
    pub documents: bool,
}

/// What another server heard of a node.
pub struct Hearsay {
    pub node: NodeName,
    pub last_seen_at: i64,
    pub report: Option<(Report, i64)>,
}

impl Store {
    /// The newest change. What is read afterwards holds it, and may hold later ones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fleet_stamp(&self) -> Result<FleetStamp, StoreError> {
        let stamp: i64 = sqlx::query_scalar("SELECT stamp FROM fleet_clock WHERE id = 1")
            .fetch_one(&self.read)
            .await
            .map_err(failed("look at the fleet's clock"))?;
        Ok(FleetStamp(stamp))
    }

    /// What changed after `since`; `None` when nothing did. One consistent look.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fleet_news(&self, since: FleetStamp) -> Result<Option<FleetNews>, StoreError> {
        let failed = failed("look for changes of the fleet");
        let mut look = self.look().await?;
        let select = "SELECT stamp, documents FROM fleet_clock WHERE id = 1";
        let (stamp, documents): (i64, i64) =
            sqlx::query_as(select).fetch_one(&mut *look).await.map_err(&failed)?;
        if stamp == since.0 {
            return Ok(None);
        }
        let policies = policies_after(&mut look, since.0).await?;
        let nodes = nodes_after(&mut look, since.0).await?;
        look.rollback().await.map_err(failed)?;
        let documents = documents > since.0;
        Ok(Some(FleetNews { stamp: FleetStamp(stamp), policies, nodes, documents }))
    }

    /// Begins to read one state of everything, whatever others write meanwhile.
    pub(super) async fn look(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let begin = match self.dialect {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        };
        self.read.begin_with(begin).await.map_err(failed("begin a look"))
    }

    /// Nodes that any server saw at `since` or later, with what they said.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hearsay(&self, since: i64) -> Result<Vec<Hearsay>, StoreError> {
        let rows: Vec<NodeRow> = sqlx::query_as("SELECT * FROM nodes WHERE last_seen_at >= $1")
            .bind(since)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list what other servers heard"))?;
        let heard = |row: NodeRow| {
            let node = row.read(Vec::new())?;
            Ok(Hearsay {
                node: node.name,
                last_seen_at: node.last_seen_at.unwrap_or(since),
                report: node.report,
            })
        };
        rows.into_iter().map(heard).collect()
    }

    /// The bell of other servers' changes; `None` where a database has one server.
    #[must_use]
    pub fn bell(&self) -> Option<Bell> {
        match &self.place {
            Place::Sqlite(_) => None,
            Place::Postgres(url) => Some(Bell { url: url.clone(), listener: None }),
        }
    }

    /// Whether several servers may use this database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }
}

/// Waits for other servers' changes.
pub struct Bell {
    url: String,
    listener: Option<PgListener>,
}

impl Bell {
    /// Returns when it is time to look: a change was announced, or nothing was heard for a while.
    /// Without a connection, it is a clock.
    pub async fn wait(&mut self) {
        let heard = tokio::time::timeout(LOOK_EVERY, self.listen()).await;
        if let Ok(Err(error)) = heard {
            tracing::debug!("changes of other servers are looked for, not listened to: {error}");
            self.listener = None;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn listen(&mut self) -> Result<(), sqlx::Error> {
        let listener = match self.listener.take() {
            Some(listener) => self.listener.insert(listener),
            None => {
                let mut listener = PgListener::connect(&self.url).await?;
                listener.listen(CHANNEL).await?;
                // What was announced before is found by looking once.
                self.listener = Some(listener);
                return Ok(());
            }
        };
        listener.recv().await?;
        Ok(())
    }
}

/// Nodes whose identity or desired state changed after a stamp of the fleet.
async fn nodes_after(look: &mut AnyConnection, stamp: i64) -> Result<Vec<StoredNode>, StoreError> {
    let rows: Vec<NodeRow> = sqlx::query_as("SELECT * FROM nodes WHERE stamp > $1 ORDER BY name")
        .bind(stamp)
        .fetch_all(&mut *look)
        .await
        .map_err(failed("list changed nodes"))?;
    let select = "SELECT p.node, p.policy FROM node_policies p JOIN nodes n ON n.name = p.node \
         WHERE n.stamp > $1 ORDER BY p.node, p.policy";
    let pairs: Vec<(String, String)> = sqlx::query_as(select)
        .bind(stamp)
        .fetch_all(look)
        .await
        .map_err(failed("list policies of changed nodes"))?;
    with_policies(rows, pairs)
}

/// Counts a change of the fleet, if `since` is the newest there was, and announces it.
///
/// # Errors
/// [`StoreError::Moved`] when another server was faster: look at its change, and decide anew.
pub(super) async fn tick(change: &mut Change, since: FleetStamp) -> Result<i64, StoreError> {
    let tick = "UPDATE fleet_clock SET stamp = stamp + 1 WHERE id = 1 AND stamp = $1 \
         RETURNING stamp";
    count(change, tick, since).await
}

/// [`tick`], for a change of what nodes are told beside their policies.
pub(super) async fn tick_documents(
    change: &mut Change,
    since: FleetStamp,
) -> Result<FleetStamp, StoreError> {
    let tick = "UPDATE fleet_clock SET stamp = stamp + 1, documents = stamp + 1 \
         WHERE id = 1 AND stamp = $1 RETURNING stamp";
    count(change, tick, since).await.map(FleetStamp)
}

async fn count(
    change: &mut Change,
    tick: &'static str,
    since: FleetStamp,
) -> Result<i64, StoreError> {
    let stamp: Option<i64> = sqlx::query_scalar(tick)
        .bind(since.0)
        .fetch_optional(&mut **change)
        .await
        .map_err(failed("count a change of the fleet"))?;
    let stamp = stamp.ok_or(StoreError::Moved)?;
    if change.dialect == Dialect::Postgres {
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(stamp.to_string())
            .execute(&mut **change)
            .await
            .map_err(failed("announce a change of the fleet"))?;
    }
    Ok(stamp)
}

impl From<i64> for FleetStamp {
    fn from(stamp: i64) -> Self {
        Self(stamp)
    }
}
