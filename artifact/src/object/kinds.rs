//! The small types facts are made of: byte order, integers, kernel releases, program kinds.
//! It refuses to know how they are found in a file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hook::Hook;

/// Byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    /// bpfel: amd64, arm64, riscv64…
    Little,
    /// bpfeb: s390x.
    Big,
}

/// The unsigned integer types a setting can have. All are little- or big-endian as the object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntType {
    /// One byte, 0 or 1.
    Bool,
    /// One byte.
    U8,
    /// Two bytes.
    U16,
    /// Four bytes.
    U32,
    /// Eight bytes.
    U64,
}

/// A kernel release, major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    /// The number before the dot.
    pub major: u16,
    /// The number after the dot.
    pub minor: u16,
}

/// The program types we can tell from a section name (libbpf's conventions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramKind {
    /// `xdp`, `xdp.frags`.
    Xdp,
    /// `tc`, `classifier`, `tcx/…`.
    Tc,
    /// `action`.
    TcAction,
    /// `tracepoint/…`, `tp/…`.
    Tracepoint,
    /// `raw_tp/…`, `raw_tracepoint/…`.
    RawTracepoint,
    /// `kprobe/…`.
    Kprobe,
    /// `kretprobe/…`.
    Kretprobe,
    /// `uprobe/…`.
    Uprobe,
    /// `uretprobe/…`.
    Uretprobe,
    /// `fentry/…`.
    Fentry,
    /// `fexit/…`.
    Fexit,
    /// `fmod_ret/…`, `tp_btf/…`, `iter/…`.
    Tracing,
    /// `freplace/…`.
    Extension,
    /// `lsm/…`.
    Lsm,
    /// `perf_event`.
    PerfEvent,
    /// `cgroup_skb/…`, `cgroup/skb`.
    CgroupSkb,
    /// `cgroup/sock…`.
    CgroupSock,
    /// `cgroup/connect4` and its like.
    CgroupSockAddr,
    /// `cgroup/dev`.
    CgroupDevice,
    /// `cgroup/sysctl`.
    CgroupSysctl,
    /// `cgroup/getsockopt`, `cgroup/setsockopt`.
    CgroupSockopt,
    /// `sockops`.
    SockOps,
    /// `sk_skb…`.
    SkSkb,
    /// `sk_msg`.
    SkMsg,
    /// `sk_lookup`.
    SkLookup,
    /// `sk_reuseport…`.
    SkReuseport,
    /// `socket…`.
    SocketFilter,
    /// `lwt_in`, `lwt_out`, `lwt_xmit`.
    Lwt,
    /// `flow_dissector`.
    FlowDissector,
    /// `struct_ops…`.
    StructOps,
    /// `syscall`.
    Syscall,
    /// `netfilter`.
    Netfilter,
    /// A section name we do not know.
    Unknown,
}

impl ProgramKind {
    /// The program type a section name asks for, by libbpf's conventions.
    pub fn of_section(section: &str) -> Self {
        super::needs::program_kind(section).0
    }

    /// The hooks a program of this kind can be a chain member of.
    pub const fn hooks(self) -> &'static [Hook] {
        match self {
            Self::Xdp => &[Hook::Xdp],
            Self::Tc => &[Hook::TcIngress, Hook::TcEgress],
            _ => &[],
        }
    }
}

impl IntType {
    /// Its size in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 => 1,
            Self::U16 => 2,
            Self::U32 => 4,
            Self::U64 => 8,
        }
    }

    /// The largest value it holds.
    pub const fn largest(self) -> u64 {
        match self {
            Self::Bool => 1,
            Self::U8 => u8::MAX as u64,
            Self::U16 => u16::MAX as u64,
            Self::U32 => u32::MAX as u64,
            Self::U64 => u64::MAX,
        }
    }

    /// The name as written in `skep.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
        }
    }
}

impl fmt::Display for IntType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Endian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Little => "little-endian (bpfel)",
            Self::Big => "big-endian (bpfeb)",
        })
    }
}

impl KernelVersion {
    /// A release by its two numbers.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A text that is not `major.minor`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a kernel release is written major.minor, for instance 6.12")]
pub struct KernelVersionError;

impl FromStr for KernelVersion {
    type Err = KernelVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('.').ok_or(KernelVersionError)?;
        let number = |part: &str| part.parse().map_err(|_| KernelVersionError);
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

impl Serialize for KernelVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KernelVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
