//! What maps hold from the beginning: `.values = { [1] = &program }` of program arrays and of maps of
//! maps. The loader library does not read it, and refuses program arrays that declare it. Knows
//! where compilers put such values; refuses to know file descriptors.

use super::ElfError;
use super::file::{File, Symbol, usize_at};
use super::types::Types;

/// Bytes of a pointer in BPF.
const POINTER_BYTES: usize = 8;
/// Elements that the maps of an object begin with, together: far above what a person writes down.
const VALUES_MAX: usize = 4096;

/// One element that a map holds from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Initial {
    /// The map.
    pub(crate) map: String,
    /// The element.
    pub(crate) index: u32,
    /// What is there.
    pub(crate) value: InitialValue,
}

/// What a map can hold from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InitialValue {
    /// A program of the same object.
    Program(String),
    /// A map of the same object.
    Map(String),
}

/// The values that maps begin with; and takes their declaration from program arrays, which the
/// library does not understand.
pub(super) fn read(file: &File<'_>, types: &mut Types) -> Result<Vec<Initial>, ElfError> {
    let (Some((index, section)), Some(described)) =
        (file.section(".maps"), types.section(".maps")?)
    else {
        return Ok(Vec::new());
    };
    let content = file.content(section)?;
    let relocations = file.relocations(index)?;
    let mut found = Vec::new();
    for variable in types.entries(described)? {
        let members = types.members(&variable)?;
        let Some(values) = members.into_iter().find(|member| member.name == "values") else {
            continue;
        };
        let symbol = file
            .symbols
            .iter()
            .find(|symbol| symbol.section == index && symbol.name == variable.name);
        let Some(symbol) = symbol else { continue };
        let first = symbol.value.checked_add(values.offset).ok_or(ElfError::OddBtf)?;
        let end = symbol.value.checked_add(symbol.size).ok_or(ElfError::OddBtf)?;
        for relocation in relocations.iter().filter(|r| (first..end).contains(&r.offset)) {
            if found.len() == VALUES_MAX {
                return Err(ElfError::OddValue);
            }
            let element = (relocation.offset - first) / POINTER_BYTES;
            let value = target(file, content, relocation.offset, relocation.symbol)?;
            found.push(Initial {
                map: variable.name.clone(),
                index: u32::try_from(element).map_err(|_| ElfError::OddBtf)?,
                value,
            });
        }
        if types.holds_functions(&values)? {
            types.unname(&values)?;
        }
    }
    Ok(found)
}

/// The program or map that a pointer in `.maps` stands for. A `static` one is named by its section
/// and its place in it.
fn target(
    file: &File<'_>,
    content: &[u8],
    offset: usize,
    symbol: usize,
) -> Result<InitialValue, ElfError> {
    let mut symbol = &file.symbols[symbol];
    if symbol.is_section() {
        let place = usize_at(content, offset)?;
        let there = |s: &&Symbol| {
            s.section == symbol.section && s.value == place && !s.name.is_empty() && !s.is_section()
        };
        symbol = file.symbols.iter().find(there).ok_or(ElfError::OddValue)?;
    }
    let name = symbol.name.clone();
    let section = file.sections.get(symbol.section).ok_or(ElfError::OddValue)?;
    match (section.executable, section.name.as_str()) {
        (true, _) => Ok(InitialValue::Program(name)),
        (false, ".maps") => Ok(InitialValue::Map(name)),
        _ => Err(ElfError::OddValue),
    }
}
