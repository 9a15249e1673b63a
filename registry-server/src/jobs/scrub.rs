//! Reads every blob and compares it with its digest, and the database with what is stored. Repairs
//! from a registry that has the same packages, when one is named. Refuses to believe it: digests decide.

use crate::blob::{BlobError, BlobStore};
use crate::error::ApiError;
use crate::maintenance::Progress;
use crate::store::Store;
use crate::store::blobs::HeldBlob;
use futures::stream;
use skep_api::client::Client;
use skep_api::v1::maintenance::{FINDINGS_MAX, Findings};
use skep_artifact::digest::Digest;
use skep_artifact::limits::PACKAGE_BYTES_MAX;
use std::sync::atomic::Ordering;

/// Blobs listed at a time.
const BATCH: u32 = 1000;

/// What is wrong with one blob.
enum Fault {
    Changed,
    Missing,
}

/// Reads every blob the database knows, then looks for stored bytes that it does not know.
///
/// # Errors
/// [`ApiError`] when the database or the store of bytes cannot be read at all.
pub async fn run(
    store: &Store,
    blobs: &BlobStore,
    source: Option<&Client>,
    progress: &Progress,
) -> Result<Findings, ApiError> {
    progress.total.store(store.count_blobs().await?, Ordering::Relaxed);
    let mut findings = Findings::default();
    let mut after = None;
    loop {
        let batch = store.blobs_after(after.as_ref(), BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = Some(last.digest);
        for held in batch {
            look(blobs, source, &held, &mut findings).await?;
            progress.done.fetch_add(1, Ordering::Relaxed);
        }
    }
    find_unknown(store, blobs, &mut findings).await?;
    Ok(findings)
}

async fn look(
    blobs: &BlobStore,
    source: Option<&Client>,
    held: &HeldBlob,
    findings: &mut Findings,
) -> Result<(), ApiError> {
    let digest = held.digest;
    let Some(fault) = fault_of(blobs, digest).await? else {
        findings.intact += 1;
        return Ok(());
    };
    if let Some(source) = source
        && repaired(blobs, source, held).await?
    {
        findings.intact += 1;
        note(&mut findings.repaired, digest);
        return Ok(());
    }
    note(
        match (fault, &held.package) {
            (Fault::Changed, _) => &mut findings.changed,
            (Fault::Missing, Some(_)) => &mut findings.missing,
            (Fault::Missing, None) => &mut findings.lost_uploads,
        },
        digest,
    );
    Ok(())
}

async fn fault_of(blobs: &BlobStore, digest: Digest) -> Result<Option<Fault>, BlobError> {
    let blobs = blobs.clone();
    let reading = tokio::task::spawn_blocking(move || {
        blobs.read_blocking(&digest, PACKAGE_BYTES_MAX as u64).map(|bytes| Digest::of(&bytes))
    });
    match reading.await.map_err(|source| BlobError::Cancelled { source })? {
        Ok(found) if found == digest => Ok(None),
        Ok(_) | Err(BlobError::TooLarge { .. }) => Ok(Some(Fault::Changed)),
        Err(BlobError::Missing { .. }) => Ok(Some(Fault::Missing)),
        Err(error) => Err(error),
    }
}

/// Fetches a blob by the name of a package that holds it. A source that fails or has other bytes
/// repairs nothing and stops nothing.
async fn repaired(blobs: &BlobStore, source: &Client, held: &HeldBlob) -> Result<bool, ApiError> {
    let Some(package) = &held.package else { return Ok(false) };
    let bytes = match source.blob(package, &held.digest, PACKAGE_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let digest = held.digest;
            tracing::warn!(%digest, "{digest} could not be fetched for a repair: {error}");
            return Ok(false);
        }
    };
    let limit = bytes.len() as u64;
    let received = blobs.receive(limit, stream::iter([Ok(bytes)])).await?;
    match blobs.keep(received, held.digest).await {
        Ok(_) => Ok(true),
        Err(BlobError::WrongDigest { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn find_unknown(
    store: &Store,
    blobs: &BlobStore,
    findings: &mut Findings,
) -> Result<(), ApiError> {
    for digest in blobs.stored().await? {
        if findings.unknown.len() >= FINDINGS_MAX {
            break;
        }
        if !store.knows_blob(&digest).await? {
            note(&mut findings.unknown, digest);
        }
    }
    Ok(())
}

fn note(list: &mut Vec<Digest>, digest: Digest) {
    if list.len() < FINDINGS_MAX {
        list.push(digest);
    }
}
