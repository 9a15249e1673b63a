//! Facts read from the ELF object, never from what an author claims.
//! It refuses to know manifests, policies and running kernels; the bytes may be hostile.
//!
//! What a reader of instructions can see is a lower bound: a helper reached only through a map of programs (tail call)
//! belongs to that other program, and stores into packet memory without a helper are not told apart from other stores.

mod btf;
mod code;
mod elf;
mod maps;
mod needs;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hook::Hook;
use crate::limits::{OBJECT_BYTES_MAX, PROGRAMS_MAX};

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

/// Why bytes are not an object we can say anything true about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Larger than any object may be.
    #[error("the object has {bytes} bytes; at most {OBJECT_BYTES_MAX} are read")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// It does not begin like an ELF file.
    #[error("the file is not an ELF object; build it with clang -target bpf")]
    NotElf,
    /// An ELF file of 32 bits or of a class that does not exist.
    #[error("the ELF file is of class {class}; BPF objects are 64-bit (class 2)")]
    NotElf64 {
        /// `EI_CLASS`.
        class: u8,
    },
    /// A byte order that does not exist.
    #[error(
        "the ELF file's byte order is {found}, which is neither little-endian (1) nor big-endian (2)"
    )]
    ByteOrder {
        /// `EI_DATA`.
        found: u8,
    },
    /// Compiled for another machine.
    #[error(
        "the ELF file is for machine {machine}, not for BPF (247); build it with clang -target bpf"
    )]
    NotBpf {
        /// `e_machine`.
        machine: u16,
    },
    /// An executable or shared library.
    #[error("the ELF file is of type {kind}, not a relocatable object (1); do not link it")]
    NotRelocatable {
        /// `e_type`.
        kind: u16,
    },
    /// Cut off, or with offsets that point outside.
    #[error("the object is damaged: {what} cannot be read")]
    Damaged {
        /// The part that cannot be read.
        what: &'static str,
    },
    /// A section or symbol name that is not short printable UTF-8.
    #[error("the object has a name that is too long or not printable text")]
    Name,
    /// More of something than is read.
    #[error("the object has {count} {what}; at most {limit} are read")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are, or how many were counted before giving up.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A function whose bounds are not whole instructions inside its section.
    #[error("the function `{name}` does not stand wholly inside its section")]
    Function {
        /// The function.
        name: String,
    },
    /// A call to a place where no function begins: what it does cannot be known.
    #[error("`{function}` calls, at byte {offset}, a place where no function begins")]
    CallNowhere {
        /// The calling function.
        function: String,
        /// Offset of the call in the function, in bytes.
        offset: u64,
    },
    /// A map definition that cannot be read.
    #[error("the map `{name}` is not defined as libbpf expects")]
    Map {
        /// The map.
        name: String,
    },
    /// BTF maps without BTF.
    #[error("the object defines maps in `.maps` but carries no BTF; compile it with -g")]
    MapsWithoutBtf,
    /// Two things of one name, so that nobody can say which is meant.
    #[error("the object has two {what}s named `{name}`")]
    Twice {
        /// `program` or `map`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// No entry point at all.
    #[error("the object has no program: no global function stands in a section of its own")]
    NoProgram,
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
    /// Reads the facts of an object. Hostile bytes are refused or read as what they are; nothing panics and every
    /// quantity is bounded by `limits`.
    pub fn read(bytes: &[u8]) -> Result<Self, ObjectError> {
        let elf = elf::Elf::read(bytes)?;
        let btf = elf
            .section(".BTF")
            .map(|(_, section)| btf::Btf::read(section.data, elf.endian))
            .transpose()?;
        let maps = maps::read_maps(&elf, btf.as_ref())?;
        let globals = maps::read_globals(&elf, btf.as_ref())?;
        let functions = code::read_functions(&elf, btf.as_ref())?;
        let programs = read_programs(&elf, &functions, &maps)?;
        let license = elf.section("license").map(|(_, section)| {
            let text = section.data.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(&text[..text.len().min(LICENSE_BYTES_MAX)]).into_owned()
        });
        let (endian, has_btf) = (elf.endian, btf.is_some());
        Ok(Self { endian, has_btf, license, programs, maps, globals, size: bytes.len() as u64 })
    }

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

/// Bytes of the licence text that are kept: the kernel reads 128.
const LICENSE_BYTES_MAX: usize = 128;

/// Programs are the global functions of executable sections other than `.text`, which holds subprograms.
fn read_programs(
    elf: &elf::Elf<'_>,
    functions: &[code::Function],
    maps: &[MapFacts],
) -> Result<Vec<ProgramFacts>, ObjectError> {
    let mut programs: Vec<ProgramFacts> = Vec::new();
    for (index, function) in functions.iter().enumerate() {
        let section = elf.sections[function.section].name.as_str();
        if !function.global || section == ".text" {
            continue;
        }
        if programs.iter().any(|program| program.name == function.name) {
            return Err(ObjectError::Twice { what: "program", name: function.name.clone() });
        }
        programs.push(program_facts(
            &function.name,
            section,
            code::closure(functions, index),
            maps,
        ));
        if programs.len() > PROGRAMS_MAX {
            return Err(ObjectError::TooMany {
                what: "programs",
                count: programs.len(),
                limit: PROGRAMS_MAX,
            });
        }
    }
    if programs.is_empty() { Err(ObjectError::NoProgram) } else { Ok(programs) }
}

fn program_facts(name: &str, section: &str, uses: code::Uses, maps: &[MapFacts]) -> ProgramFacts {
    let (kind, release) = needs::program_kind(section);
    let mut asks = vec![(release, format!("section {section}"))];
    for number in &uses.helpers {
        let release = needs::helper(*number).map(|(_, release)| release);
        asks.push((release, format!("helper {}", needs::helper_name(*number))));
    }
    for map in maps.iter().filter(|map| uses.symbols.contains(&map.name)) {
        asks.push((needs::map_release(&map.kind), format!("map type {}", map.kind)));
    }
    for feature in &uses.features {
        let (name, release) = needs::feature(*feature);
        asks.push((Some(release), name.to_owned()));
    }
    let (lowest_kernel, because) = highest(asks);
    let mut helpers: Vec<_> =
        uses.helpers.iter().map(|number| needs::helper_name(*number)).collect();
    helpers.sort_unstable();
    ProgramFacts {
        name: name.to_owned(),
        section: section.to_owned(),
        kind,
        frags: kind == ProgramKind::Xdp && needs::is_frags(section),
        insns: uses.insns,
        helpers,
        kfuncs: uses.kfuncs.into_iter().collect(),
        writes_packets: uses.helpers.iter().any(|number| needs::writes_packets(*number)),
        redirects: uses.helpers.iter().any(|number| needs::redirects(*number)),
        core_relocations: uses.core_relocations,
        lowest_kernel,
        because,
    }
}

/// The highest release asked for and what asks for it; an unknown ask makes the answer unknown.
fn highest(asks: Vec<(Option<KernelVersion>, String)>) -> (Option<KernelVersion>, String) {
    if let Some((_, what)) = asks.iter().find(|(release, _)| release.is_none()) {
        return (None, format!("{what} is not in our tables"));
    }
    let mut best = (None, String::new());
    for ask in asks {
        // On a tie the first stays: the section, then helpers by number.
        if ask.0 > best.0 {
            best = ask;
        }
    }
    best
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
