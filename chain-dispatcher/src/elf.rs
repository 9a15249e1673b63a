//! Anybody's object, made into what the loader library takes: section names, initial values of maps,
//! variables that the kernel answers, old map definitions, licences. Bytes in, bytes out, and beside
//! them what would be lost. Knows nothing of the running kernel but its version, an argument.

mod externs;
mod file;
mod gaps;
mod names;
#[cfg(test)]
mod tests;
mod types;
mod values;

use std::collections::BTreeMap;
use std::ffi::CString;

use file::{File, move_to_end, put, slice};
use types::Types;
pub(crate) use values::{Initial, InitialValue};

/// Bytes of an old map definition that have one meaning everywhere: type, key size, value size,
/// entries, flags. What follows differs between libbpf, iproute2 and the library's own.
const OLD_DEFINITION_BYTES: usize = 20;

/// Why an object could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Something points outside the file.
    #[error("the object file is cut short or damaged: {what} lies outside the file")]
    Truncated {
        /// What was looked for.
        what: &'static str,
    },
    /// The type information is laid out as no known compiler does it.
    #[error("the object's BTF is laid out in a way that no known compiler uses")]
    OddBtf,
    /// A map begins with something that is neither a program nor a map.
    #[error(
        "a map of the object begins with something that is neither a program nor a map of it, or with thousands of them"
    )]
    OddValue,
    /// The object asks for a kernel setting.
    #[error(
        "the object asks for the kernel setting {name}, which Skep does not answer; only LINUX_KERNEL_VERSION is: make it a `const volatile` global and set it in the config"
    )]
    KernelConfig {
        /// Its name.
        name: String,
    },
    /// The object calls kernel functions or reads kernel variables.
    #[error(
        "the object uses functions or variables of the kernel ({}), which Skep does not bind yet; use helpers in their place",
        names.join(", ")
    )]
    KernelSymbols {
        /// Their names.
        names: Vec<String>,
    },
}

/// An object, ready for the loader library.
#[derive(Debug)]
pub(crate) struct Understood {
    /// What the library reads.
    pub(crate) bytes: Vec<u8>,
    /// The section of every program, as its author named it.
    pub(crate) programs: BTreeMap<String, String>,
    /// What maps hold from the beginning.
    pub(crate) initial: Vec<Initial>,
    /// Its licence; empty where it says none. The library would take GPL for granted.
    pub(crate) licence: CString,
}

/// Makes an object into what the library takes. `version` is the kernel's, as `KERNEL_VERSION()`
/// computes it.
pub(crate) fn understand(bytes: &[u8], version: u32) -> Result<Understood, ElfError> {
    let file = File::read(bytes)?;
    let mut programs = BTreeMap::new();
    for symbol in file.symbols.iter().filter(|symbol| symbol.is_function()) {
        if let Some(section) = file.sections.get(symbol.section)
            && names::holds_programs(section)
        {
            programs.insert(symbol.name.clone(), section.name.clone());
        }
    }
    let mut types = match file.section(".BTF") {
        Some((_, section)) => Some(Types::read(file.content(section)?)?),
        None => None,
    };
    let mut out = bytes.to_vec();
    let mut table = file.content(file.name_table()?)?.to_vec();
    names::rename(&file, &mut out, types.as_mut(), &mut table)?;
    plain_old_maps(&file, &mut out)?;
    let licence = read_licence(&file, &mut out)?;
    let mut initial = Vec::new();
    let mut added = None;
    if let (Some(mut types), Some((_, section))) = (types, file.section(".BTF")) {
        initial = values::read(&file, &mut types)?;
        added = externs::define(&file, &mut out, &mut types, &mut table, version)?;
        move_to_end(&mut out, section, &types.into_bytes())?;
    }
    gaps::fill(&file, &mut out)?;
    move_to_end(&mut out, file.name_table()?, &table)?;
    if let Some(header) = added {
        externs::add_section(&mut out, &header)?;
    }
    Ok(Understood { bytes: out, programs, initial, licence })
}

/// Clears what follows the common part of old map definitions: the library reads a wish to be pinned
/// there, where iproute2 keeps other numbers.
fn plain_old_maps(file: &File<'_>, out: &mut [u8]) -> Result<(), ElfError> {
    let Some((index, section)) = file.section("maps") else { return Ok(()) };
    for symbol in file.symbols.iter().filter(|s| s.section == index && !s.is_section()) {
        let Some(rest) = symbol.size.checked_sub(OLD_DEFINITION_BYTES) else { continue };
        let content = file.content(section)?;
        slice(content, symbol.value, symbol.size, "a map's definition")?;
        let start = section.offset + symbol.value + OLD_DEFINITION_BYTES;
        put(out, start, &vec![0; rest])?;
    }
    Ok(())
}

/// The licence, up to its first zero byte. The library refuses one in a longer array, so what follows
/// becomes spaces for it; the length stays, since the BTF speaks of it.
fn read_licence(file: &File<'_>, out: &mut [u8]) -> Result<CString, ElfError> {
    let Some((_, section)) = file.section("license") else { return Ok(CString::default()) };
    let content = file.content(section)?;
    let end = content.iter().position(|byte| *byte == 0).unwrap_or(content.len());
    if let Some(between) = content.len().checked_sub(end + 1) {
        put(out, section.offset + end, &vec![b' '; between])?;
    }
    CString::new(&content[..end]).map_err(|_| ElfError::Truncated { what: "the licence" })
}
