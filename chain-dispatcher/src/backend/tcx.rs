//! Attachment of a tc dispatcher as one tcx link. Others' links keep their places; ours goes after
//! them, because whoever was there first decided without knowing us.

use std::io;
use std::os::fd::BorrowedFd;

use skep_artifact::hook::Hook;

use crate::backend::{Job, xdp_link};
use crate::error::{ApplyError, Unsupported};
use crate::kernel::objects::Attached;
use crate::kernel::sys;

/// `BPF_TCX_INGRESS`, `BPF_TCX_EGRESS`.
const INGRESS: u32 = 46;
const EGRESS: u32 = 47;

/// The kernel's number for a tc hook.
pub(crate) fn attach_type(hook: Hook) -> u32 {
    if hook == Hook::TcEgress { EGRESS } else { INGRESS }
}

/// Attaches a dispatcher after what is on the hook.
pub(crate) fn attach(job: &Job<'_>, dispatcher: BorrowedFd<'_>) -> Result<(), ApplyError> {
    xdp_link::pin_new_link(job, dispatcher, attach_type(job.spot.hook), 0)
}

/// Every program on the hook, in order. A kernel without tcx has none: it does not know the
/// question.
pub(crate) fn attached(ifindex: u32, hook: Hook) -> io::Result<Vec<Attached>> {
    match sys::tcx_query(ifindex, attach_type(hook)) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(Vec::new()),
        other => other,
    }
}

/// Whether the kernel knows tcx hooks: asks about one.
pub(crate) fn probe(ifindex: u32, hook: Hook) -> Result<(), Unsupported> {
    sys::tcx_query(ifindex, attach_type(hook)).map(drop).map_err(|source| Unsupported {
        feature: "tcx links",
        since: "6.6",
        advice: "use the xdp hook of this interface, or a kernel that has them",
        source,
    })
}
