//! What the server does by itself, one idempotent job per file. Refuses to know what a job does.

pub mod collect_blobs;
pub mod scrub;
pub mod trust;

use crate::app::App;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// How often what nodes said is written. A crash loses at most this much of it, and nodes say it
/// again.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// How often unused blobs are looked for; they are kept for a day, so an hour more is no matter.
const COLLECT_EVERY: Duration = Duration::from_secs(3600);

/// How often it is looked whether a trust document is due: a timestamp has twelve hours left then.
const TRUST_EVERY: Duration = Duration::from_secs(600);

/// The running jobs.
pub struct Jobs {
    tracker: TaskTracker,
}

impl Jobs {
    /// Waits until every job has seen that the server stops.
    pub async fn wait(self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Starts every job; they end when the server stops.
#[must_use]
pub fn spawn(app: &App) -> Jobs {
    let tracker = TaskTracker::new();
    let (flushing, collecting, trusting) = (app.clone(), app.clone(), app.clone());
    tracker.spawn(async move {
        while next(&flushing, FLUSH_EVERY).await {
            if let Err(error) = flushing.fleet.flush().await {
                tracing::error!("what nodes said could not be written: {error}");
            }
        }
    });
    tracker.spawn(async move {
        while next(&collecting, COLLECT_EVERY).await {
            match collect_blobs::run(&collecting, crate::clock::now()).await {
                Ok(0) => {}
                Ok(blobs) => tracing::info!(blobs, "removed {blobs} unused blobs"),
                Err(error) => tracing::error!("unused blobs could not be removed: {error}"),
            }
        }
    });
    tracker.spawn(async move {
        // At once: the server may have been down for days.
        trust::run(&trusting).await;
        while next(&trusting, TRUST_EVERY).await {
            trust::run(&trusting).await;
        }
    });
    Jobs { tracker }
}

/// Waits for the next round; `false` when the server stops.
async fn next(app: &App, period: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(period) => true,
        () = app.stopping.cancelled() => false,
    }
}
