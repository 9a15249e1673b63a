//! Looking at the chains under a pin root without the right to change them: for tools beside the
//! process that owns the root. Takes no lock, probes nothing, removes nothing.

use std::path::PathBuf;

use crate::chain::HookPoint;
use crate::counters::{self, MemberCounters};
use crate::error::ObserveError;
use crate::observe::{self, ObservedChain};
use crate::pins::HookDir;

/// Reads what runs under a pin root, in the network namespace of the calling thread. Needs root, as
/// pins do. A root that is not there holds no chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observer {
    root: PathBuf,
}

impl Observer {
    /// Looks at one pin root from now on.
    pub fn of(pin_root: impl Into<PathBuf>) -> Self {
        Self { root: pin_root.into() }
    }

    /// Every chain under the root, and every hook that others hold.
    ///
    /// # Errors
    /// When pins or kernel cannot be read.
    pub fn observe(&self) -> Result<Vec<ObservedChain>, ObserveError> {
        observe::chains(&self.root)
    }

    /// What one hook runs.
    ///
    /// # Errors
    /// When there is no such interface, or pins or kernel cannot be read.
    pub fn observe_hook(&self, at: &HookPoint) -> Result<ObservedChain, ObserveError> {
        let (interface, key) = observe::locate(at)?;
        let dir = HookDir::of(&self.root, &key);
        let seen = observe::seen(&dir, &interface, at.hook)?;
        observe::observed(&dir, &interface, at.hook, &seen)
    }

    /// What the members on a hook counted; empty where no chain of this root runs.
    ///
    /// # Errors
    /// When there is no such interface, or pins or kernel cannot be read.
    pub fn counters(&self, at: &HookPoint) -> Result<Vec<MemberCounters>, ObserveError> {
        let (interface, key) = observe::locate(at)?;
        let dir = HookDir::of(&self.root, &key);
        let seen = observe::seen(&dir, &interface, at.hook)?;
        counters::read(&dir, at.hook, &seen)
    }
}
