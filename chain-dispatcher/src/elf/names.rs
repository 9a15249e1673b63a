//! Section names of programs. The loader library knows few of them and refuses an object with any
//! other, so every program's section is called `classifier/<its old name>` for it, which it takes;
//! the real name is kept beside. `.BTF.ext` names sections too. Knows names, not what they mean.

use super::ElfError;
use super::file::{File, little, move_to_end, put, u32_at};
use super::types::Types;

/// What the library takes for the beginning of a section of programs.
const KNOWN: &str = "classifier/";

/// Renames every section of programs in `out`.
pub(super) fn rename(
    file: &File<'_>,
    out: &mut Vec<u8>,
    types: Option<&mut Types>,
    names: &mut Vec<u8>,
) -> Result<(), ElfError> {
    let mut renamed = Vec::new();
    for section in file.sections.iter().filter(|section| holds_programs(section)) {
        let new = format!("{KNOWN}{}", section.name);
        put(out, section.header, &little(names.len())?)?;
        names.extend_from_slice(new.as_bytes());
        names.push(0);
        renamed.push((section.name.as_str(), new));
    }
    let (Some(types), Some((_, extension))) = (types, file.section(".BTF.ext")) else {
        return Ok(());
    };
    let mut moved = Vec::new();
    for (old, new) in renamed {
        moved.push((old, types.add_string(&new)?));
    }
    let mut info = file.content(extension)?.to_vec();
    for place in section_name_places(&info)? {
        let name = types.string(u32_at(&info, place)?)?;
        if let Some((_, new)) = moved.iter().find(|(old, _)| *old == name) {
            put(&mut info, place, &little(*new)?)?;
        }
    }
    move_to_end(out, extension, &info)
}

/// Code that is not `.text`, where functions lie that programs call.
pub(super) fn holds_programs(section: &super::file::Section) -> bool {
    section.executable && section.size > 0 && !section.name.starts_with(".text")
}

/// Where in `.BTF.ext` the offsets of section names stand.
fn section_name_places(info: &[u8]) -> Result<Vec<usize>, ElfError> {
    let header = u32_at(info, 4)?;
    let sum = |a: usize, b: usize| a.checked_add(b).ok_or(ElfError::OddBtf);
    let mut places = Vec::new();
    // function, line and (in a header of 32 bytes or more) CO-RE relocation records
    for field in [8, 16, 24] {
        if field + 8 > header {
            break;
        }
        let start = sum(header, u32_at(info, field)?)?;
        let end = sum(start, u32_at(info, field + 4)?)?;
        if end == start {
            continue;
        }
        let record = u32_at(info, start)?;
        let mut place = sum(start, 4)?;
        while place < end {
            places.push(place);
            let records = record.checked_mul(u32_at(info, sum(place, 4)?)?);
            place = sum(sum(place, 8)?, records.ok_or(ElfError::OddBtf)?)?;
        }
    }
    Ok(places)
}
