//! The system clock, in one place. Refuses to know what times are compared with.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 (UTC). A clock before 1970 counts as 0.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
