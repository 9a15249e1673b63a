//! Delivers what is queued for webhooks, as long as anything is due.

use crate::app::App;
use crate::clock;
use crate::store::StoreError;
use crate::webhooks::send::{FAILURES_MAX, attempt};
use futures::future::join_all;

/// Deliveries on the way at the same time: each holds a connection for at most 15 s, so a slow
/// receiver delays no more than those beside it.
const AT_ONCE: i64 = 16;
/// For how long what was taken is not taken again, in seconds: an attempt lasts at most 20.
const HELD_SECS: i64 = 60;
/// How long settled deliveries are shown, in seconds: a month.
const SHOWN_SECS: i64 = 30 * 86_400;

/// Makes every attempt that is due; how many were made.
///
/// # Errors
/// [`StoreError`].
pub async fn run(app: &App) -> Result<usize, StoreError> {
    let mut made = 0;
    loop {
        let now = clock::now();
        let due = app.store.take_due(now, now.saturating_add(HELD_SECS), AT_ONCE).await?;
        if due.is_empty() || app.stopping.is_cancelled() {
            return Ok(made);
        }
        let private = app.people.settings.webhooks;
        let attempts = join_all(due.iter().map(|due| attempt(due, private, now))).await;
        for (due, attempt) in due.iter().zip(&attempts) {
            app.store.attempted(due, attempt, FAILURES_MAX, clock::now()).await?;
        }
        made += due.len();
    }
}

/// Forgets what nobody looks at any more.
///
/// # Errors
/// [`StoreError`].
pub async fn forget(app: &App) -> Result<u64, StoreError> {
    app.store.forget_deliveries(clock::now().saturating_sub(SHOWN_SECS)).await
}
