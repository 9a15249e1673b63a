//! Facts read from the ELF object, never from what an author claims.
//! It refuses to know manifests, policies and running kernels; the bytes may be hostile.
//!
//! What a reader of instructions can see is a lower bound: a helper reached only through a map of programs (tail call)
//! belongs to that other program, and stores into packet memory without a helper are not told apart from other stores.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hook::Hook;

/// Everything known about one BPF object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectFacts {
    /// Byte order the bytecode was compiled for.
    pub endian: Endian,
    /// Whether the object carries BTF, and so typed maps and settings.
    pub has_btf: bool,
    /// The `license` section, without its terminating zero; the kernel compares it with its list of GPL-compatible ones.
    pub license: Option<String>,
    /// Programs in order of section and offset.
    pub programs: Vec<ProgramFacts>,
    /// Maps in order of name; `.rodata`, `.data` and `.bss` are not listed here.
    pub maps: Vec<MapFacts>,
    /// Global variables in order of section and name.
    pub globals: Vec<GlobalFacts>,
    /// Bytes of the whole file.
    pub size: u64,
}

/// One entry point the kernel can load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFacts {
    /// The function's name.
    pub name: String,
    /// The ELF section it stands in; it decides the program's kind.
    pub section: String,
    /// The program type its section asks for.
    pub kind: ProgramKind,
    /// Whether an XDP program understands packets in several buffers (`xdp.frags`).
    pub frags: bool,
    /// Instructions of 8 bytes, called subprograms included once each.
    pub insns: u32,
    /// Kernel helpers called, sorted, with the prefix `bpf_`; `helper#N` for numbers newer than our table.
    pub helpers: Vec<String>,
    /// Kernel functions called, sorted.
    pub kfuncs: Vec<String>,
    /// Whether it calls a helper that changes packet bytes or their number.
    pub writes_packets: bool,
    /// Whether it calls a helper that sends packets elsewhere.
    pub redirects: bool,
    /// CO-RE relocations the loader resolves against the running kernel.
    pub core_relocations: u32,
    /// The oldest kernel release that has everything this program asks for; `None` when a helper or section is unknown to our tables.
    pub lowest_kernel: Option<KernelVersion>,
    /// What asks for that release, for instance `helper bpf_ktime_get_boot_ns`.
    pub because: String,
}

/// One map the object defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapFacts {
    /// Its name.
    pub name: String,
    /// Its type in bpfman's spelling: `hash`, `per_cpu_array`, `lpm_trie`…; `type_N` when unknown.
    pub kind: String,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Entries it has room for; 0 when the loader decides.
    pub max_entries: u32,
    /// `BPF_F_*` flags.
    pub flags: u32,
    /// Whether it is defined by the old `maps` section rather than by BTF.
    pub legacy: bool,
}

/// One global variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalFacts {
    /// Its name.
    pub name: String,
    /// Its integer type; `None` for structures, arrays, signed integers and enumerations.
    pub ty: Option<IntType>,
    /// Its size in bytes.
    pub size: u32,
    /// Its offset in the section, in bytes.
    pub offset: u32,
    /// The section: `.rodata`, `.data`, `.bss` or one of their suffixed forms.
    pub section: String,
    /// Whether the program cannot change it (`.rodata*`): only such globals can be settings.
    pub constant: bool,
}

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
    /// The hooks a program of this kind can be a chain member of.
    pub const fn hooks(self) -> &'static [Hook] {
        match self {
            Self::Xdp => &[Hook::Xdp],
            Self::Tc => &[Hook::TcIngress, Hook::TcEgress],
            _ => &[],
        }
    }
}

impl ObjectFacts {
    /// The program with this name.
    pub fn program(&self, name: &str) -> Option<&ProgramFacts> {
        self.programs.iter().find(|program| program.name == name)
    }

    /// The map with this name.
    pub fn map(&self, name: &str) -> Option<&MapFacts> {
        self.maps.iter().find(|map| map.name == name)
    }

    /// The global variable with this name.
    pub fn global(&self, name: &str) -> Option<&GlobalFacts> {
        self.globals.iter().find(|global| global.name == name)
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
    pub const fn max(self) -> u64 {
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
