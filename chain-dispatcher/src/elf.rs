//! Section names of an object, rewritten to the ones that the loader library knows: it calls a tc
//! program `classifier` only, while libbpf's names are `tc`, `tc/…` and `tcx/…`. Bytes in, bytes
//! out. Knows nothing of the kernel, and nothing of what the sections mean beyond their names.

use std::borrow::Cow;

/// Sections beyond this are no BPF object; the ELF header could claim 65,535.
const SECTIONS_MAX: usize = 4096;

const SECTION_HEADER_BYTES: usize = 64;
const FLAG_EXECUTABLE: u64 = 4;

/// Why the section names could not be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Something points outside the file.
    #[error("the object file is cut short or damaged: {what} lies outside the file")]
    Truncated {
        /// What was looked for.
        what: &'static str,
    },
    /// The BTF string table is not the last thing in its section, as every compiler writes it.
    #[error("the object's BTF is laid out in a way that no known compiler uses")]
    OddBtf,
}

/// A section header, as far as it matters here.
#[derive(Debug, Clone, Copy)]
struct Section {
    header: usize,
    name: usize,
    flags: u64,
    offset: usize,
    size: usize,
}

/// The object with every tc section named `classifier/<its old name>`; borrowed if there is none.
pub(crate) fn with_known_sections(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ElfError> {
    let sections = sections(bytes)?;
    let names = name_table(bytes, &sections)?;
    let mut renamed = Vec::new();
    for section in &sections {
        let name = string_at(names, section.name, "a section name")?;
        if section.flags & FLAG_EXECUTABLE != 0 && is_tc(name) {
            renamed.push((
                *section,
                name.to_vec(),
                [b"classifier/".as_slice(), name, b"\0"].concat(),
            ));
        }
    }
    if renamed.is_empty() {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut out = bytes.to_vec();
    let mut table = names.to_vec();
    for (section, _, new) in &renamed {
        put(&mut out, section.header, &little(table.len())?)?;
        table.extend_from_slice(new);
    }
    let table_index = usize::from(u16_at(bytes, 62)?);
    let holder = sections.get(table_index).ok_or(ElfError::Truncated { what: "the name table" })?;
    move_to_end(&mut out, holder, &table)?;
    rename_in_btf(&mut out, bytes, &sections, names, &renamed)?;
    Ok(Cow::Owned(out))
}

fn is_tc(name: &[u8]) -> bool {
    name == b"tc" || name.starts_with(b"tc/") || name.starts_with(b"tcx/")
}

/// `.BTF.ext` names sections by strings of `.BTF`: the new names are appended there.
fn rename_in_btf(
    out: &mut Vec<u8>,
    bytes: &[u8],
    sections: &[Section],
    names: &[u8],
    renamed: &[(Section, Vec<u8>, Vec<u8>)],
) -> Result<(), ElfError> {
    let find = |wanted: &[u8]| {
        sections.iter().find(|s| string_at(names, s.name, "a section name") == Ok(wanted))
    };
    let (Some(btf), Some(ext)) = (find(b".BTF"), find(b".BTF.ext")) else { return Ok(()) };
    let data = slice(bytes, btf.offset, btf.size, "the BTF")?;
    let header = u32_at(data, 4)?;
    let (start, length) = (header + u32_at(data, 16)?, u32_at(data, 20)?);
    if start + length != data.len() {
        return Err(ElfError::OddBtf);
    }
    let strings = slice(data, start, length, "the BTF strings")?;
    let mut grown = data.to_vec();
    let mut moved = Vec::new();
    for (_, old, new) in renamed {
        moved.push((old.as_slice(), grown.len() - start));
        grown.extend_from_slice(new);
    }
    let total = little(grown.len() - start)?;
    put(&mut grown, 20, &total)?;
    let info = slice(bytes, ext.offset, ext.size, "the BTF extension")?;
    for place in section_name_places(info)? {
        let name = string_at(strings, u32_at(info, place)?, "a section name in the BTF")?;
        if let Some((_, new)) = moved.iter().find(|(old, _)| *old == name) {
            put(out, ext.offset + place, &little(*new)?)?;
        }
    }
    move_to_end(out, btf, &grown)
}

/// Where in `.BTF.ext` the offsets of section names stand.
fn section_name_places(info: &[u8]) -> Result<Vec<usize>, ElfError> {
    let header = u32_at(info, 4)?;
    let mut places = Vec::new();
    // function, line and (in a header of 32 bytes or more) CO-RE relocation records
    for field in [8, 16, 24] {
        if field + 8 > header {
            break;
        }
        let start = header + u32_at(info, field)?;
        let length = u32_at(info, field + 4)?;
        if length == 0 {
            continue;
        }
        let record = u32_at(info, start)?;
        let mut place = start + 4;
        while place < start + length {
            places.push(place);
            let count = u32_at(info, place + 4)?;
            let records = record.checked_mul(count).ok_or(ElfError::OddBtf)?;
            place = place.checked_add(8 + records).ok_or(ElfError::OddBtf)?;
        }
    }
    Ok(places)
}

fn sections(bytes: &[u8]) -> Result<Vec<Section>, ElfError> {
    let start = usize_at(bytes, 40)?;
    let count = usize::from(u16_at(bytes, 60)?).min(SECTIONS_MAX);
    (0..count)
        .map(|index| {
            let header = index
                .checked_mul(SECTION_HEADER_BYTES)
                .and_then(|offset| offset.checked_add(start))
                .ok_or(ElfError::Truncated { what: "a section header" })?;
            slice(bytes, header, SECTION_HEADER_BYTES, "a section header")?;
            Ok(Section {
                header,
                name: u32_at(bytes, header)?,
                flags: u64_at(bytes, header + 8)?,
                offset: usize_at(bytes, header + 24)?,
                size: usize_at(bytes, header + 32)?,
            })
        })
        .collect()
}

fn name_table<'a>(bytes: &'a [u8], sections: &[Section]) -> Result<&'a [u8], ElfError> {
    let table = sections
        .get(usize::from(u16_at(bytes, 62)?))
        .ok_or(ElfError::Truncated { what: "the name table" })?;
    slice(bytes, table.offset, table.size, "the name table")
}

fn move_to_end(out: &mut Vec<u8>, section: &Section, content: &[u8]) -> Result<(), ElfError> {
    out.resize(out.len().next_multiple_of(8), 0);
    let offset = out.len() as u64;
    out.extend_from_slice(content);
    put(out, section.header + 24, &offset.to_le_bytes())?;
    put(out, section.header + 32, &(content.len() as u64).to_le_bytes())
}

fn put(out: &mut [u8], at: usize, value: &[u8]) -> Result<(), ElfError> {
    at.checked_add(value.len())
        .and_then(|end| out.get_mut(at..end))
        .ok_or(ElfError::Truncated { what: "a header" })?
        .copy_from_slice(value);
    Ok(())
}

fn slice<'a>(
    bytes: &'a [u8],
    at: usize,
    length: usize,
    what: &'static str,
) -> Result<&'a [u8], ElfError> {
    at.checked_add(length).and_then(|end| bytes.get(at..end)).ok_or(ElfError::Truncated { what })
}

fn string_at<'a>(table: &'a [u8], at: usize, what: &'static str) -> Result<&'a [u8], ElfError> {
    let rest = table.get(at..).ok_or(ElfError::Truncated { what })?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or(ElfError::Truncated { what })?;
    Ok(&rest[..end])
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], ElfError> {
    let part = slice(bytes, at, N, "a number")?;
    part.try_into().map_err(|_| ElfError::Truncated { what: "a number" })
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, ElfError> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<usize, ElfError> {
    array(bytes, at).map(|number| u32::from_le_bytes(number) as usize)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, ElfError> {
    array(bytes, at).map(u64::from_le_bytes)
}

fn usize_at(bytes: &[u8], at: usize) -> Result<usize, ElfError> {
    usize::try_from(u64_at(bytes, at)?).map_err(|_| ElfError::Truncated { what: "an offset" })
}

fn little(number: usize) -> Result<[u8; 4], ElfError> {
    u32::try_from(number).map(u32::to_le_bytes).map_err(|_| ElfError::Truncated { what: "a table" })
}

#[cfg(test)]
mod tests {
    use super::{ElfError, with_known_sections};

    #[test]
    fn refuses_a_cut_object_at_every_length() {
        let whole = crate::backend::slots::TC_DISPATCHER;
        assert!(with_known_sections(whole).is_ok());
        for length in (0..64).chain([whole.len() / 2, whole.len() - 1]) {
            assert!(matches!(
                with_known_sections(&whole[..length]),
                Err(ElfError::Truncated { .. })
            ));
        }
    }
}
