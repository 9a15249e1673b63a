//! Attachment by a pinned bpf_link: XDP's own, and what all links share. Nobody replaces such a chain
//! by accident. Refuses to know how the dispatcher was built.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::backend::{Job, live_error};
use crate::chain::XdpModeChoice;
use crate::error::ApplyError;
use crate::kernel::sys;
use crate::pins::HookDir;

/// `BPF_XDP`.
const ATTACH_XDP: u32 = 37;
/// `XDP_FLAGS_SKB_MODE`, `XDP_FLAGS_DRV_MODE`.
const GENERIC_MODE: u32 = 1 << 1;
const NATIVE_MODE: u32 = 1 << 2;

/// Attaches a dispatcher to an interface that runs no XDP program. Unless a mode is asked for, the
/// kernel takes native mode where the driver can, generic mode elsewhere.
pub(crate) fn attach(job: &Job<'_>, dispatcher: BorrowedFd<'_>) -> Result<(), ApplyError> {
    let flags = match job.mode {
        XdpModeChoice::Auto => 0,
        XdpModeChoice::Native => NATIVE_MODE,
        XdpModeChoice::Generic => GENERIC_MODE,
    };
    pin_new_link(job, dispatcher, ATTACH_XDP, flags)
}

/// Makes a link and pins it. Should this process die before the pin is made, the kernel takes the
/// link off again: the hook is as it was.
pub(crate) fn pin_new_link(
    job: &Job<'_>,
    dispatcher: BorrowedFd<'_>,
    attach_type: u32,
    flags: u32,
) -> Result<(), ApplyError> {
    let link = sys::link_create(dispatcher, job.spot.interface.index, attach_type, flags)
        .map_err(|source| live_error(job, "attach the chain", source))?;
    let path = job.spot.dir.link();
    sys::obj_pin(link.as_fd(), &path).map_err(|source| ApplyError::Pin { path, source })
}

/// Makes the pinned link run another dispatcher if it runs the program `from`.
pub(crate) fn switch(
    job: &Job<'_>,
    from: u32,
    dispatcher: BorrowedFd<'_>,
) -> Result<(), ApplyError> {
    let path = job.spot.dir.link();
    let link = sys::obj_get(&path).map_err(|source| ApplyError::Pin { path, source })?;
    sys::prog_by_id(from)
        .and_then(|old| sys::link_update(link.as_fd(), dispatcher, old.as_fd()))
        .map_err(|source| live_error(job, "switch to the new chain", source))
}

/// Takes the pinned link off its hook and forgets it. Detached, not only unpinned: somebody else may
/// hold the link open.
pub(crate) fn detach(dir: &HookDir) -> io::Result<()> {
    let path = dir.link();
    sys::link_detach(sys::obj_get(&path)?.as_fd())?;
    std::fs::remove_file(path)
}
