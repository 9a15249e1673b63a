//! Tasks on a data folder without going through its server. Refuses to know how they work.

use crate::{open_store, say};
use skep_api::v1::maintenance::Findings;
use skep_artifact::digest::Digest;
use skep_registry_server::app::App;
use skep_registry_server::blob::BlobStore;
use skep_registry_server::clock;
use skep_registry_server::faults::Faults;
use skep_registry_server::jobs::{collect_blobs, scrub};
use skep_registry_server::maintenance::{Progress, source};
use skep_registry_server::people::People;
use std::path::Path;
use std::process::ExitCode;

/// How a scrub ends that found something broken; `skep` ends the same way when a verification fails.
const BROKEN: u8 = 3;

/// Removes what nothing names.
///
/// # Errors
/// A folder that is none, or that a server uses.
pub(crate) async fn gc(data: &Path) -> anyhow::Result<()> {
    open_store(data).await?.close().await;
    let app = App::open(data, Faults::default(), People::default(), Vec::new()).await?;
    let removed = collect_blobs::run(&app, clock::now(), &Progress::default()).await?;
    app.store.close().await;
    say(&format!("Removed {removed} unused blobs."))
}

/// Prints the verifier key of the transparency log, making it when there is none.
///
/// # Errors
/// A folder that a server uses, or that cannot be written.
pub(crate) async fn log_key(data: &Path) -> anyhow::Result<()> {
    let app = App::open(data, Faults::default(), People::default(), Vec::new()).await?;
    say(&app.log.public().to_string())?;
    app.store.close().await;
    Ok(())
}

/// Compares bytes with digests and with the database, and repairs when a source is named.
///
/// # Errors
/// A folder that is none, or that cannot be read.
pub(crate) async fn scrub(data: &Path, from: Option<String>) -> anyhow::Result<ExitCode> {
    let source = from.map(source).transpose()?;
    let store = open_store(data).await?;
    let blobs = BlobStore::at(&data.join("blobs"));
    let found = scrub::run(&store, &blobs, source.as_ref(), &Progress::default()).await?;
    store.close().await;
    tell(&found)?;
    Ok(if found.all_is_well() { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
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
