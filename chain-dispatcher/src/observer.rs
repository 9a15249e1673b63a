//! Looking at the chains under a pin root without the right to change them: for tools beside the
//! process that owns the root. Takes no lock, probes nothing, removes nothing.

use std::path::PathBuf;

use crate::chain::HookPoint;
use crate::counters::{self, MemberCounters};
use crate::drops::{DropStream, DropsError, Roots};
use crate::engine::EngineConfig;
use crate::error::ObserveError;
use crate::observe::{self, Look, ObservedChain};

/// Reads what runs under a pin root, in the network namespace of the calling thread. Needs root, as
/// pins do. A root that is not there holds no chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observer {
    root: PathBuf,
    libxdp_root: PathBuf,
}

impl Observer {
    /// Looks at one pin root from now on.
    pub fn of(pin_root: impl Into<PathBuf>) -> Self {
        Self { root: pin_root.into(), libxdp_root: EngineConfig::LIBXDP_ROOT.into() }
    }

    /// The folder in which libxdp's users keep their pins, when it is not the usual one.
    #[must_use]
    pub fn with_libxdp_root(self, libxdp_root: impl Into<PathBuf>) -> Self {
        Self { libxdp_root: libxdp_root.into(), ..self }
    }

    /// Every chain under the root, and every hook that others hold.
    ///
    /// # Errors
    /// When pins or kernel cannot be read.
    pub fn observe(&self) -> Result<Vec<ObservedChain>, ObserveError> {
        observe::chains(&self.root, &self.libxdp_root)
    }

    /// What one hook runs.
    ///
    /// # Errors
    /// When there is no such interface, or pins or kernel cannot be read.
    pub fn observe_hook(&self, at: &HookPoint) -> Result<ObservedChain, ObserveError> {
        let look = Look::at(&self.root, &self.libxdp_root, at)?;
        observe::observed(&look.spot(), &look.seen)
    }

    /// What the members on a hook counted; empty where no chain of this root runs.
    ///
    /// # Errors
    /// When there is no such interface, or pins or kernel cannot be read.
    pub fn counters(&self, at: &HookPoint) -> Result<Vec<MemberCounters>, ObserveError> {
        let look = Look::at(&self.root, &self.libxdp_root, at)?;
        counters::read(&look.dir, at.hook, &look.seen)
    }

    /// The drops of a hook from now on, one in `one_in`. One reader per hook at a time; telling ends
    /// with the stream. The one thing an observer changes is what the chain tells.
    ///
    /// # Errors
    /// Where no chain of this root runs, it cannot be looked into, or somebody reads already.
    pub fn drops(&self, at: &HookPoint, one_in: u32) -> Result<DropStream, DropsError> {
        let roots = Roots { pins: self.root.clone(), libxdp: self.libxdp_root.clone() };
        DropStream::open(roots, at, one_in)
    }
}
