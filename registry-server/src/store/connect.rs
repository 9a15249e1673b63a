//! Which database, and how a connection to it is set up. Refuses to know what is stored in it.

use super::StoreError;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _, Connection as _, Executor as _};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// Connections to SQLite that read. Each has a thread of its own; on a small machine more of them
/// only wait for a core.
const SQLITE_READERS: u32 = 4;
/// SQLite has one writer at a time, whatever the number of connections.
const SQLITE_WRITERS: u32 = 1;
/// Connections of one server to PostgreSQL: with those that write and the one that listens 17, so
/// that five servers stay below PostgreSQL's default of 100.
const POSTGRES_READERS: u32 = 10;
/// Changes go one after the other (see [`super::Store::begin`]); what waits holds a connection.
const POSTGRES_WRITERS: u32 = 6;
/// How long a request waits for a free connection before the server counts as overloaded.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// The same where a connection may not be had at all, because the database is away: a client is told so
/// before it loses patience.
const ACQUIRE_TIMEOUT_POSTGRES: Duration = Duration::from_secs(5);

/// What every connection to SQLite is told first. FULL, because an acknowledged publish must survive
/// a power cut; ten seconds are how long a writer waits for another process (an offline command).
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; \
     PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";
const SQLITE_READ_ONLY: &str = "PRAGMA query_only = ON";
/// What every connection to PostgreSQL is told first. The same ten seconds for a lock; a change
/// whose server is gone, or that thinks for ten seconds, is taken back, for it holds up all others.
const POSTGRES_SETTINGS: &str = "SET synchronous_commit = 'on'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '10s'; SET client_min_messages = 'warning'";
const POSTGRES_READ_ONLY: &str = "SET default_transaction_read_only = on; \
     SET statement_timeout = '10s'";

/// The advisory lock that a change in PostgreSQL holds: "skep" in ASCII. It is held per database.
const WRITER_LOCK: i64 = 0x736b_6570;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// `postgres://…`; it may hold a password and is never shown.
    Postgres(String),
}

/// Whose SQL is spoken, where the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Place {
    /// The database of a data folder.
    #[must_use]
    pub fn in_folder(data: &Path) -> Self {
        Self::Sqlite(data.join("registry.sqlite"))
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    fn options(&self) -> Result<AnyConnectOptions, sqlx::Error> {
        match self {
            Self::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
                AnyConnectOptions::from_url(&options.to_url_lossy())
            }
            Self::Postgres(url) => url.parse(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(_) => f.write_str("the PostgreSQL address of the settings"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The two pools of a store.
pub(super) struct Pools {
    pub(super) write: AnyPool,
    pub(super) read: AnyPool,
}

/// Opens the database, makes it when it is a missing file, and brings it to this version's form.
pub(super) async fn open(place: &Place) -> Result<Pools, StoreError> {
    sqlx::any::install_default_drivers();
    let failed = |source| StoreError::Open { place: place.clone(), source };
    let options = place.options().map_err(failed)?;
    let write = match place.dialect() {
        // SQLite takes a change back by itself when the disk fills. The driver's own ROLLBACK then finds nothing to
        // take back and fails, and the driver counts that change as open for ever: such a connection is replaced.
        Dialect::Sqlite => pool(SQLITE_WRITERS, SQLITE_SETTINGS, "")
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(|connection, _| {
                let usable = !connection.is_in_transaction();
                Box::pin(async move { Ok(usable) })
            }),
        Dialect::Postgres => {
            pool(POSTGRES_WRITERS, POSTGRES_SETTINGS, "").acquire_timeout(ACQUIRE_TIMEOUT_POSTGRES)
        }
    };
    let write = write.connect_with(options.clone()).await.map_err(failed)?;
    let migrated = migrations(place.dialect()).run(&write).await;
    migrated.map_err(|source| StoreError::Migrate { source })?;
    let read = match place.dialect() {
        Dialect::Sqlite => pool(SQLITE_READERS, SQLITE_SETTINGS, SQLITE_READ_ONLY)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false),
        Dialect::Postgres => pool(POSTGRES_READERS, POSTGRES_SETTINGS, POSTGRES_READ_ONLY)
            .acquire_timeout(ACQUIRE_TIMEOUT_POSTGRES),
    };
    let read = read.connect_with(options).await.map_err(failed)?;
    Ok(Pools { write, read })
}

/// The steps between the forms of this database.
pub(super) fn migrations(dialect: Dialect) -> &'static Migrator {
    match dialect {
        Dialect::Sqlite => &SQLITE_MIGRATIONS,
        Dialect::Postgres => &POSTGRES_MIGRATIONS,
    }
}

/// Waits until no other change is under way, on this server or another, and keeps them waiting until
/// the end of this one. PostgreSQL only.
pub(super) async fn take_turn(change: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let turn = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITER_LOCK);
    turn.execute(change).await.map(drop)
}

fn pool(most: u32, settings: &'static str, more: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(most).acquire_timeout(ACQUIRE_TIMEOUT).after_connect(
        move |connection, _| {
            Box::pin(async move {
                tell(connection, settings).await?;
                tell(connection, more).await
            })
        },
    )
}

/// Settings one by one: what the driver takes as a batch differs.
async fn tell(connection: &mut AnyConnection, settings: &'static str) -> Result<(), sqlx::Error> {
    for setting in settings.split(';').map(str::trim).filter(|setting| !setting.is_empty()) {
        connection.execute(setting).await?;
    }
    Ok(())
}
