//! Tasks on what a server keeps, without going through it. Refuses to know how they work.

use crate::{open_store, say};
use anyhow::Context as _;
use skep_api::v1::maintenance::Findings;
use skep_artifact::digest::Digest;
use skep_registry_server::app::App;
use skep_registry_server::backup;
use skep_registry_server::blob::BlobStore;
use skep_registry_server::clock;
use skep_registry_server::faults::Faults;
use skep_registry_server::jobs::{collect_blobs, scrub};
use skep_registry_server::maintenance::{Progress, source};
use skep_registry_server::people::People;
use skep_registry_server::storage::Storage;
use skep_registry_server::store::Store;
use std::path::Path;
use std::process::ExitCode;

/// How a scrub ends that found something broken; `skep` ends the same way when a verification fails.
const BROKEN: u8 = 3;

/// Removes what nothing names.
///
/// # Errors
/// A folder that is none, or that a server uses.
pub(crate) async fn gc(storage: &Storage) -> anyhow::Result<()> {
    open_store(storage).await?.close().await;
    let app = App::open(storage, Faults::default(), People::default(), Vec::new()).await?;
    let removed = collect_blobs::run(&app, clock::now(), &Progress::default()).await?;
    app.store.close().await;
    say(&format!("Removed {removed} unused blobs."))
}

/// Prints the verifier key of the transparency log, making it when there is none.
///
/// # Errors
/// A folder that a server uses, or that cannot be written.
pub(crate) async fn log_key(storage: &Storage) -> anyhow::Result<()> {
    let app = App::open(storage, Faults::default(), People::default(), Vec::new()).await?;
    say(&app.log.public().to_string())?;
    app.store.close().await;
    Ok(())
}

/// Compares bytes with digests and with the database, and repairs when a source is named.
///
/// # Errors
/// A folder that is none, or that cannot be read.
pub(crate) async fn scrub(storage: &Storage, from: Option<String>) -> anyhow::Result<ExitCode> {
    let source = from.map(source).transpose()?;
    let store = open_store(storage).await?;
    let blobs = BlobStore::at(&storage.data.join("blobs"), storage.bucket.as_ref())?;
    let found = scrub::run(&store, &blobs, source.as_ref(), &Progress::default()).await?;
    store.close().await;
    tell(&found)?;
    Ok(if found.all_is_well() { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

/// Brings the schema to this version's form, or takes it away.
///
/// # Errors
/// A database that cannot be opened.
pub(crate) async fn migrate(storage: &Storage, down: bool) -> anyhow::Result<()> {
    let store = open_store(storage).await?;
    if down {
        store.undo_all().await?;
    }
    store.close().await;
    say(if down { "The schema is gone." } else { "The database is in this version's form." })
}

/// Writes a backup.
///
/// # Errors
/// Whatever could not be read or written; the folder is no backup then.
pub(crate) async fn write_backup(storage: &Storage, to: &Path) -> anyhow::Result<()> {
    let store = open_store(storage).await?;
    let blobs = BlobStore::at(&storage.data.join("blobs"), storage.bucket.as_ref())?;
    let counts = backup::write(&store, &blobs, &storage.data, to, clock::now()).await?;
    store.close().await;
    let backup::Counts { tables, rows, blobs } = counts;
    say(&format!("Wrote {rows} rows of {tables} tables and {blobs} blobs to {}.", to.display()))
}

/// Puts a backup back.
///
/// # Errors
/// A damaged backup, or a database that is used; nothing is changed then.
pub(crate) async fn restore(storage: &Storage, from: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(&storage.data)
        .with_context(|| format!("cannot create {}", storage.data.display()))?;
    let store = Store::open(&storage.database).await?;
    let blobs = BlobStore::open_with(
        &storage.data.join("blobs"),
        storage.bucket.as_ref(),
        Faults::default(),
    )?;
    let counts = backup::restore(&store, &blobs, &storage.data, from).await?;
    store.close().await;
    let backup::Counts { tables, rows, blobs } = counts;
    say(&format!("Restored {rows} rows of {tables} tables and {blobs} blobs, all verified."))
}

fn tell(found: &Findings) -> anyhow::Result<()> {
    let kinds: [(&str, &[Digest]); 5] = [
        ("repaired", &found.repaired),
        ("changed", &found.changed),
        ("missing", &found.missing),
        ("lost upload", &found.lost_uploads),
        ("unknown", &found.unknown),
    ];
    for (word, digests) in kinds {
        for digest in digests {
            say(&format!("{word}: {digest}"))?;
        }
    }
    let broken = found.changed.len() + found.missing.len();
    say(&format!("{} blobs are intact, {broken} are not.", found.intact))?;
    if broken > 0 {
        say(
            "Fetch them from a registry that has the same packages with --repair-from URL, or restore the files from a backup.",
        )?;
    }
    Ok(())
}
