//! Code that no symbol names: a static linker (`bpftool gen object`) keeps the bytes of a weak function
//! that another one replaces, and drops its symbol. The loader library wants every byte of `.text` to
//! belong to a function, so such bytes get a nameless one, which nobody calls. Knows no instruction.

use super::ElfError;
use super::file::{File, SYMBOL_BYTES, little, move_to_end, put, slice};

/// Local and a function, in a symbol's `info` byte.
const LOCAL_FUNCTION: u8 = 2;

/// Adds a symbol for every gap.
pub(super) fn fill(file: &File<'_>, out: &mut Vec<u8>) -> Result<(), ElfError> {
    let Some(table) = file.symbol_table() else { return Ok(()) };
    let mut added = Vec::new();
    for (index, section) in file.sections.iter().enumerate() {
        if !section.executable || !section.name.starts_with(".text") {
            continue;
        }
        for (start, size) in gaps(file, index, section.size) {
            let mut symbol = [0u8; SYMBOL_BYTES];
            let section = u16::try_from(index).map_err(|_| ElfError::OddBtf)?;
            put(&mut symbol, 4, &[LOCAL_FUNCTION])?;
            put(&mut symbol, 6, &section.to_le_bytes())?;
            put(&mut symbol, 8, &little(start)?)?;
            put(&mut symbol, 16, &little(size)?)?;
            added.extend_from_slice(&symbol);
        }
    }
    if added.is_empty() {
        return Ok(());
    }
    let mut symbols = slice(out, table.offset, table.size, "the symbol table")?.to_vec();
    symbols.extend_from_slice(&added);
    move_to_end(out, table, &symbols)
}

/// Where no function lies in a section, with the lengths.
fn gaps(file: &File<'_>, section: usize, size: usize) -> Vec<(usize, usize)> {
    let mut functions: Vec<(usize, usize)> = file
        .symbols
        .iter()
        .filter(|symbol| symbol.section == section && symbol.is_function())
        .map(|symbol| (symbol.value, symbol.value.saturating_add(symbol.size)))
        .collect();
    functions.sort_unstable();
    let mut gaps = Vec::new();
    let mut reached = 0;
    for (start, end) in functions {
        if start > reached {
            gaps.push((reached, start - reached));
        }
        reached = reached.max(end);
    }
    if size > reached {
        gaps.push((reached, size - reached));
    }
    gaps
}
