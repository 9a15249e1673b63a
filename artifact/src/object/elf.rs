//! A bounded view of an ELF file: sections, symbols and the relocations of executable sections.
//! It refuses to know what they mean for BPF. Every count is checked before anything is copied.

use object::Endianness;
use object::elf::{self, FileHeader64, SectionHeader64, Sym64};
use object::read::elf::{
    FileHeader as _, Rel as _, SectionHeader as _, SectionTable, Sym as _, SymbolTable,
};

use super::{Endian, ObjectError};
use crate::limits::{ELF_RELOCATIONS_MAX, ELF_SECTIONS_MAX, ELF_SYMBOLS_MAX, OBJECT_BYTES_MAX};

/// Bytes of a section or symbol name: BTF's own limit for names is 128; Rust's mangled ones are longer.
const NAME_BYTES_MAX: usize = 512;

pub(super) struct Elf<'data> {
    pub(super) endian: Endian,
    pub(super) sections: Vec<Section<'data>>,
    pub(super) symbols: Vec<Symbol>,
}

pub(super) struct Section<'data> {
    pub(super) name: String,
    pub(super) data: &'data [u8],
    pub(super) executable: bool,
    /// Sorted by offset.
    pub(super) relocations: Vec<Relocation>,
}

pub(super) struct Symbol {
    pub(super) name: String,
    /// Index into `sections`; `None` when undefined or absolute.
    pub(super) section: Option<usize>,
    pub(super) kind: SymbolKind,
    pub(super) global: bool,
    pub(super) value: u64,
    pub(super) size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SymbolKind {
    Function,
    Object,
    Section,
    Other,
}

#[derive(Clone, Copy)]
pub(super) struct Relocation {
    pub(super) offset: u64,
    /// Index into `symbols`.
    pub(super) symbol: usize,
}

type Header = FileHeader64<Endianness>;
type Sections<'data> = SectionTable<'data, Header>;
type Symbols<'data> = SymbolTable<'data, Header>;

impl<'data> Elf<'data> {
    pub(super) fn read(bytes: &'data [u8]) -> Result<Self, ObjectError> {
        let (header, endianness) = read_header(bytes)?;
        let table = header.sections(endianness, bytes).map_err(damaged("section headers"))?;
        if table.len() > ELF_SECTIONS_MAX {
            return Err(ObjectError::TooMany {
                what: "sections",
                count: table.len(),
                limit: ELF_SECTIONS_MAX,
            });
        }
        let symbol_table = table
            .symbols(endianness, bytes, elf::SHT_SYMTAB)
            .map_err(damaged("the symbol table"))?;
        if symbol_table.len() > ELF_SYMBOLS_MAX {
            let count = symbol_table.len();
            return Err(ObjectError::TooMany { what: "symbols", count, limit: ELF_SYMBOLS_MAX });
        }
        let mut sections = Vec::with_capacity(table.len());
        for section in table.iter() {
            sections.push(read_section(section, &table, endianness, bytes)?);
        }
        let symbols = read_symbols(&symbol_table, endianness, sections.len())?;
        read_relocations(&table, endianness, bytes, &mut sections, symbols.len())?;
        let endian = match endianness {
            Endianness::Little => Endian::Little,
            Endianness::Big => Endian::Big,
        };
        Ok(Self { endian, sections, symbols })
    }

    pub(super) fn section(&self, name: &str) -> Option<(usize, &Section<'data>)> {
        self.sections.iter().enumerate().find(|(_, section)| section.name == name)
    }
}

impl Section<'_> {
    /// The relocation at an offset, if there is one.
    pub(super) fn relocation_at(&self, offset: u64) -> Option<Relocation> {
        let found = self.relocations.binary_search_by_key(&offset, |relocation| relocation.offset);
        found.ok().map(|index| self.relocations[index])
    }
}

fn read_header(bytes: &[u8]) -> Result<(&Header, Endianness), ObjectError> {
    if bytes.len() > OBJECT_BYTES_MAX {
        return Err(ObjectError::TooLarge { bytes: bytes.len() });
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Err(ObjectError::NotElf);
    }
    match (bytes.get(4), bytes.get(5)) {
        (Some(2), Some(1 | 2)) => {}
        (Some(2), Some(data)) => return Err(ObjectError::ByteOrder { found: *data }),
        (Some(class), Some(_)) => return Err(ObjectError::NotElf64 { class: *class }),
        _ => return Err(ObjectError::Damaged { what: "the file header" }),
    }
    let header = Header::parse(bytes).map_err(damaged("the file header"))?;
    let endianness = header.endian().map_err(damaged("the file header"))?;
    let machine = header.e_machine(endianness);
    if machine != elf::EM_BPF {
        return Err(ObjectError::NotBpf { machine: machine.0 });
    }
    let kind = header.e_type(endianness);
    if kind != elf::ET_REL {
        return Err(ObjectError::NotRelocatable { kind: kind.0 });
    }
    Ok((header, endianness))
}

fn read_section<'data>(
    section: &SectionHeader64<Endianness>,
    table: &Sections<'data>,
    endianness: Endianness,
    bytes: &'data [u8],
) -> Result<Section<'data>, ObjectError> {
    let name = table.section_name(endianness, section).map_err(damaged("a section's name"))?;
    let name = read_name(name)?;
    let data = section.data(endianness, bytes).map_err(damaged("a section"))?;
    let flags = section.sh_flags(endianness);
    let executable =
        flags.0 & elf::SHF_EXECINSTR.0 != 0 && section.sh_type(endianness) == elf::SHT_PROGBITS;
    Ok(Section { name, data, executable, relocations: Vec::new() })
}

fn read_symbols(
    table: &Symbols<'_>,
    endianness: Endianness,
    sections: usize,
) -> Result<Vec<Symbol>, ObjectError> {
    let read = |(index, symbol): (object::SymbolIndex, &Sym64<Endianness>)| {
        let name = table.symbol_name(endianness, symbol).map_err(damaged("a symbol's name"))?;
        let section = table
            .symbol_section(endianness, symbol, index)
            .map_err(damaged("a symbol's section"))?;
        let section = section.map(|section| section.0).filter(|section| *section != 0);
        if section.is_some_and(|section| section >= sections) {
            return Err(ObjectError::Damaged { what: "a symbol's section" });
        }
        let kind = match symbol.st_type() {
            elf::STT_FUNC => SymbolKind::Function,
            elf::STT_OBJECT => SymbolKind::Object,
            elf::STT_SECTION => SymbolKind::Section,
            _ => SymbolKind::Other,
        };
        Ok(Symbol {
            name: read_name(name)?,
            section,
            kind,
            global: symbol.st_bind() != elf::STB_LOCAL,
            value: symbol.st_value(endianness),
            size: symbol.st_size(endianness),
        })
    };
    // The null symbol at index 0 keeps the indices of relocations right.
    table
        .iter()
        .enumerate()
        .map(|(index, symbol)| read((object::SymbolIndex(index), symbol)))
        .collect()
}

fn read_relocations<'data>(
    table: &Sections<'data>,
    endianness: Endianness,
    bytes: &'data [u8],
    sections: &mut [Section<'data>],
    symbols: usize,
) -> Result<(), ObjectError> {
    let mut total = 0;
    for header in table.iter() {
        let Some((entries, _)) =
            header.rel(endianness, bytes).map_err(damaged("a relocation table"))?
        else {
            continue;
        };
        let target = header.info_link(endianness).0;
        let Some(section) = sections.get_mut(target).filter(|section| section.executable) else {
            continue;
        };
        total += entries.len();
        if total > ELF_RELOCATIONS_MAX {
            return Err(ObjectError::TooMany {
                what: "relocations",
                count: total,
                limit: ELF_RELOCATIONS_MAX,
            });
        }
        for entry in entries {
            let symbol = entry.r_sym(endianness) as usize;
            if symbol >= symbols {
                return Err(ObjectError::Damaged { what: "a relocation's symbol" });
            }
            section.relocations.push(Relocation { offset: entry.r_offset(endianness), symbol });
        }
        section.relocations.sort_by_key(|relocation| relocation.offset);
    }
    Ok(())
}

fn read_name(bytes: &[u8]) -> Result<String, ObjectError> {
    if bytes.len() > NAME_BYTES_MAX {
        return Err(ObjectError::Name);
    }
    let name = std::str::from_utf8(bytes).map_err(|_| ObjectError::Name)?;
    if name.chars().any(char::is_control) {
        return Err(ObjectError::Name);
    }
    Ok(name.to_owned())
}

fn damaged(what: &'static str) -> impl Fn(object::Error) -> ObjectError {
    move |_| ObjectError::Damaged { what }
}
