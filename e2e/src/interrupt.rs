//! Ctrl-C as a condition: every wait looks at it, so that a scenario unwinds and cleans up behind itself.
//! Refuses to know what is cleaned up.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Watches for SIGINT and SIGTERM from now on, in a thread of its own. Without this call both end the process at once.
///
/// # Errors
/// When the runtime or the signal handlers cannot be made.
pub fn watch() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime for signals")?;
    let (mut interrupt, mut terminate) = runtime
        .block_on(async {
            anyhow::Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
        })
        .context("signals cannot be watched")?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        INTERRUPTED.store(true, Ordering::SeqCst);
    });
    Ok(())
}

/// Whether somebody asked us to end.
#[must_use]
pub fn happened() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// An error when somebody asked us to end, so that `?` unwinds to the clean-up.
///
/// # Errors
/// After SIGINT or SIGTERM.
pub fn check() -> Result<()> {
    if happened() {
        bail!("interrupted; cleaning up");
    }
    Ok(())
}
