//! The bpf(2) system call, one safe function per command that we use, and membarrier(2). The only
//! unsafe code of the workspace: every block hands the kernel pointers into buffers that outlive
//! the call, with their true lengths. Knows no chain, no pin layout, no object format.

#![expect(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper in libc; every block argues its safety"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::attr::{
    BtfAnswer, BtfLoad, CMD_BTF_GET_FD_BY_ID, CMD_BTF_LOAD, CMD_LINK_CREATE, CMD_LINK_DETACH,
    CMD_LINK_GET_NEXT_ID, CMD_LINK_UPDATE, CMD_MAP_CREATE, CMD_MAP_FREEZE, CMD_MAP_GET_FD_BY_ID,
    CMD_MAP_GET_NEXT_KEY, CMD_MAP_LOOKUP_ELEM, CMD_MAP_UPDATE_ELEM, CMD_OBJ_GET,
    CMD_OBJ_GET_INFO_BY_FD, CMD_OBJ_PIN, CMD_PROG_LOAD, CMD_PROG_QUERY, CMD_PROG_TEST_RUN,
    ExtensionLink, HookQuery, LOG_INSTRUCTIONS, LOG_STATISTICS, LinkCreate, MapElement,
    ObjectQuery, Pinning, ProgramDetails, ProgramRun, address, length, raw,
};
use super::objects::{Attached, LoadRefused, MapSpec, ProgramSpec, TestRun, log_text, value_bytes};

pub(crate) use info::{link_by_id, link_info, map_info, prog_btf, prog_by_id, prog_info};
use requests::{map_attr, program_attr};

mod info;
mod requests;

/// Room for what the verifier says. It keeps the end of a longer log only when asked for, so this
/// is generous; the last lines are what people need.
const VERIFIER_LOG_BYTES: usize = 4 << 20;

/// `BPF_F_REPLACE`: update a link only if it runs the program we expect.
const F_REPLACE: u32 = 1 << 2;
/// Maps that one program can use: the kernel's `MAX_USED_MAPS`.
const MAPS_MAX: usize = 64;
/// Programs and links that one tcx hook can hold: the kernel's `BPF_MPROG_MAX`.
const QUERY_MAX: usize = 64;
/// More links than any host has; ends a walk that races with somebody who makes them for ever.
const LINKS_MAX: usize = 100_000;
/// `BPF_LINK_TYPE_XDP`.
pub(crate) const LINK_XDP: u32 = 6;

/// The verifier and test runs give up when a signal arrives (EAGAIN, EINTR); libbpf tries five
/// times, and so do we.
const INTERRUPTED_TRIES_MAX: u32 = 5;

/// Creates a map.
pub(crate) fn map_create(spec: &MapSpec<'_>, btf: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let mut attr = map_attr(spec, btf);
    // SAFETY: the attribute holds no pointers.
    unsafe { bpf_fd(CMD_MAP_CREATE, &mut attr) }
}

/// Writes one element. `key` and `value` must be as long as the map's own sizes, which is checked.
pub(crate) fn map_update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let shape = map_info(map)?.shape;
    if key.len() != shape.key_size as usize || value.len() != value_bytes(&shape)? {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut attr = MapElement {
        map_fd: raw(map),
        key: address(key),
        value: address(value),
        ..MapElement::default()
    };
    // SAFETY: key and value are readable for the lengths that the kernel reads: checked above.
    unsafe { bpf(CMD_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// Reads one element; for a per-CPU map the values of all possible CPUs, one after the other, each
/// rounded up to 8 bytes. `None` where there is no such key.
pub(crate) fn map_lookup(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let shape = map_info(map)?.shape;
    if key.len() != shape.key_size as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut value = vec![0u8; value_bytes(&shape)?];
    let mut attr = MapElement {
        map_fd: raw(map),
        key: address(key),
        value: value.as_mut_ptr() as u64,
        ..MapElement::default()
    };
    // SAFETY: `key` is as long as the map's keys and `value` has room for what the kernel writes.
    match unsafe { bpf(CMD_MAP_LOOKUP_ELEM, &mut attr) } {
        Ok(_) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The key after `key`, the first one for none and for a key that is gone. `None` after the last.
pub(crate) fn map_next_key(map: BorrowedFd<'_>, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
    let length = map_info(map)?.shape.key_size as usize;
    if key.is_some_and(|key| key.len() != length) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut next = vec![0u8; length];
    let mut attr = MapElement {
        map_fd: raw(map),
        key: key.map_or(0, address),
        value: next.as_mut_ptr() as u64,
        ..MapElement::default()
    };
    // SAFETY: both keys are as long as the map's own, which the kernel reads and writes.
    match unsafe { bpf(CMD_MAP_GET_NEXT_KEY, &mut attr) } {
        Ok(_) => Ok(Some(next)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a map unwritable from user space, for ever.
pub(crate) fn map_freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    numbers(CMD_MAP_FREEZE, [raw(map)])
}

/// Loads BTF.
pub(crate) fn btf_load(btf: &[u8]) -> io::Result<OwnedFd> {
    let mut attr =
        BtfLoad { btf: address(btf), btf_size: length(btf.len())?, ..BtfLoad::default() };
    // SAFETY: `btf` is readable for `btf_size` bytes.
    unsafe { bpf_fd(CMD_BTF_LOAD, &mut attr) }
}

/// Loads a program and gives what the verifier says of a good one, which is little and fast; when
/// the kernel refuses, asks for everything that it has to say.
pub(crate) fn prog_load(spec: &ProgramSpec<'_>) -> Result<(OwnedFd, String), LoadRefused> {
    let silent = |source| LoadRefused { source, log: String::new() };
    let mut attr = program_attr(spec).map_err(silent)?;
    let mut log = vec![0u8; VERIFIER_LOG_BYTES];
    attr.log_level = LOG_STATISTICS;
    attr.log_size = length(log.len()).map_err(silent)?;
    attr.log_buf = log.as_mut_ptr() as u64;
    // SAFETY: every pointer in the attribute points into `spec`, which outlives the call, with its
    // true length, and the log buffer is writable for `log_size` bytes.
    let refused = match unsafe { bpf_fd(CMD_PROG_LOAD, &mut attr) } {
        Ok(fd) => return Ok((fd, log_text(&log))),
        Err(error) => error,
    };
    if refused.raw_os_error() == Some(libc::EPERM) {
        return Err(silent(refused));
    }
    attr.log_level = LOG_INSTRUCTIONS;
    // SAFETY: as above.
    match unsafe { bpf_fd(CMD_PROG_LOAD, &mut attr) } {
        // The kernel changed its mind (memory pressure, a signal): what is loaded is loaded.
        Ok(fd) => Ok((fd, String::new())),
        Err(error) => {
            let source = if error.raw_os_error() == Some(libc::ENOSPC) { refused } else { error };
            Err(LoadRefused { source, log: log_text(&log) })
        }
    }
}

/// Pins a program, map or link at `path`, which must lie in a bpffs and not exist.
pub(crate) fn obj_pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Pinning { pathname: path.as_ptr() as u64, bpf_fd: raw(object), file_flags: 0 };
    // SAFETY: `path` is NUL-terminated and outlives the call.
    unsafe { bpf(CMD_OBJ_PIN, &mut attr) }.map(drop)
}

/// Opens what is pinned at `path`.
pub(crate) fn obj_get(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Pinning { pathname: path.as_ptr() as u64, ..Pinning::default() };
    // SAFETY: `path` is NUL-terminated and outlives the call.
    unsafe { bpf_fd(CMD_OBJ_GET, &mut attr) }
}

/// Attaches a program to an interface by a new link. For tcx the link goes after what is there.
pub(crate) fn link_create(
    program: BorrowedFd<'_>,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate {
        prog_fd: raw(program),
        target_ifindex: ifindex,
        attach_type,
        flags,
        ..LinkCreate::default()
    };
    // SAFETY: the attribute holds no pointers.
    unsafe { bpf_fd(CMD_LINK_CREATE, &mut attr) }
}

/// Makes a link run `new`, only if it runs `expected` now.
pub(crate) fn link_update(
    link: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    expected: BorrowedFd<'_>,
) -> io::Result<()> {
    numbers(CMD_LINK_UPDATE, [raw(link), raw(new), F_REPLACE, raw(expected)])
}

/// Takes a link off its hook, whoever holds it.
pub(crate) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    numbers(CMD_LINK_DETACH, [raw(link)])
}

/// Returns once every program run that had begun is over: the kernel waits for a grace period of
/// RCU, under which packets meet programs. Takes some 10 ms.
pub(crate) fn wait_for_running_programs() -> io::Result<()> {
    let (command, flags) = (libc::MEMBARRIER_CMD_GLOBAL, 0u32);
    // SAFETY: membarrier takes no pointers.
    match unsafe { libc::syscall(libc::SYS_membarrier, command, flags, 0i32) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The ids of all links there are. Needs CAP_SYS_ADMIN.
pub(crate) fn link_ids() -> io::Result<Vec<u32>> {
    let (mut ids, mut attr) = (Vec::new(), [0u32; 3]);
    while ids.len() < LINKS_MAX {
        // SAFETY: the attribute holds no pointers: start id, next id, flags.
        match unsafe { bpf(CMD_LINK_GET_NEXT_ID, &mut attr) } {
            Ok(_) => ids.push(attr[1]),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => break,
            Err(error) => return Err(error),
        }
        attr[0] = attr[1];
    }
    Ok(ids)
}

/// A descriptor's number as a program array takes it for a value.
pub(crate) fn raw_fd_bytes(fd: BorrowedFd<'_>) -> [u8; 4] {
    raw(fd).to_ne_bytes()
}

/// The bytes of BTF that is in the kernel, by its id. Needs CAP_SYS_ADMIN.
pub(crate) fn btf_bytes(id: u32) -> io::Result<Vec<u8>> {
    let btf = by_id(CMD_BTF_GET_FD_BY_ID, id)?;
    let size = object_info::<BtfAnswer>(btf.as_fd())?.btf_size;
    let mut bytes = vec![0u8; size as usize];
    let mut info =
        BtfAnswer { btf: bytes.as_mut_ptr() as u64, btf_size: size, ..BtfAnswer::default() };
    let mut attr = ObjectQuery {
        bpf_fd: raw(btf.as_fd()),
        info_len: length(size_of::<BtfAnswer>())?,
        info: std::ptr::from_mut(&mut info) as u64,
    };
    // SAFETY: `info` is writable for `info_len` bytes, and `bytes`, to which it points, for
    // `btf_size`; both outlive the call.
    unsafe { bpf(CMD_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(bytes)
}

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

/// What is attached to a tcx hook, in the order in which packets meet it.
pub(crate) fn tcx_query(ifindex: u32, attach_type: u32) -> io::Result<Vec<Attached>> {
    let mut programs = [0u32; QUERY_MAX];
    let mut links = [0u32; QUERY_MAX];
    let mut attr = HookQuery {
        target_ifindex: ifindex,
        attach_type,
        prog_ids: programs.as_mut_ptr() as u64,
        link_ids: links.as_mut_ptr() as u64,
        count: length(QUERY_MAX)?,
        ..HookQuery::default()
    };
    // SAFETY: both arrays have room for `count` ids and outlive the call.
    unsafe { bpf(CMD_PROG_QUERY, &mut attr) }?;
    let found = (attr.count as usize).min(QUERY_MAX);
    Ok(programs
        .iter()
        .zip(&links)
        .take(found)
        .map(|(program, link)| Attached { program_id: *program, link_id: *link })
        .collect())
}

/// Runs a program over `packet`, `repeat` times, and gives what it left of the packet.
/// `room` is how many bytes the packet may have grown by.
pub(crate) fn prog_test_run(
    program: BorrowedFd<'_>,
    packet: &[u8],
    repeat: u32,
    room: usize,
) -> io::Result<TestRun> {
    let mut output = vec![0u8; packet.len() + room];
    let mut attr = ProgramRun {
        prog_fd: raw(program),
        data_size_in: length(packet.len())?,
        data_size_out: length(output.len())?,
        data_in: address(packet),
        data_out: output.as_mut_ptr() as u64,
        repeat,
        ..ProgramRun::default()
    };
    // SAFETY: `packet` is readable and `output` writable for the lengths given.
    unsafe { bpf(CMD_PROG_TEST_RUN, &mut attr) }?;
    output.truncate(attr.data_size_out as usize);
    Ok(TestRun { retval: attr.retval, output, duration_ns: attr.duration })
}

fn object_info<I: Default>(object: BorrowedFd<'_>) -> io::Result<I> {
    let mut info = I::default();
    let mut attr = ObjectQuery {
        bpf_fd: raw(object),
        info_len: length(size_of::<I>())?,
        info: std::ptr::from_mut(&mut info) as u64,
    };
    // SAFETY: `info` is writable for `info_len` bytes, outlives the call, and is one of the
    // structs of integers in `attr`, for which every bit pattern is a value.
    unsafe { bpf(CMD_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(info)
}

/// # Safety
/// `attr` must be laid out as the kernel's `union bpf_attr` for `command`, and every address in it
/// must be valid for the length that goes with it until this returns.
unsafe fn bpf<A>(command: u32, attr: &mut A) -> io::Result<libc::c_long> {
    let mut tries = 0;
    loop {
        tries += 1;
        // SAFETY: by the contract of this function.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<A>())
        };
        if result >= 0 {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        let again = [Some(libc::EAGAIN), Some(libc::EINTR)].contains(&error.raw_os_error());
        let loads = [CMD_PROG_LOAD, CMD_PROG_TEST_RUN].contains(&command);
        if !(again && loads && tries < INTERRUPTED_TRIES_MAX) {
            return Err(error);
        }
    }
}

/// # Safety
/// As for [`bpf`]; and `command` must be one that returns a new file descriptor.
unsafe fn bpf_fd<A>(command: u32, attr: &mut A) -> io::Result<OwnedFd> {
    // SAFETY: by the contract of this function.
    let fd = unsafe { bpf(command, attr) }?;
    let fd = i32::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the kernel just made this descriptor for us and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A command whose attribute holds numbers only and that gives nothing back.
fn numbers<const N: usize>(command: u32, mut attr: [u32; N]) -> io::Result<()> {
    // SAFETY: the attribute holds no pointers.
    unsafe { bpf(command, &mut attr) }.map(drop)
}

fn by_id(command: u32, id: u32) -> io::Result<OwnedFd> {
    let mut attr = [id, 0, 0];
    // SAFETY: the attribute holds no pointers, and both commands that come here open something.
    unsafe { bpf_fd(command, &mut attr) }
}
