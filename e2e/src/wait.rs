//! Bounded waits on a condition. Refuses to know what is waited for; there is no waiting for time to pass.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;

/// How often a condition is looked at: often enough that no test notices, rarely enough that two cores do not.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Long enough for a loaded machine of two cores to verify and attach a chain; a healthy one needs under a second.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the condition yields a value.
///
/// # Errors
/// What the condition returned as an error, or a sentence with what was waited for when it did not come in time.
pub fn until<T>(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        interrupt::check()?;
        if start.elapsed() > patience {
            bail!("waited {} s for this, and it did not come: {what}", patience.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
