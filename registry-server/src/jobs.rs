//! What the server does by itself, one idempotent job per file. Refuses to know what a job does.

pub mod collect_blobs;
pub mod deliver_webhooks;
pub mod fill_facets;
pub mod scrub;
pub mod trust;

use crate::app::App;
use crate::maintenance::Progress;
use crate::memory;
use crate::rollouts::prometheus::Prometheus;
use crate::rollouts::{Driver, LOOK_EVERY};
use crate::store::fleet_clock::Bell;
use std::time::{Duration, SystemTime};
use tokio_util::task::TaskTracker;

/// How often what nodes said is written. A crash loses at most this much of it, and nodes say it
/// again.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// How often unused blobs are looked for; they are kept for a day, so an hour more is no matter.
const COLLECT_EVERY: Duration = Duration::from_secs(3600);

/// How often the queue of webhooks is looked at without being told to: a retry is late by at most
/// this much.
const DELIVER_EVERY: Duration = Duration::from_secs(5);
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
pub fn spawn(app: &App, prometheus: Option<Prometheus>) -> Jobs {
    let tracker = TaskTracker::new();
    let (flushing, collecting, delivering) = (app.clone(), app.clone(), app.clone());
    let trusting = app.clone();
    tracker.spawn(async move {
        while next(&flushing, FLUSH_EVERY).await {
            if let Err(error) = flushing.fleet.flush().await {
                tracing::error!("what nodes said could not be written: {error}");
            }
            let downloads = flushing.downloads.flush(&flushing.store, crate::clock::now());
            if let Err(error) = downloads.await {
                tracing::warn!("downloads could not be written: {error}");
            }
            if let Err(error) = flushing.fleet.hear_others().await {
                tracing::warn!("what nodes told other servers could not be read: {error}");
            }
        }
    });
    if let Some(mut bell) = app.store.bell() {
        let following = app.clone();
        tracker.spawn(async move {
            while rung(&following, &mut bell).await {
                if let Err(error) = following.fleet.follow().await {
                    tracing::warn!("other servers' changes could not be read: {error}");
                }
            }
        });
    }
    tracker.spawn(async move {
        while next(&collecting, COLLECT_EVERY).await {
            match collect_blobs::run(&collecting, crate::clock::now(), &Progress::default()).await {
                Ok(0) => {}
                Ok(blobs) => tracing::info!(blobs, "removed {blobs} unused blobs"),
                Err(error) => tracing::error!("unused blobs could not be removed: {error}"),
            }
            sweep_uploads(&collecting).await;
        }
    });
    tracker.spawn(deliver(delivering));
    tracker.spawn(drive(app.clone(), prometheus));
    tracker.spawn(memory::watch(app.clone()));
    tracker.spawn(fill(app.clone()));
    tracker.spawn(async move {
        // At once: the server may have been down for days.
        trust::run(&trusting).await;
        while next(&trusting, TRUST_EVERY).await {
            trust::run(&trusting).await;
        }
    });
    Jobs { tracker }
}

/// Once: what is published from now on brings its facets along.
async fn fill(app: App) {
    match fill_facets::run(&app).await {
        Ok(0) => {}
        Ok(packages) => {
            tracing::info!(packages, "{packages} packages can be narrowed by facets now")
        }
        Err(error) => tracing::error!("packages cannot all be narrowed by facets: {error}"),
    }
}

/// Removes uploads that nobody went on with.
async fn sweep_uploads(app: &App) {
    let partials = app.partials.clone();
    let sweeping = tokio::task::spawn_blocking(move || partials.sweep_blocking(SystemTime::now()));
    match sweeping.await {
        Ok(Ok(0)) | Err(_) => {}
        Ok(Ok(uploads)) => tracing::info!(uploads, "removed {uploads} unfinished uploads"),
        Ok(Err(error)) => tracing::error!("unfinished uploads could not be removed: {error}"),
    }
}

/// Delivers at once what this server queued, and within a period what others did or what is due again.
async fn deliver(app: App) {
    loop {
        if let Err(error) = deliver_webhooks::run(&app).await {
            tracing::error!("webhooks could not be delivered: {error}");
        }
        let queued = app.people.deliveries.notified();
        tokio::select! {
            () = queued => {}
            () = tokio::time::sleep(DELIVER_EVERY) => {
                if let Err(error) = deliver_webhooks::forget(&app).await {
                    tracing::error!("old deliveries could not be forgotten: {error}");
                }
            }
            () = app.stopping.cancelled() => return,
        }
    }
}

/// Looks at rollouts until the server stops.
async fn drive(app: App, prometheus: Option<Prometheus>) {
    let mut driver = Driver::new(prometheus);
    while next(&app, LOOK_EVERY).await {
        if let Err(error) = driver.look(&app).await {
            tracing::warn!("rollouts could not be looked at: {error}");
        }
    }
}

/// Waits for another server's change, or for as long as one may be overlooked; `false` when the
/// server stops.
async fn rung(app: &App, bell: &mut Bell) -> bool {
    tokio::select! {
        () = bell.wait() => true,
        () = app.stopping.cancelled() => false,
    }
}

/// Waits for the next round; `false` when the server stops.
async fn next(app: &App, period: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(period) => true,
        () = app.stopping.cancelled() => false,
    }
}
