//! The slots backend: the dispatchers as bytes, and XDP attachment by a link. A slot is an entry of
//! a program array that a stub function of the dispatcher tail-calls; the member returns into the
//! dispatcher, which decides.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::kernel::sys;

/// `BPF_XDP`.
const ATTACH_XDP: u32 = 37;

/// Bytes at an address that 8-byte loads may use, as ELF readers want.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static XDP: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/xdp_dispatcher.o")));
static TC: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/tc_dispatcher.o")));

/// The XDP dispatcher.
pub(crate) static XDP_DISPATCHER: &[u8] = &XDP.0;
/// The tc dispatcher, which the tcx backend attaches.
pub(crate) static TC_DISPATCHER: &[u8] = &TC.0;

/// Attaches a dispatcher to an interface that runs no XDP program. The kernel takes native mode
/// where the driver can, generic mode elsewhere.
pub(crate) fn attach(dispatcher: BorrowedFd<'_>, ifindex: u32) -> io::Result<OwnedFd> {
    sys::link_create(dispatcher, ifindex, ATTACH_XDP, 0)
}
