//! What the kernel says about a program, a map or a link that is open, in our own types. Safe code: the
//! system call stays with the parent.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::{btf_bytes, by_id, object_info};
use crate::kernel::attr::{
    CMD_LINK_GET_FD_BY_ID, CMD_PROG_GET_FD_BY_ID, LinkAnswer, MapAnswer, ProgramAnswer,
    ProgramDetails,
};
use crate::kernel::objects::{LinkInfo, MapInfo, MapShape, ProgramInfo, text};

/// Opens a program by its id. Needs CAP_SYS_ADMIN.
pub(crate) fn prog_by_id(id: u32) -> io::Result<OwnedFd> {
    by_id(CMD_PROG_GET_FD_BY_ID, id)
}

/// Opens a link by its id. Needs CAP_SYS_ADMIN.
pub(crate) fn link_by_id(id: u32) -> io::Result<OwnedFd> {
    by_id(CMD_LINK_GET_FD_BY_ID, id)
}

/// Asks the kernel about a program.
pub(crate) fn prog_info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    let info: ProgramAnswer = object_info(program)?;
    Ok(ProgramInfo { id: info.id, kind: info.kind, tag: info.tag, name: text(&info.name) })
}

/// Asks the kernel about a map.
pub(crate) fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    let info: MapAnswer = object_info(map)?;
    Ok(MapInfo {
        id: info.id,
        shape: MapShape {
            kind: info.kind,
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            flags: info.flags,
        },
        btf_id: info.btf_id,
        btf_key: info.btf_key_type_id,
        btf_value: info.btf_value_type_id,
    })
}

/// Asks the kernel about an XDP or tcx link.
pub(crate) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let info: LinkAnswer = object_info(link)?;
    Ok(LinkInfo {
        id: info.id,
        kind: info.kind,
        program_id: info.program_id,
        ifindex: info.ifindex,
    })
}

/// A program's type information; none if it was loaded without. Needs CAP_SYS_ADMIN.
pub(crate) fn prog_btf(program: BorrowedFd<'_>) -> io::Result<Option<Vec<u8>>> {
    let details: ProgramDetails = object_info(program)?;
    if details.btf_id == 0 {
        return Ok(None);
    }
    btf_bytes(details.btf_id).map(Some)
}
