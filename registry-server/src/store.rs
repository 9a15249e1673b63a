//! The database: opening, migrating, and one file per aggregate below `store/`. All SQL of the
//! server lives here. Refuses to know HTTP and who is allowed what.

pub mod accounts;
pub mod adopt;
pub mod attestations;
pub mod audit;
pub mod blobs;
mod connect;
pub mod cosign;
pub mod documents;
pub mod downloads;
pub mod export;
pub mod facets;
pub mod feeds;
pub mod fleet_clock;
pub mod import;
pub mod invites;
pub mod life;
pub mod listing;
pub mod log;
mod log_alarms;
pub mod members;
pub mod namespaces;
pub mod nodes;
pub mod oci;
pub mod packages;
pub mod policies;
pub mod publish;
pub mod publishers;
pub mod pushes;
pub mod quotas;
pub mod rollouts;
mod search_index;
pub mod server_keys;
pub mod server_secrets;
pub mod sessions;
pub mod shown;
mod sql;
mod tables;
pub mod tokens;
pub mod tuf;
pub mod uploads;
pub mod webhooks;

pub use connect::{Dialect, Place};

use sqlx::migrate::MigrateError;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Transaction};

/// Result code of SQLite when the disk is full.
const SQLITE_FULL: &str = "13";
/// Extended code when the shared-memory file cannot grow, which a full disk causes, too.
const SQLITE_IOERR_SHMSIZE: &str = "4874";
/// State of PostgreSQL when its disk is full.
const POSTGRES_DISK_FULL: &str = "53100";
/// States of PostgreSQL in which the same request may be answered in a moment: a lock that was not
/// had in time, a statement cut off, a deadlock, too many connections.
const POSTGRES_BUSY: [&str; 4] = ["55P03", "57014", "40P01", "53300"];
/// Classes of PostgreSQL's states in which it is not there: no connection, and shutting down or starting.
const POSTGRES_AWAY: [&str; 2] = ["08", "57P"];
/// State of PostgreSQL when a text holds what no text may: a NUL.
const POSTGRES_BAD_TEXT: &str = "22021";

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database cannot be opened at {place}")]
    Open { place: Place, source: sqlx::Error },
    #[error("the database cannot be brought to this version's form")]
    Migrate { source: MigrateError },
    #[error("the disk is full")]
    Full,
    #[error("all database connections are busy")]
    Busy,
    #[error("the database cannot be reached")]
    Unavailable,
    #[error("a text holds a character that cannot be stored")]
    Text,
    #[error("another server changed the fleet meanwhile")]
    Moved,
    #[error("the database refused to {what}")]
    Query { what: &'static str, source: sqlx::Error },
    #[error("the database holds a {what} that cannot be read: {reason}")]
    Corrupt { what: &'static str, reason: String },
}

/// The open database: connections that write, and others that read. SQLite has one that writes.
#[derive(Clone)]
pub struct Store {
    dialect: Dialect,
    write: AnyPool,
    read: AnyPool,
    place: Place,
}

/// A change that is not committed; dropping it takes it back.
struct Change {
    transaction: Transaction<'static, Any>,
    dialect: Dialect,
}

impl std::ops::Deref for Change {
    type Target = AnyConnection;
    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl std::ops::DerefMut for Change {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

impl Change {
    /// Makes the change visible and durable.
    async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}

impl Store {
    /// Opens the database, makes it when it is a missing file, and brings it to this version's form.
    ///
    /// # Errors
    /// [`StoreError::Open`] or [`StoreError::Migrate`].
    pub async fn open(place: &Place) -> Result<Self, StoreError> {
        let connect::Pools { write, read } = connect::open(place).await?;
        Ok(Self { dialect: place.dialect(), write, read, place: place.clone() })
    }

    /// Takes the schema back, down to nothing. For `skep-registry migrate --down` and its test.
    ///
    /// # Errors
    /// [`StoreError::Migrate`].
    pub async fn undo_all(&self) -> Result<(), StoreError> {
        let migrations = connect::migrations(self.dialect);
        migrations.undo(&self.write, 0).await.map_err(|source| StoreError::Migrate { source })
    }

    /// Flushes and closes; later calls fail.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// Whether a query is answered now.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.read.acquire().await.map_err(failed("answer"))?;
        connection.ping().await.map_err(failed("answer"))
    }

    /// A change during which nobody else makes one, on this server or another: what it reads stays
    /// true until it is committed. SQLite gives that by itself; in PostgreSQL the change takes one
    /// lock for all first, so that comparing and swapping means the same in both.
    async fn begin(&self) -> Result<Change, StoreError> {
        let failed = failed("begin a change");
        let transaction = match self.dialect {
            Dialect::Sqlite => self.write.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?,
            Dialect::Postgres => {
                let mut transaction = self.write.begin().await.map_err(&failed)?;
                connect::take_turn(&mut transaction).await.map_err(failed)?;
                transaction
            }
        };
        Ok(Change { transaction, dialect: self.dialect })
    }

    /// A change that others need not wait for: it reads nothing that must stay true. SQLite knows no
    /// such thing.
    async fn begin_beside(&self) -> Result<Change, StoreError> {
        match self.dialect {
            Dialect::Sqlite => self.begin().await,
            Dialect::Postgres => {
                let begun = self.write.begin().await;
                let transaction = begun.map_err(failed("begin a change"))?;
                Ok(Change { transaction, dialect: self.dialect })
            }
        }
    }
}

/// Turns a driver error into ours, naming what was attempted.
fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| match &source {
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => StoreError::Unavailable,
        sqlx::Error::Database(database) => match database.code().as_deref() {
            Some(SQLITE_FULL | SQLITE_IOERR_SHMSIZE | POSTGRES_DISK_FULL) => StoreError::Full,
            Some(code) if POSTGRES_BUSY.contains(&code) => StoreError::Busy,
            Some(POSTGRES_BAD_TEXT) => StoreError::Text,
            Some(code) if POSTGRES_AWAY.iter().any(|class| code.starts_with(class)) => {
                StoreError::Unavailable
            }
            _ => StoreError::Query { what, source },
        },
        _ => StoreError::Query { what, source },
    }
}

/// A stored text that must parse: names, versions, digests. Whatever does not was not written by us.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|e: T::Err| StoreError::Corrupt { what, reason: e.to_string() })
}

fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Corrupt { what, reason: e.to_string() })
}

fn to_json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Corrupt { what, reason: e.to_string() })
}

fn digest(bytes: &[u8]) -> Result<skep_artifact::digest::Digest, StoreError> {
    let bytes = <[u8; 32]>::try_from(bytes)
        .map_err(|e| StoreError::Corrupt { what: "digest", reason: e.to_string() })?;
    Ok(skep_artifact::digest::Digest::from_bytes(bytes))
}

/// Databases count in 64 signed bits; a counter that left them was not written by us.
fn unsigned(what: &'static str, number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|e| StoreError::Corrupt { what, reason: e.to_string() })
}

fn signed(what: &'static str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|e| StoreError::Corrupt { what, reason: e.to_string() })
}
