//! The libxdp backend: members extend a dispatcher that follows libxdp's protocol, attached by netlink
//! so that libxdp's tools can join. Refuses to know how a chain is planned.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use skep_artifact::Digest;

use crate::backend::{Builder, Built, Job, Spot};
use crate::choice::Unfit;
use crate::error::{ApplyError, ObserveError, Unsupported};
use crate::kinds::Backend;
use crate::pins::GenerationDir;
use crate::record::ChainRecord;
use crate::swap::{Live, SeenFolder, SeenLibxdp};

/// The dispatcher and its extensions as they are loaded.
#[derive(Debug, Default)]
pub(crate) struct Libxdp {}

impl Builder for Libxdp {
    fn load_member(
        &mut self,
        _job: &Job<'_>,
        _slot: usize,
        _carried: BTreeMap<String, OwnedFd>,
    ) -> Result<(), ApplyError> {
        Err(unavailable())
    }

    fn load_dispatcher(&mut self, _job: &Job<'_>) -> Result<(), ApplyError> {
        Err(unavailable())
    }

    fn built(&self) -> Built<'_> {
        Built::default()
    }
}

fn unavailable() -> ApplyError {
    let why = Unfit::Kernel { why: "this version of Skep cannot build it".to_owned() };
    ApplyError::BackendUnavailable { backend: Backend::Libxdp, why }
}

/// Whether the kernel lets programs extend others.
pub(crate) fn probe() -> Result<(), Unsupported> {
    Err(Unsupported {
        feature: "extension programs in this version of Skep",
        since: "5.10",
        advice: "use the slots backend",
        source: io::ErrorKind::Unsupported.into(),
    })
}

/// What tells one version of what we generate from another.
pub(crate) fn identity() -> Digest {
    Digest::of(b"libxdp 0")
}

/// Whether a running generation is still as it was built.
pub(crate) fn intact(
    _spot: &Spot<'_>,
    _dir: &GenerationDir,
    _record: &ChainRecord,
) -> Result<bool, ObserveError> {
    Ok(true)
}

/// Our chain among what runs on the interface without a link. Where others rebuilt the dispatcher
/// around our members, the folder of their generation is told that it runs.
pub(crate) fn live(
    _spot: &Spot<'_>,
    _folders: &mut [SeenFolder],
) -> Result<Option<Live>, ObserveError> {
    Ok(None)
}

/// The libxdp chain on an interface, whoever made it.
pub(crate) fn chain_there(_spot: &Spot<'_>) -> Result<Option<SeenLibxdp>, ObserveError> {
    Ok(None)
}

/// Attaches to an interface that runs no XDP program.
pub(crate) fn attach(_job: &Job<'_>, _dispatcher: BorrowedFd<'_>) -> Result<(), ApplyError> {
    Err(unavailable())
}

/// Replaces the program `from` by the new dispatcher.
pub(crate) fn switch(
    _job: &Job<'_>,
    _from: u32,
    _dispatcher: BorrowedFd<'_>,
) -> Result<(), ApplyError> {
    Err(unavailable())
}

/// Takes our members out of the chain; the last one takes the chain off.
pub(crate) fn detach(_spot: &Spot<'_>, _program_id: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes the pins under libxdp's root of a generation that does not run.
pub(crate) fn clear_beside(_spot: &Spot<'_>, _folder: &SeenFolder) -> io::Result<()> {
    Ok(())
}
