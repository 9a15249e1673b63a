//! Reads every blob and compares it with its digest. Refuses to repair: it names what is broken.

use crate::blob::{BlobError, BlobStore};
use crate::error::ApiError;
use crate::store::Store;
use skep_artifact::digest::Digest;
use skep_artifact::limits::PACKAGE_BYTES_MAX;

/// Blobs listed at a time.
const BATCH: u32 = 1000;

/// What a scrub found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Blobs whose bytes are those of their digest.
    pub intact: u64,
    /// Blobs whose bytes were changed.
    pub changed: Vec<Digest>,
    /// Blobs whose file is gone.
    pub missing: Vec<Digest>,
}

/// Reads every blob the database knows.
///
/// # Errors
/// [`ApiError`] when the database or the folder cannot be read at all.
pub async fn run(store: &Store, blobs: &BlobStore) -> Result<Findings, ApiError> {
    let mut findings = Findings::default();
    let mut after = None;
    loop {
        let batch = store.blobs_after(after.as_ref(), BATCH).await?;
        let Some(last) = batch.last() else { return Ok(findings) };
        after = Some(*last);
        for digest in batch {
            let blobs = blobs.clone();
            let reading = tokio::task::spawn_blocking(move || {
                blobs.read_blocking(&digest, PACKAGE_BYTES_MAX as u64)
            });
            match reading.await.map_err(|source| BlobError::Cancelled { source })? {
                Ok(bytes) if Digest::of(&bytes) == digest => findings.intact += 1,
                Ok(_) | Err(BlobError::TooLarge { .. }) => findings.changed.push(digest),
                Err(BlobError::Missing { .. }) => findings.missing.push(digest),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
