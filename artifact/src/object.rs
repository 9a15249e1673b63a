//! Facts read from the ELF object, never from what an author claims.
//! It refuses to know manifests, policies and running kernels; the bytes may be hostile.
//!
//! What a reader of instructions can see is a lower bound: a helper reached only through a map of programs (tail call)
//! belongs to that other program, and stores into packet memory without a helper are not told apart from other stores.

mod btf;
mod code;
mod elf;
mod error;
mod kinds;
mod maps;
mod needs;

use serde::{Deserialize, Serialize};

use crate::limits::PROGRAMS_MAX;

pub use error::ObjectError;
pub use kinds::{Endian, IntType, KernelVersion, KernelVersionError, ProgramKind};

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
