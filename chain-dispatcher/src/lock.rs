//! One process at a time changes chains under a pin root. Knows nothing else.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::error::ObserveError;

/// A change takes well under a second; ten are patience with a loaded host, and then somebody hangs.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Between two tries: flock(2) waits for ever or not at all, so a wait with an end has to look again.
const POLL: Duration = Duration::from_millis(10);

/// Held while chains are changed; the kernel lets go of it even when the process is killed.
#[derive(Debug)]
pub(crate) struct Lock {
    _folder: File,
}

/// Takes the lock of a pin root.
pub(crate) fn take(root: &Path) -> Result<Lock, ObserveError> {
    let pins = |source| ObserveError::Pins { path: root.to_owned(), source };
    let folder = File::open(root).map_err(pins)?;
    let started = Instant::now();
    loop {
        match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Lock { _folder: folder }),
            Err(rustix::io::Errno::WOULDBLOCK) if started.elapsed() < WAIT_MAX => {
                std::thread::sleep(POLL);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(ObserveError::Busy {
                    path: root.to_owned(),
                    waited_secs: WAIT_MAX.as_secs(),
                });
            }
            Err(error) => return Err(pins(io::Error::from(error))),
        }
    }
}
