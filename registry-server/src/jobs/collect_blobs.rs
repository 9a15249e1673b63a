//! Removes blobs that no version names and that were uploaded more than a day ago. Refuses to
//! touch anything younger: its publish may be on the way.

use crate::app::App;
use crate::blob::BlobError;
use crate::error::ApiError;

/// How long an upload may wait for its publish, in seconds.
pub const UNUSED_SECS: i64 = 86_400;
/// Blobs per round under the lock: uploads wait no longer than a few milliseconds.
const BATCH: u32 = 100;

/// Collects everything that is due at `now`; returns how many blobs went.
///
/// # Errors
/// [`ApiError`]; what was not removed is found again next time, except for files whose removal
/// failed after their record went: those are overwritten by the next upload of the same bytes.
pub async fn run(app: &App, now: i64) -> Result<usize, ApiError> {
    let mut removed = 0;
    loop {
        let _alone = app.collecting.write().await;
        let batch = app.store.forget_unused_blobs(now - UNUSED_SECS, BATCH).await?;
        if batch.is_empty() {
            return Ok(removed);
        }
        removed += batch.len();
        let blobs = app.blobs.clone();
        let removing = tokio::task::spawn_blocking(move || {
            batch.iter().try_for_each(|digest| blobs.remove_blocking(digest))
        });
        removing.await.map_err(|source| BlobError::Cancelled { source })??;
    }
}
