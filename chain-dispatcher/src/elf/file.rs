//! The tables of an ELF file as far as rewriting needs them: section headers, symbols, relocations,
//! and numbers at places. Every read is checked against the file. Knows nothing of BPF.

use super::ElfError;

/// Sections beyond this are no BPF object; the ELF header could claim 65,535.
const SECTIONS_MAX: usize = 4096;
/// Symbols beyond this are no BPF object: the artifact reader's own limit.
const SYMBOLS_MAX: usize = 1 << 16;

pub(super) const SECTION_HEADER_BYTES: usize = 64;
pub(super) const SYMBOL_BYTES: usize = 24;
const RELOCATION_BYTES: usize = 16;

const FLAG_EXECUTABLE: u64 = 4;
const TYPE_SYMBOLS: usize = 2;
const TYPE_NO_BITS: usize = 8;
const TYPE_RELOCATIONS: usize = 9;
const KIND_SECTION: u8 = 3;
const KIND_FUNCTION: u8 = 2;

/// A section header, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// Where its header stands in the file.
    pub(super) header: usize,
    pub(super) name: String,
    pub(super) executable: bool,
    pub(super) offset: usize,
    /// Bytes in the file.
    pub(super) size: usize,
    kind: usize,
    link: usize,
    info: usize,
}

/// A symbol, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) struct Symbol {
    /// Where it stands in the file.
    pub(super) place: usize,
    pub(super) name: String,
    /// 0: defined elsewhere.
    pub(super) section: usize,
    pub(super) value: usize,
    pub(super) size: usize,
    kind: u8,
}

/// A place in a section and the symbol that belongs there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relocation {
    pub(super) offset: usize,
    pub(super) symbol: usize,
}

/// The tables of a file.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) sections: Vec<Section>,
    pub(super) symbols: Vec<Symbol>,
}

impl Symbol {
    /// A function with a name.
    pub(super) fn is_function(&self) -> bool {
        self.kind == KIND_FUNCTION && !self.name.is_empty()
    }

    /// The symbol of a whole section.
    pub(super) fn is_section(&self) -> bool {
        self.kind == KIND_SECTION
    }
}

impl<'a> File<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let mut file = Self { bytes, sections: Vec::new(), symbols: Vec::new() };
        let start = usize_at(bytes, 40)?;
        let count = usize::from(u16_at(bytes, 60)?).min(SECTIONS_MAX);
        let mut names = Vec::new();
        for index in 0..count {
            let header = index
                .checked_mul(SECTION_HEADER_BYTES)
                .and_then(|offset| offset.checked_add(start))
                .ok_or(ElfError::Truncated { what: "a section header" })?;
            slice(bytes, header, SECTION_HEADER_BYTES, "a section header")?;
            names.push(u32_at(bytes, header)?);
            let kind = u32_at(bytes, header + 4)?;
            file.sections.push(Section {
                header,
                name: String::new(),
                executable: u64_at(bytes, header + 8)? & FLAG_EXECUTABLE != 0,
                offset: usize_at(bytes, header + 24)?,
                size: if kind == TYPE_NO_BITS { 0 } else { usize_at(bytes, header + 32)? },
                kind,
                link: u32_at(bytes, header + 40)?,
                info: u32_at(bytes, header + 44)?,
            });
        }
        let table = file.content(file.name_table()?)?;
        for (section, name) in file.sections.iter_mut().zip(names) {
            section.name = text_at(table, name, "a section name")?;
        }
        file.symbols = file.read_symbols()?;
        Ok(file)
    }

    /// The section that holds the sections' names.
    pub(super) fn name_table(&self) -> Result<&Section, ElfError> {
        let index = usize::from(u16_at(self.bytes, 62)?);
        self.sections.get(index).ok_or(ElfError::Truncated { what: "the name table" })
    }

    pub(super) fn section(&self, name: &str) -> Option<(usize, &Section)> {
        self.sections.iter().enumerate().find(|(_, section)| section.name == name)
    }

    pub(super) fn content(&self, section: &Section) -> Result<&'a [u8], ElfError> {
        slice(self.bytes, section.offset, section.size, "a section")
    }

    /// The relocations of a section.
    pub(super) fn relocations(&self, section: usize) -> Result<Vec<Relocation>, ElfError> {
        let mut found = Vec::new();
        let tables = self.sections.iter().filter(|s| s.kind == TYPE_RELOCATIONS);
        for table in tables.filter(|table| table.info == section) {
            for entry in self.content(table)?.chunks_exact(RELOCATION_BYTES) {
                let (offset, symbol) = (usize_at(entry, 0)?, u32_at(entry, 12)?);
                if symbol >= self.symbols.len() {
                    return Err(ElfError::Truncated { what: "a relocation's symbol" });
                }
                found.push(Relocation { offset, symbol });
            }
        }
        Ok(found)
    }

    /// The section that holds the symbols.
    pub(super) fn symbol_table(&self) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == TYPE_SYMBOLS)
    }

    fn read_symbols(&self) -> Result<Vec<Symbol>, ElfError> {
        let Some(table) = self.symbol_table() else { return Ok(Vec::new()) };
        let names = self
            .sections
            .get(table.link)
            .ok_or(ElfError::Truncated { what: "the symbols' names" })?;
        let names = self.content(names)?;
        self.content(table)?
            .chunks_exact(SYMBOL_BYTES)
            .take(SYMBOLS_MAX)
            .enumerate()
            .map(|(index, entry)| {
                Ok(Symbol {
                    place: table.offset + index * SYMBOL_BYTES,
                    name: text_at(names, u32_at(entry, 0)?, "a symbol's name")?,
                    section: usize::from(u16_at(entry, 6)?),
                    value: usize_at(entry, 8)?,
                    size: usize_at(entry, 16)?,
                    kind: entry[4] & 0xf,
                })
            })
            .collect()
    }
}

/// Gives a section new content, behind everything else in the file.
pub(super) fn move_to_end(
    out: &mut Vec<u8>,
    section: &Section,
    content: &[u8],
) -> Result<(), ElfError> {
    let offset = append(out, content);
    put(out, section.header + 24, &offset.to_le_bytes())?;
    put(out, section.header + 32, &(content.len() as u64).to_le_bytes())
}

/// Appends bytes at an address that 8-byte loads may use, and says where.
pub(super) fn append(out: &mut Vec<u8>, content: &[u8]) -> u64 {
    out.resize(out.len().next_multiple_of(8), 0);
    let offset = out.len() as u64;
    out.extend_from_slice(content);
    offset
}

pub(super) fn put(out: &mut [u8], at: usize, value: &[u8]) -> Result<(), ElfError> {
    at.checked_add(value.len())
        .and_then(|end| out.get_mut(at..end))
        .ok_or(ElfError::Truncated { what: "a header" })?
        .copy_from_slice(value);
    Ok(())
}

pub(super) fn slice<'a>(
    bytes: &'a [u8],
    at: usize,
    length: usize,
    what: &'static str,
) -> Result<&'a [u8], ElfError> {
    at.checked_add(length).and_then(|end| bytes.get(at..end)).ok_or(ElfError::Truncated { what })
}

pub(super) fn text_at(table: &[u8], at: usize, what: &'static str) -> Result<String, ElfError> {
    let rest = table.get(at..).ok_or(ElfError::Truncated { what })?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or(ElfError::Truncated { what })?;
    Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], ElfError> {
    let part = slice(bytes, at, N, "a number")?;
    part.try_into().map_err(|_| ElfError::Truncated { what: "a number" })
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, ElfError> {
    array(bytes, at).map(u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Result<usize, ElfError> {
    array(bytes, at).map(|number| u32::from_le_bytes(number) as usize)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, ElfError> {
    array(bytes, at).map(u64::from_le_bytes)
}

pub(super) fn usize_at(bytes: &[u8], at: usize) -> Result<usize, ElfError> {
    usize::try_from(u64_at(bytes, at)?).map_err(|_| ElfError::Truncated { what: "an offset" })
}

pub(super) fn little(number: usize) -> Result<[u8; 4], ElfError> {
    u32::try_from(number).map(u32::to_le_bytes).map_err(|_| ElfError::Truncated { what: "a table" })
}
