//! What goes into the kernel and what it says about it, in our own types. Plain data and its rules;
//! knows no system call.

use std::io;
use std::os::fd::BorrowedFd;

use aya_obj::generated::{bpf_func_info, bpf_insn, bpf_line_info};

/// What to create a map from.
#[derive(Debug, Clone, Default)]
pub(crate) struct MapSpec<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: MapShape,
    pub(crate) map_extra: u64,
    /// BTF type ids of key and value; 0 is none.
    pub(crate) btf_key: u32,
    pub(crate) btf_value: u32,
    /// For a map of maps: one that is made like those it will hold.
    pub(crate) inner: Option<BorrowedFd<'a>>,
}

/// What two maps must share for the state of one to be the state of the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MapShape {
    pub(crate) kind: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
}

/// What to load a program from.
pub(crate) struct ProgramSpec<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: u32,
    pub(crate) attach_type: u32,
    pub(crate) flags: u32,
    pub(crate) instructions: &'a [bpf_insn],
    pub(crate) license: &'a std::ffi::CStr,
    pub(crate) extends: Option<Extends<'a>>,
    pub(crate) btf: Option<BorrowedFd<'a>>,
    pub(crate) func_info: &'a [bpf_func_info],
    pub(crate) line_info: &'a [bpf_line_info],
}

/// The function that an extension program takes the place of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extends<'a> {
    pub(crate) program: BorrowedFd<'a>,
    /// Its id in the BTF of that program.
    pub(crate) function: u32,
}

/// The kernel refused a program; `log` is what its verifier said, possibly nothing.
#[derive(Debug)]
pub(crate) struct LoadRefused {
    pub(crate) source: io::Error,
    pub(crate) log: String,
}

/// What the kernel says about a loaded program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramInfo {
    pub(crate) id: u32,
    pub(crate) kind: u32,
    pub(crate) tag: [u8; 8],
    pub(crate) name: String,
}

/// What the kernel says about a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MapInfo {
    pub(crate) id: u32,
    pub(crate) shape: MapShape,
    /// The kernel's number for the BTF of key and value; 0 is none.
    pub(crate) btf_id: u32,
    pub(crate) btf_key: u32,
    pub(crate) btf_value: u32,
}

/// What the kernel says about a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkInfo {
    pub(crate) id: u32,
    pub(crate) kind: u32,
    pub(crate) program_id: u32,
    /// 0 once the interface is gone.
    pub(crate) ifindex: u32,
}

/// A program found on a tcx hook; `link_id` is 0 where it was attached without a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) program_id: u32,
    pub(crate) link_id: u32,
}

/// One run of a program over a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestRun {
    pub(crate) retval: u32,
    pub(crate) output: Vec<u8>,
    /// Mean of the repetitions, as the kernel measured it.
    pub(crate) duration_ns: u32,
}

impl MapShape {
    /// The shape that was asked for, where the kernel shows another: it makes maps of devices
    /// read-only for programs by itself.
    pub(crate) fn as_declared(mut self) -> Self {
        const RDONLY_PROG: u32 = 1 << 7;
        // Device maps, by index and by hash.
        if matches!(self.kind, 14 | 25) {
            self.flags &= !RDONLY_PROG;
        }
        self
    }

    /// Whether every CPU has a value of its own: hash, array, LRU hash and cgroup storage can be so.
    pub(crate) fn is_per_cpu(&self) -> bool {
        matches!(self.kind, 5 | 6 | 10 | 21)
    }
}

/// Bytes that the kernel reads or writes for one value of such a map.
pub(super) fn value_bytes(shape: &MapShape) -> io::Result<usize> {
    let value = shape.value_size as usize;
    if shape.is_per_cpu() { Ok(value.next_multiple_of(8) * possible_cpus()?) } else { Ok(value) }
}

/// CPUs that could ever be there: what per-CPU maps hold a value for.
pub(crate) fn possible_cpus() -> io::Result<usize> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = text.trim().rsplit([',', '-']).next().unwrap_or_default();
    let last: usize = last.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(last + 1)
}

/// The kernel's form of a name: at most 15 of `[A-Za-z0-9_.]`.
pub(super) fn object_name(name: &str) -> [u8; 16] {
    let mut field = [0u8; 16];
    for (place, byte) in field.iter_mut().take(15).zip(name.bytes()) {
        *place = if byte.is_ascii_alphanumeric() || byte == b'.' { byte } else { b'_' };
    }
    field
}

/// What a log says up to its end, a zero.
pub(super) fn log_text(log: &[u8]) -> String {
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    String::from_utf8_lossy(&log[..end]).into_owned()
}

pub(super) fn text(field: &[u8; 16]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}
