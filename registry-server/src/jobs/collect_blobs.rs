//! Removes what nobody will use: OCI uploads that were left, pushed blobs that no manifest names, blobs that
//! neither a version nor a repository names, and stored bytes that the database does not know. Refuses to touch
//! anything younger than a day: its publish or its push may be on the way.

use crate::app::App;
use crate::blob::BlobError;
use crate::error::ApiError;
use crate::maintenance::Progress;
use skep_artifact::digest::Digest;
use std::sync::atomic::Ordering;

/// How long an upload may wait for its publish, in seconds.
pub const UNUSED_SECS: i64 = 86_400;
/// Blobs per round under the lock: uploads wait no longer than a few milliseconds.
const BATCH: u32 = 100;

/// Collects everything that is due at `now`, while the server goes on; returns how many blobs went.
///
/// # Errors
/// [`ApiError`]; what was not removed is found again next time.
pub async fn run(app: &App, now: i64, progress: &Progress) -> Result<usize, ApiError> {
    let before = now - UNUSED_SECS;
    end_uploads(app, before).await?;
    while app.store.drop_unnamed_oci_blobs(before, BATCH).await? > 0 {}
    progress.total.store(app.store.count_blobs().await?, Ordering::Relaxed);
    let mut removed = 0;
    loop {
        let _alone = app.collecting.write().await;
        let batch = app.store.forget_unused_blobs(before, BATCH).await?;
        if batch.is_empty() {
            break;
        }
        removed += batch.len();
        progress.done.fetch_add(batch.len() as u64, Ordering::Relaxed);
        remove(app, batch).await?;
    }
    Ok(removed + unknown(app).await?)
}

/// A crash between storing bytes and noting them leaves a file that nothing names.
async fn unknown(app: &App) -> Result<usize, ApiError> {
    let mut removed = 0;
    for digest in app.blobs.stored().await? {
        if app.store.knows_blob(&digest).await? {
            continue;
        }
        let old = app.blobs.age(&digest).await?.is_some_and(|age| age > UNUSED_SECS as u64);
        // Looked up once more alone: an upload of the same bytes may have noted them meanwhile.
        let _alone = app.collecting.write().await;
        if old && !app.store.knows_blob(&digest).await? {
            remove(app, vec![digest]).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

async fn remove(app: &App, batch: Vec<Digest>) -> Result<(), BlobError> {
    let blobs = app.blobs.clone();
    let removing = tokio::task::spawn_blocking(move || {
        batch.iter().try_for_each(|digest| blobs.remove_blocking(digest))
    });
    removing.await.map_err(|source| BlobError::Cancelled { source })?
}

/// Ends uploads of which nothing was heard, and removes the parts of those that are over already: a server
/// that dies between the two leaves them.
async fn end_uploads(app: &App, before: i64) -> Result<(), ApiError> {
    loop {
        let batch = app.store.abandoned_uploads(before, BATCH).await?;
        if batch.is_empty() {
            break;
        }
        for id in batch {
            app.store.end_upload(&id).await?;
            app.blobs.unstage(&id).await?;
        }
    }
    for id in app.blobs.staged_uploads().await? {
        if !app.store.is_upload(&id).await? {
            app.blobs.unstage(&id).await?;
        }
    }
    Ok(())
}
