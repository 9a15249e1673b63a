//! One object into the kernel: its maps made or taken over, its config written, one of its
//! programs loaded. Knows the loader library and the kernel; refuses to know chains, slots and pins.

mod program;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya_obj::programs::XdpAttachType;
use aya_obj::{EbpfSectionKind, Object, ProgramSection};
use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;

use crate::elf::{ElfError, with_known_sections};
use crate::kernel::objects::{MapShape, MapSpec};
use crate::kernel::sys;
pub(crate) use program::{As, Prepared, Types, finish};
use shape::{btf_types, is_section, kernel_name, shape_of};

/// Why an object could not be brought into the kernel.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The section names could not be read.
    #[error("the object cannot be read")]
    Elf(#[from] ElfError),
    /// The loader library does not understand the object.
    #[error("the object cannot be parsed: {message}")]
    Parse {
        /// What the library said.
        message: String,
    },
    /// The loader library gave up in the middle of it.
    #[error("the object is damaged: the loader could not make sense of it")]
    Damaged,
    /// No function of that name is a program.
    #[error("the object holds no program named {program}; it holds: {}", held.join(", "))]
    NoSuchProgram {
        /// The name that was asked for.
        program: String,
        /// The programs that are there, sorted.
        held: Vec<String>,
    },
    /// The program is of a type that cannot run on this hook.
    #[error("{program} cannot run on {hook}: its section makes it another kind of program")]
    WrongKind {
        /// The program.
        program: String,
        /// The hook it was wanted on.
        hook: Hook,
    },
    /// A global could not be set.
    #[error("the config does not fit the object: {message}")]
    Global {
        /// What does not fit.
        message: String,
    },
    /// The config names a map that the object does not have.
    #[error("the config names the map {map}, which the object does not have")]
    NoSuchMap {
        /// The map.
        map: String,
    },
    /// The kernel refused the type information or the library could not relocate the code.
    #[error("the object's {what} cannot be fitted to this kernel: {message}")]
    Relocate {
        /// Type information, maps or calls.
        what: &'static str,
        /// What the library or the kernel said.
        message: String,
    },
    /// A map could not be made.
    #[error("the kernel refused to make the map {map}")]
    CreateMap {
        /// The map.
        map: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A map could not be filled or frozen.
    #[error("the kernel refused to fill the map {map}")]
    FillMap {
        /// The map.
        map: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The verifier refused the program.
    #[error("the kernel's verifier refused {program}: {}", last_lines.last().map_or("it gave no reason", String::as_str))]
    Verifier {
        /// The program.
        program: String,
        /// The end of the verifier's log.
        last_lines: Vec<String>,
        /// The error number's meaning.
        source: io::Error,
    },
}

/// What to load from an object, and how.
pub(crate) struct Request<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) program: &'a str,
    pub(crate) hook: Hook,
    pub(crate) config: &'a EncodedConfig,
    /// Maps that keep their content: name and the live map.
    pub(crate) carried: BTreeMap<String, OwnedFd>,
    pub(crate) frags: Frags,
}

/// Whether an XDP program is loaded as one that copes with packets in several buffers. All entries
/// of a program array must agree, so a chain decides it for all its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frags {
    With,
    Without,
}

/// A program and its maps, in the kernel for as long as this lives or something is pinned.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) program: OwnedFd,
    pub(crate) maps: BTreeMap<String, OwnedFd>,
}

/// A map as an object declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeclaredMap {
    pub(crate) name: String,
    pub(crate) shape: MapShape,
    pub(crate) section: bool,
}

/// The parts of an object that a plan needs before anything is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) frags: bool,
    pub(crate) maps: Vec<DeclaredMap>,
}

/// Reads what a plan needs, and refuses an object that cannot serve. Touches nothing.
pub(crate) fn outline(
    bytes: &[u8],
    program: &str,
    hook: Hook,
    config: &EncodedConfig,
) -> Result<Outline, LoadError> {
    contained(|| read_outline(bytes, program, hook, config))
}

/// Brings one program and all maps of its object into the kernel.
pub(crate) fn load(request: Request<'_>) -> Result<Loaded, LoadError> {
    let prepared = prepare(request)?;
    let program = finish(&prepared, As::OnHook)?;
    Ok(Loaded { program, maps: prepared.maps })
}

/// Everything but the program itself: maps made and filled, types loaded, code relocated.
pub(crate) fn prepare(request: Request<'_>) -> Result<Prepared, LoadError> {
    contained(|| prepare_all(request))
}

/// The loader library indexes where a damaged object points, and panics. Signed bytes can be damaged
/// too, and nobody's object may end this process.
fn contained<T>(work: impl FnOnce() -> Result<T, LoadError>) -> Result<T, LoadError> {
    // What unwinds here is dropped whole: nothing half-done is seen again.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(Err(LoadError::Damaged))
}

fn read_outline(
    bytes: &[u8],
    program: &str,
    hook: Hook,
    config: &EncodedConfig,
) -> Result<Outline, LoadError> {
    let object = parse(bytes, config)?;
    let frags = frags_of(&object, program, hook)?;
    if let Some(map) = config.maps.keys().find(|map| !object.maps.contains_key(map.as_str())) {
        return Err(LoadError::NoSuchMap { map: map.clone() });
    }
    let mut maps: Vec<DeclaredMap> = object
        .maps
        .iter()
        .map(|(name, map)| DeclaredMap {
            name: name.clone(),
            shape: shape_of(map),
            section: is_section(map),
        })
        .collect();
    maps.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Outline { frags, maps })
}

fn prepare_all(request: Request<'_>) -> Result<Prepared, LoadError> {
    let mut object = parse(request.bytes, request.config)?;
    frags_of(&object, request.program, request.hook)?;
    let types = load_btf(&mut object)?;
    if object.has_btf_relocations() {
        // Parsed only when needed: the kernel's own type information takes megabytes.
        let target = aya_obj::btf::Btf::from_sys_fs().map_err(|error| relocate("types", &error))?;
        object.relocate_btf(&target).map_err(|error| relocate("types", &error))?;
    }
    let declared = std::mem::take(&mut object.maps);
    let maps = make_maps(&declared, request.carried, types.as_ref())?;
    fill_maps(&maps, request.config)?;
    relocate_code(&mut object, &declared, &maps)?;
    let function = object
        .programs
        .get(request.program)
        .and_then(|program| object.functions.remove(&program.function_key()))
        .ok_or_else(|| LoadError::NoSuchProgram {
            program: request.program.to_owned(),
            held: Vec::new(),
        })?;
    Ok(Prepared {
        name: request.program.to_owned(),
        hook: request.hook,
        frags: request.frags,
        license: object.license,
        instructions: function.instructions,
        func_info: function.func_info.func_info,
        line_info: function.line_info.line_info,
        types,
        maps,
    })
}

fn parse(bytes: &[u8], config: &EncodedConfig) -> Result<Object, LoadError> {
    let bytes = with_known_sections(bytes)?;
    let mut object =
        Object::parse(&bytes).map_err(|error| LoadError::Parse { message: chain_of(&error) })?;
    let globals: HashMap<&str, (&[u8], bool)> = config
        .globals
        .iter()
        .map(|(name, value)| (name.as_str(), (value.as_slice(), true)))
        .collect();
    object
        .patch_map_data(globals)
        .map_err(|error| LoadError::Global { message: chain_of(&error) })?;
    Ok(object)
}

/// Whether the program declares that it copes with frags, once it is sure that it fits the hook.
fn frags_of(object: &Object, program: &str, hook: Hook) -> Result<bool, LoadError> {
    let found = object.programs.get(program).ok_or_else(|| {
        let mut held: Vec<String> = object.programs.keys().cloned().collect();
        held.sort();
        LoadError::NoSuchProgram { program: program.to_owned(), held }
    })?;
    match (&found.section, hook) {
        (ProgramSection::Xdp { frags, attach_type: XdpAttachType::Interface }, Hook::Xdp) => {
            Ok(*frags)
        }
        (ProgramSection::SchedClassifier, Hook::TcIngress | Hook::TcEgress) => Ok(false),
        _ => Err(LoadError::WrongKind { program: program.to_owned(), hook }),
    }
}

fn load_btf(object: &mut Object) -> Result<Option<Types>, LoadError> {
    let Some(features) = aya::features().btf() else { return Ok(None) };
    let fixed =
        object.fixup_and_sanitize_btf(features).map_err(|error| relocate("types", &error))?;
    fixed.map(|btf| Types::load(btf.to_bytes())).transpose()
}

fn make_maps(
    declared: &HashMap<String, aya_obj::Map>,
    mut carried: BTreeMap<String, OwnedFd>,
    types: Option<&Types>,
) -> Result<BTreeMap<String, OwnedFd>, LoadError> {
    let mut maps = BTreeMap::new();
    for (name, map) in declared {
        let fd = match carried.remove(name) {
            Some(live) => live,
            None => make_map(name, map, types)?,
        };
        maps.insert(name.clone(), fd);
    }
    Ok(maps)
}

fn make_map(name: &str, map: &aya_obj::Map, types: Option<&Types>) -> Result<OwnedFd, LoadError> {
    let refused = |source| LoadError::CreateMap { map: name.to_owned(), source };
    if map.inner().is_some() {
        return Err(refused(io::Error::new(
            io::ErrorKind::Unsupported,
            "maps of maps are not supported",
        )));
    }
    let shape = shape_of(map);
    let (btf_key, btf_value) = btf_types(map, shape.kind);
    let spec =
        MapSpec { name: kernel_name(name), shape, map_extra: map.map_extra(), btf_key, btf_value };
    let fd = sys::map_create(&spec, types.map(|types| types.loaded.as_fd())).map_err(refused)?;
    let fill = |source| LoadError::FillMap { map: name.to_owned(), source };
    if matches!(map.section_kind(), EbpfSectionKind::Data | EbpfSectionKind::Rodata)
        && !map.data().is_empty()
    {
        sys::map_update(fd.as_fd(), &0u32.to_ne_bytes(), map.data()).map_err(fill)?;
    }
    if map.section_kind() == EbpfSectionKind::Rodata {
        sys::map_freeze(fd.as_fd()).map_err(fill)?;
    }
    Ok(fd)
}

fn fill_maps(maps: &BTreeMap<String, OwnedFd>, config: &EncodedConfig) -> Result<(), LoadError> {
    for (name, entries) in &config.maps {
        let map = maps.get(name).ok_or_else(|| LoadError::NoSuchMap { map: name.clone() })?;
        for (key, value) in entries {
            sys::map_update(map.as_fd(), key, value)
                .map_err(|source| LoadError::FillMap { map: name.clone(), source })?;
        }
    }
    Ok(())
}

fn relocate_code(
    object: &mut Object,
    declared: &HashMap<String, aya_obj::Map>,
    maps: &BTreeMap<String, OwnedFd>,
) -> Result<(), LoadError> {
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let fds = declared
        .iter()
        .filter_map(|(name, map)| maps.get(name).map(|fd| (name.as_str(), fd.as_raw_fd(), map)));
    object.relocate_maps(fds, &text).map_err(|error| relocate("maps", &error))?;
    object.relocate_calls(&text).map_err(|error| relocate("calls", &error))?;
    object.sanitize_functions(aya::features());
    Ok(())
}

fn relocate(what: &'static str, error: &dyn std::error::Error) -> LoadError {
    LoadError::Relocate { what, message: chain_of(error) }
}

/// An error of the library with all its causes, which its own Display leaves out.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
