//! The commands of bpf(2) that libxdp's protocol needs: tying an extension to a function of another
//! program, and asking for a program's maps and type information.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::{bpf, bpf_fd, btf_bytes, by_id, object_info};
use crate::kernel::attr::{
    CMD_LINK_CREATE, CMD_MAP_GET_FD_BY_ID, CMD_OBJ_GET_INFO_BY_FD, ExtensionLink, ObjectQuery,
    ProgramDetails, length, raw,
};

/// Maps that one program can use: the kernel's `MAX_USED_MAPS`.
const MAPS_MAX: usize = 64;

/// Makes a loaded extension run in place of a function of `target`: of the one it was verified
/// against or, since Linux 5.10, of another with the same function. It does so as long as the link
/// lives. `function` is the id of the function in the type information of `target`.
pub(crate) fn extend(
    extension: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    function: u32,
) -> io::Result<OwnedFd> {
    let mut attr = ExtensionLink {
        prog_fd: raw(extension),
        target_fd: raw(target),
        target_btf_id: function,
        ..ExtensionLink::default()
    };
    // SAFETY: the attribute holds no pointers.
    unsafe { bpf_fd(CMD_LINK_CREATE, &mut attr) }
}

/// The maps that a program uses. Needs CAP_SYS_ADMIN. One that goes away meanwhile is left out.
pub(crate) fn prog_maps(program: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0u32; MAPS_MAX];
    let mut info = ProgramDetails {
        maps: length(MAPS_MAX)?,
        map_ids: ids.as_mut_ptr() as u64,
        ..Default::default()
    };
    let mut attr = ObjectQuery {
        bpf_fd: raw(program),
        info_len: length(size_of::<ProgramDetails>())?,
        info: std::ptr::from_mut(&mut info) as u64,
    };
    // SAFETY: `info` is writable for `info_len` bytes and `ids` for as many ids as `info` says, and
    // both outlive the call.
    unsafe { bpf(CMD_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    let found = (info.maps as usize).min(MAPS_MAX);
    Ok(ids[..found].iter().filter_map(|id| by_id(CMD_MAP_GET_FD_BY_ID, *id).ok()).collect())
}

/// A program's type information; none if it was loaded without. Needs CAP_SYS_ADMIN.
pub(crate) fn prog_btf(program: BorrowedFd<'_>) -> io::Result<Option<Vec<u8>>> {
    let details: ProgramDetails = object_info(program)?;
    if details.btf_id == 0 {
        return Ok(None);
    }
    btf_bytes(details.btf_id).map(Some)
}
