//! The database: opening, migrating, and one file per aggregate below `store/`. All SQL of the
//! server lives here. Refuses to know HTTP and who is allowed what.

pub mod blobs;
pub mod listing;
pub mod namespaces;
pub mod nodes;
pub mod oci;
pub mod packages;
pub mod policies;
pub mod publish;
pub mod tokens;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, Transaction};
use std::path::{Path, PathBuf};
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// Connections that read. Each has a thread of its own; on a small machine more of them only wait
/// for a core.
const READERS: u32 = 4;
/// How long a writer waits for another process (an offline command) to finish.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request waits for a free connection before the server counts as overloaded.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Primary result code of SQLite when the disk is full.
const SQLITE_FULL: &str = "13";
/// Extended code when the shared-memory file cannot grow, which a full disk causes, too.
const SQLITE_IOERR_SHMSIZE: &str = "4874";

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database cannot be opened at {}", path.display())]
    Open { path: PathBuf, source: sqlx::Error },
    #[error("the database cannot be brought to this version's form")]
    Migrate { source: MigrateError },
    #[error("the disk is full")]
    Full,
    #[error("all database connections are busy")]
    Busy,
    #[error("the database refused to {what}")]
    Query { what: &'static str, source: sqlx::Error },
    #[error("the database holds a {what} that cannot be read: {reason}")]
    Corrupt { what: &'static str, reason: String },
}

/// The open database: one connection that writes, several that read.
#[derive(Clone)]
pub struct Store {
    write: SqlitePool,
    read: SqlitePool,
}

impl Store {
    /// Opens the file, makes it when missing, and brings it to this version's form.
    ///
    /// # Errors
    /// [`StoreError::Open`] or [`StoreError::Migrate`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        // FULL, because an acknowledged publish must survive a power cut.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(256);
        let pool = |most: u32| {
            SqlitePoolOptions::new()
                .max_connections(most)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        // SQLite takes a change back by itself when the disk fills. The driver's own ROLLBACK then finds nothing to
        // take back and fails, and the driver counts that change as open for ever: such a connection is replaced.
        let write = pool(1).before_acquire(|connection, _| {
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        });
        let write = write.connect_with(options.clone()).await.map_err(failed)?;
        MIGRATIONS.run(&write).await.map_err(|source| StoreError::Migrate { source })?;
        let read =
            pool(READERS).connect_with(options.pragma("query_only", "on")).await.map_err(failed)?;
        Ok(Self { write, read })
    }

    /// Takes the schema back, down to nothing. For `skep-registry migrate --down` and its test.
    ///
    /// # Errors
    /// [`StoreError::Migrate`].
    pub async fn undo_all(&self) -> Result<(), StoreError> {
        MIGRATIONS.undo(&self.write, 0).await.map_err(|source| StoreError::Migrate { source })
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

    /// A transaction that holds the write lock from its first statement on.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.write.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin a change"))
    }
}

/// Turns a driver error into ours, naming what was attempted.
fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| match &source {
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        sqlx::Error::Database(database) => match database.code().as_deref() {
            Some(SQLITE_FULL | SQLITE_IOERR_SHMSIZE) => StoreError::Full,
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

/// SQLite counts in 64 signed bits; a counter that left them was not written by us.
fn unsigned(what: &'static str, number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|e| StoreError::Corrupt { what, reason: e.to_string() })
}

fn signed(what: &'static str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|e| StoreError::Corrupt { what, reason: e.to_string() })
}
