//! Maps and global variables. It refuses to know which of them a manifest names.

use super::btf::{Btf, Variable};
use super::elf::{Elf, SymbolKind};
use super::{Endian, GlobalFacts, IntType, MapFacts, ObjectError, needs};
use crate::limits::{GLOBALS_MAX, MAPS_MAX};

/// Bytes of the old `struct bpf_map_def`: type, key size, value size, entries, flags.
const LEGACY_DEF_BYTES: usize = 20;

/// Whether a section holds global variables, and becomes a map of its own.
pub(super) fn is_data_section(name: &str) -> bool {
    is_constant_section(name) || [".data", ".bss"].iter().any(|prefix| has_prefix(name, prefix))
}

fn is_constant_section(name: &str) -> bool {
    has_prefix(name, ".rodata")
}

fn has_prefix(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Every map, sorted by name. Two maps of one name are refused.
pub(super) fn read_maps(
    elf: &Elf<'_>,
    btf: Option<&Btf<'_>>,
) -> Result<Vec<MapFacts>, ObjectError> {
    let mut maps = Vec::new();
    if elf.section(".maps").is_some() {
        let btf = btf.ok_or(ObjectError::MapsWithoutBtf)?;
        for variable in btf.data_section(".maps")? {
            maps.push(read_btf_map(btf, &variable)?);
        }
    }
    for section in ["maps", "maps/"] {
        read_legacy_maps(elf, section, &mut maps)?;
    }
    if maps.len() > MAPS_MAX {
        return Err(ObjectError::TooMany { what: "maps", count: maps.len(), limit: MAPS_MAX });
    }
    maps.sort_by(|a, b| a.name.cmp(&b.name));
    match maps.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(ObjectError::Twice { what: "map", name: pair[0].name.clone() }),
        None => Ok(maps),
    }
}

/// Every global variable, sorted by section and name.
pub(super) fn read_globals(
    elf: &Elf<'_>,
    btf: Option<&Btf<'_>>,
) -> Result<Vec<GlobalFacts>, ObjectError> {
    let mut globals = Vec::new();
    for (index, section) in elf.sections.iter().enumerate() {
        if !is_data_section(&section.name) {
            continue;
        }
        let typed = btf.map_or(Ok(Vec::new()), |btf| btf.data_section(&section.name))?;
        let in_section = |symbol: &&super::elf::Symbol| {
            symbol.section == Some(index)
                && symbol.kind == SymbolKind::Object
                && !symbol.name.is_empty()
        };
        for symbol in elf.symbols.iter().filter(in_section) {
            let variable = typed.iter().find(|variable| variable.name == symbol.name);
            let ty =
                variable.zip(btf).map_or(Ok(None), |(variable, btf)| int_type(btf, variable))?;
            let broken = |_| ObjectError::Damaged { what: "a global variable" };
            let size = u32::try_from(symbol.size).map_err(broken)?;
            globals.push(GlobalFacts {
                name: symbol.name.clone(),
                ty: ty.filter(|ty| ty.size() == size as usize),
                size,
                offset: u32::try_from(symbol.value).map_err(broken)?,
                section: section.name.clone(),
                constant: is_constant_section(&section.name),
            });
        }
        if globals.len() > GLOBALS_MAX {
            return Err(ObjectError::TooMany {
                what: "global variables",
                count: globals.len(),
                limit: GLOBALS_MAX,
            });
        }
    }
    globals.sort_by(|a, b| (&a.section, &a.name).cmp(&(&b.section, &b.name)));
    Ok(globals)
}

fn int_type(btf: &Btf<'_>, variable: &Variable<'_>) -> Result<Option<IntType>, ObjectError> {
    let Some(int) = btf.int(variable.ty)? else { return Ok(None) };
    Ok(match (int.size, int.signed, int.boolean) {
        (1, _, true) => Some(IntType::Bool),
        (1, false, false) => Some(IntType::U8),
        (2, false, false) => Some(IntType::U16),
        (4, false, false) => Some(IntType::U32),
        (8, false, false) => Some(IntType::U64),
        _ => None,
    })
}

fn read_btf_map(btf: &Btf<'_>, variable: &Variable<'_>) -> Result<MapFacts, ObjectError> {
    let broken = || ObjectError::Map { name: variable.name.to_owned() };
    let (mut kind, mut key_size, mut value_size, mut max_entries, mut flags) = (None, 0, 0, 0, 0);
    for member in btf.members(variable.ty)?.ok_or_else(broken)? {
        let number = || btf.carried_number(member.ty)?.ok_or_else(broken);
        let pointee_size = || match btf.pointee(member.ty)? {
            Some(pointee) => btf.size_of(pointee)?.ok_or_else(broken),
            None => Err(broken()),
        };
        match member.name {
            "type" => kind = Some(number()?),
            "key_size" => key_size = number()?,
            "value_size" => value_size = number()?,
            "max_entries" => max_entries = number()?,
            "map_flags" => flags = number()?,
            "key" => key_size = pointee_size()?,
            "value" => value_size = pointee_size()?,
            // `values` of a map of maps or programs: the value is a file descriptor's number.
            "values" if value_size == 0 => value_size = 4,
            _ => {}
        }
    }
    let kind = needs::map_kind(kind.ok_or_else(broken)?);
    let name = variable.name.to_owned();
    Ok(MapFacts { name, kind, key_size, value_size, max_entries, flags, legacy: false })
}

fn read_legacy_maps(
    elf: &Elf<'_>,
    section_name: &str,
    maps: &mut Vec<MapFacts>,
) -> Result<(), ObjectError> {
    let wanted = |name: &str| match section_name.strip_suffix('/') {
        Some(_) => name.starts_with(section_name),
        None => name == section_name,
    };
    for (index, section) in
        elf.sections.iter().enumerate().filter(|(_, section)| wanted(&section.name))
    {
        let defines = |symbol: &&super::elf::Symbol| {
            symbol.section == Some(index)
                && matches!(symbol.kind, SymbolKind::Object)
                && !symbol.name.is_empty()
        };
        for symbol in elf.symbols.iter().filter(defines) {
            let broken = || ObjectError::Map { name: symbol.name.clone() };
            let start = usize::try_from(symbol.value).map_err(|_| broken())?;
            let end = start.checked_add(LEGACY_DEF_BYTES).ok_or_else(broken)?;
            let def = section.data.get(start..end).ok_or_else(broken)?;
            let word = |index: usize| {
                let four =
                    [def[index * 4], def[index * 4 + 1], def[index * 4 + 2], def[index * 4 + 3]];
                match elf.endian {
                    Endian::Little => u32::from_le_bytes(four),
                    Endian::Big => u32::from_be_bytes(four),
                }
            };
            maps.push(MapFacts {
                name: symbol.name.clone(),
                kind: needs::map_kind(word(0)),
                key_size: word(1),
                value_size: word(2),
                max_entries: word(3),
                flags: word(4),
                legacy: true,
            });
            if maps.len() > MAPS_MAX {
                return Err(ObjectError::TooMany {
                    what: "maps",
                    count: maps.len(),
                    limit: MAPS_MAX,
                });
            }
        }
    }
    Ok(())
}
