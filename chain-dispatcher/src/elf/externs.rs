//! What an object expects from the kernel it meets: `extern … __kconfig` variables and `__ksym`
//! functions. `LINUX_KERNEL_VERSION` becomes a constant of the object; everything else is refused by
//! name. Bytes in, bytes out: the kernel's version is an argument.

use super::ElfError;
use super::file::{File, SECTION_HEADER_BYTES, append, little, put, slice, u16_at, usize_at};
use super::types::Types;

/// The section that the constants go to; the loader library makes a read-only map of it.
const CONSTANTS: &str = ".rodata.kconfig";
const VERSION: &str = "LINUX_KERNEL_VERSION";
const VERSION_BYTES: usize = 4;
/// Global and an object, in a symbol's `info` byte.
const GLOBAL_OBJECT: u8 = 1 << 4 | 1;

/// The header of a new section.
#[derive(Debug)]
pub(super) struct Header([u8; SECTION_HEADER_BYTES]);

/// Defines what can be defined, and gives the header of the section that this needs. `version` is the
/// kernel's, as `KERNEL_VERSION()` computes it.
pub(super) fn define(
    file: &File<'_>,
    out: &mut Vec<u8>,
    types: &mut Types,
    names: &mut Vec<u8>,
    version: u32,
) -> Result<Option<Header>, ElfError> {
    if let Some(section) = types.section(".ksyms")? {
        let names = types.entries(section)?.into_iter().map(|entry| entry.name).collect();
        return Err(ElfError::KernelSymbols { names });
    }
    let Some(section) = types.section(".kconfig")? else { return Ok(None) };
    let entries = types.entries(section)?;
    for entry in &entries {
        if entry.name != VERSION || types.integer_size(entry)? != Some(VERSION_BYTES) {
            return Err(ElfError::KernelConfig { name: entry.name.clone() });
        }
    }
    types.define(section, CONSTANTS, &entries, VERSION_BYTES)?;
    let index = u16::try_from(file.sections.len()).map_err(|_| ElfError::OddBtf)?;
    for (place, entry) in entries.iter().enumerate() {
        for symbol in file.symbols.iter().filter(|s| s.section == 0 && s.name == entry.name) {
            put(out, symbol.place + 4, &[GLOBAL_OBJECT])?;
            put(out, symbol.place + 6, &index.to_le_bytes())?;
            put(out, symbol.place + 8, &((place * VERSION_BYTES) as u64).to_le_bytes())?;
            put(out, symbol.place + 16, &(VERSION_BYTES as u64).to_le_bytes())?;
        }
    }
    let values: Vec<u8> = entries.iter().flat_map(|_| version.to_le_bytes()).collect();
    let offset = append(out, &values);
    let mut header = [0u8; SECTION_HEADER_BYTES];
    put(&mut header, 0, &little(names.len())?)?;
    names.extend_from_slice(CONSTANTS.as_bytes());
    names.push(0);
    // Bytes in the file, in memory when the program runs, aligned to 8.
    put(&mut header, 4, &little(1)?)?;
    put(&mut header, 8, &2u64.to_le_bytes())?;
    put(&mut header, 24, &offset.to_le_bytes())?;
    put(&mut header, 32, &(values.len() as u64).to_le_bytes())?;
    put(&mut header, 48, &8u64.to_le_bytes())?;
    Ok(Some(Header(header)))
}

/// Adds a section header behind the others. The table moves, since there is no room, so this is the
/// last change of all.
pub(super) fn add_section(out: &mut Vec<u8>, header: &Header) -> Result<(), ElfError> {
    let count = u16_at(out, 60)?;
    let length = usize::from(count) * SECTION_HEADER_BYTES;
    let mut table = slice(out, usize_at(out, 40)?, length, "the section headers")?.to_vec();
    table.extend_from_slice(&header.0);
    let place = append(out, &table);
    put(out, 40, &place.to_le_bytes())?;
    put(out, 60, &count.checked_add(1).ok_or(ElfError::OddBtf)?.to_le_bytes())
}
