//! One object into the kernel: its maps made or taken over, its config written, one of its
//! programs loaded. Knows the loader library and the kernel; refuses to know chains, slots and pins.

mod fit;
mod maps;
mod program;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use aya_obj::Object;
use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;

use crate::elf::{self, ElfError, Initial, InitialValue, Understood};
use crate::kernel::objects::MapShape;
use crate::meaning::MapTypes;
pub(crate) use maps::constants_map;
pub(crate) use program::{
    As, Prepared, Relocated, Several, Tail, Types, finish, place_tails, verify,
};
use shape::{is_section, shape_of, types_of};

/// Why an object could not be brought into the kernel.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The object could not be understood.
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
    #[error(
        "{program} cannot run on {hook}: its section {section} makes it {makes}; choose a program of the object that is made for {hook}"
    )]
    WrongKind {
        /// The program.
        program: String,
        /// The hook it was wanted on.
        hook: Hook,
        /// The section it stands in.
        section: String,
        /// What that makes it.
        makes: &'static str,
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
    pub(crate) types: MapTypes,
    pub(crate) section: bool,
    /// The object says what it holds from the beginning, so it is new with every version.
    pub(crate) begins_filled: bool,
}

/// The parts of an object that a plan needs before anything is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) frags: bool,
    /// No function of the object can change the length of a packet.
    pub(crate) keeps_length: bool,
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

/// As [`prepare`], for several programs of one object, which share its maps. The request's own
/// program is not looked at.
pub(crate) fn prepare_each(request: Request<'_>, programs: &[&str]) -> Result<Several, LoadError> {
    contained(|| prepare_several(request, programs))
}

/// One program with its calls relocated and every map under the same number, which no kernel gave:
/// what a reader of relocated code wants to begin with. Touches nothing.
pub(crate) fn relocated(bytes: &[u8], program: &str) -> Result<(Relocated, Vec<u8>), LoadError> {
    contained(|| {
        let (mut object, _) = parse(bytes, &EncodedConfig::default())?;
        let types = object.btf.as_ref().map(aya_obj::btf::Btf::to_bytes).unwrap_or_default();
        let declared = std::mem::take(&mut object.maps);
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let maps = declared.iter().map(|(name, map)| (name.as_str(), 3, map));
        object.relocate_maps(maps, &text).map_err(|error| relocate("maps", &error))?;
        object.relocate_calls(&text).map_err(|error| relocate("calls", &error))?;
        Ok((function_of(&object, program)?, types))
    })
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
    let (object, understood) = parse(bytes, config)?;
    let frags = frags_of(&understood, program, hook)?;
    if let Some(map) = config.maps.keys().find(|map| !object.maps.contains_key(map.as_str())) {
        return Err(LoadError::NoSuchMap { map: map.clone() });
    }
    let types = object.btf.as_ref().map(aya_obj::btf::Btf::to_bytes).unwrap_or_default();
    let mut maps: Vec<DeclaredMap> = object
        .maps
        .iter()
        .map(|(name, map)| DeclaredMap {
            name: name.clone(),
            shape: shape_of(map),
            types: types_of(map, &types),
            section: is_section(map),
            begins_filled: understood.initial.iter().any(|initial| initial.map == *name),
        })
        .collect();
    maps.sort_by(|a, b| a.name.cmp(&b.name));
    let mut functions = object.functions.values();
    let keeps_length = functions.all(|function| crate::fuse::keeps_length(&function.instructions));
    Ok(Outline { frags, keeps_length, maps })
}

fn prepare_all(request: Request<'_>) -> Result<Prepared, LoadError> {
    let (name, hook, frags) = (request.program, request.hook, request.frags);
    let Several { mut functions, tails, license, types, maps, constants } =
        prepare_several(request, &[name])?;
    let function = functions.pop().ok_or_else(|| no_such(name))?;
    Ok(Prepared {
        name: name.to_owned(),
        hook,
        frags,
        license,
        instructions: function.instructions,
        func_info: function.func_info,
        line_info: function.line_info,
        types,
        maps,
        constants,
        tails,
    })
}

fn prepare_several(request: Request<'_>, programs: &[&str]) -> Result<Several, LoadError> {
    let (mut object, understood) = parse(request.bytes, request.config)?;
    for program in programs {
        frags_of(&understood, program, request.hook)?;
    }
    keep_needed(&mut object, &understood.initial, programs);
    let types = load_btf(&mut object)?;
    if object.has_btf_relocations() {
        // Parsed only when needed: the kernel's own type information takes megabytes.
        let target = aya_obj::btf::Btf::from_sys_fs().map_err(|error| relocate("types", &error))?;
        object.relocate_btf(&target).map_err(|error| relocate("types", &error))?;
    }
    let declared = std::mem::take(&mut object.maps);
    let maps = maps::make(&declared, request.carried, types.as_ref())?;
    maps::begin(&maps, &understood.initial)?;
    maps::fill(&maps, request.config)?;
    relocate_code(&mut object, &declared, &maps)?;
    let mut tails = Vec::new();
    for Initial { map, index, value } in understood.initial {
        let InitialValue::Program(program) = value else { continue };
        let Relocated { instructions, func_info, line_info } = function_of(&object, &program)?;
        tails.push(Tail { map, index, name: program, instructions, func_info, line_info });
    }
    let functions =
        programs.iter().map(|name| function_of(&object, name)).collect::<Result<_, _>>()?;
    let constants = maps::constants(&declared);
    Ok(Several { functions, tails, license: object.license, types, maps, constants })
}

fn parse(bytes: &[u8], config: &EncodedConfig) -> Result<(Object, Understood), LoadError> {
    let understood = elf::understand(bytes, kernel_version())?;
    let mut object = Object::parse(&understood.bytes)
        .map_err(|error| LoadError::Parse { message: chain_of(&error) })?;
    object.license.clone_from(&understood.licence);
    let globals: HashMap<&str, (&[u8], bool)> = config
        .globals
        .iter()
        .map(|(name, value)| (name.as_str(), (value.as_slice(), true)))
        .collect();
    object
        .patch_map_data(globals)
        .map_err(|error| LoadError::Global { message: chain_of(&error) })?;
    Ok((object, understood))
}

/// The running kernel's version as `KERNEL_VERSION()` computes it.
fn kernel_version() -> u32 {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    let mut next = || -> u32 { numbers.next().unwrap_or(0) };
    let (major, minor, patch) = (next(), next(), next());
    (major << 16) + (minor << 8) + patch.min(255)
}

/// Whether the program declares that it copes with frags, once it is sure that it is there and fits
/// the hook.
fn frags_of(understood: &Understood, program: &str, hook: Hook) -> Result<bool, LoadError> {
    let section = understood.programs.get(program).ok_or_else(|| LoadError::NoSuchProgram {
        program: program.to_owned(),
        held: understood.programs.keys().cloned().collect(),
    })?;
    fit::frags_of(program, section, hook)
}

/// Lets go of the programs that are not wanted: what they ask of the kernel may not be there.
fn keep_needed(object: &mut Object, initial: &[Initial], programs: &[&str]) {
    let needed = |name: &str| {
        programs.contains(&name)
            || initial.iter().any(|i| matches!(&i.value, InitialValue::Program(p) if p == name))
    };
    object.programs.retain(|name, _| needed(name));
}

fn function_of(object: &Object, program: &str) -> Result<Relocated, LoadError> {
    let key = object.programs.get(program).map(aya_obj::Program::function_key);
    let function = key.and_then(|key| object.functions.get(&key));
    let function = function.ok_or_else(|| no_such(program))?;
    Ok(Relocated {
        instructions: function.instructions.clone(),
        func_info: function.func_info.func_info.clone(),
        line_info: function.line_info.line_info.clone(),
    })
}

fn no_such(program: &str) -> LoadError {
    LoadError::NoSuchProgram { program: program.to_owned(), held: Vec::new() }
}

fn load_btf(object: &mut Object) -> Result<Option<Types>, LoadError> {
    let Some(features) = aya::features().btf() else { return Ok(None) };
    let fixed =
        object.fixup_and_sanitize_btf(features).map_err(|error| relocate("types", &error))?;
    fixed.map(|btf| Types::load(btf.to_bytes())).transpose()
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
