//! The `.BTF` section as bytes that can be looked through and changed in place, with strings added
//! behind those it has (`Documentation/bpf/btf.rst`). Knows the records' layout, no meaning.

use super::ElfError;
use super::file::{little, put, slice, text_at, u32_at};

const POINTER: usize = 2;
const ARRAY: usize = 3;
const STRUCT: usize = 4;
const FUNCTION: usize = 12;
const VARIABLE: usize = 14;
const SECTION: usize = 15;
/// `typedef`, `volatile`, `const`, `restrict` and type tags only point to another type.
const MODIFIERS: [usize; 5] = [8, 9, 10, 11, 18];
const INTEGER: usize = 1;
/// Modifiers that stand for one type: deeper is a circle.
const MODIFIER_DEPTH_MAX: usize = 32;
/// More types than any object has; the artifact reader stops there too.
const TYPES_MAX: usize = 1 << 20;
const RECORD_BYTES: usize = 12;

/// Type information being changed.
#[derive(Debug)]
pub(super) struct Types {
    bytes: Vec<u8>,
    /// Where each type's record begins; 0, `void`, has none.
    records: Vec<usize>,
    strings: usize,
}

/// A type's record.
#[derive(Debug, Clone, Copy)]
struct Record {
    place: usize,
    kind: usize,
    members: usize,
    size_or_type: usize,
}

/// A variable or function of a section.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    /// The type's id.
    id: usize,
    place: usize,
}

/// A member of a structure.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    /// In bytes.
    pub(super) offset: usize,
    place: usize,
    of_type: usize,
}

impl Types {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ElfError> {
        let header = u32_at(bytes, 4)?;
        let sum = |offset: usize| header.checked_add(offset).ok_or(ElfError::OddBtf);
        let (first, length) = (sum(u32_at(bytes, 8)?)?, u32_at(bytes, 12)?);
        let strings = sum(u32_at(bytes, 16)?)?;
        // Strings are appended, so they must be the last thing, as every compiler writes them.
        if strings.checked_add(u32_at(bytes, 20)?) != Some(bytes.len()) {
            return Err(ElfError::OddBtf);
        }
        slice(bytes, first, length, "the BTF")?;
        let mut types = Self { bytes: bytes.to_vec(), records: vec![0], strings };
        let mut place = first;
        while place < first + length {
            let record = types.record_at(place)?;
            types.records.push(place);
            place += RECORD_BYTES + extra_bytes(record)?;
            if types.records.len() > TYPES_MAX {
                return Err(ElfError::OddBtf);
            }
        }
        Ok(types)
    }

    /// The section's bytes as they are now.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A string that is there already, by its offset.
    pub(super) fn string(&self, offset: usize) -> Result<String, ElfError> {
        let strings = slice(&self.bytes, self.strings, self.bytes.len() - self.strings, "strings")?;
        text_at(strings, offset, "a name in the BTF")
    }

    /// Adds a string and gives its offset.
    pub(super) fn add_string(&mut self, text: &str) -> Result<usize, ElfError> {
        let offset = self.bytes.len() - self.strings;
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        let total = little(self.bytes.len() - self.strings)?;
        put(&mut self.bytes, 20, &total)?;
        Ok(offset)
    }

    /// The id of a section's description, if there is one.
    pub(super) fn section(&self, name: &str) -> Result<Option<usize>, ElfError> {
        for id in 1..self.records.len() {
            let record = self.record(id)?;
            if record.kind == SECTION && self.string(u32_at(&self.bytes, record.place)?)? == name {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// What a section holds.
    pub(super) fn entries(&self, section: usize) -> Result<Vec<Entry>, ElfError> {
        let section = self.record(section)?;
        (0..section.members)
            .map(|index| {
                let place = section.place + RECORD_BYTES + index * 12;
                let id = u32_at(&self.bytes, place)?;
                let record = self.record(id)?;
                let name = self.string(u32_at(&self.bytes, record.place)?)?;
                Ok(Entry { name, id, place })
            })
            .collect()
    }

    /// The members of the structure that a variable is.
    pub(super) fn members(&self, variable: &Entry) -> Result<Vec<Member>, ElfError> {
        let Some(structure) = self.variable_type(variable)?.filter(|r| r.kind == STRUCT) else {
            return Ok(Vec::new());
        };
        (0..structure.members)
            .map(|index| {
                let place = structure.place + RECORD_BYTES + index * 12;
                Ok(Member {
                    name: self.string(u32_at(&self.bytes, place)?)?,
                    offset: u32_at(&self.bytes, place + 8)? / 8,
                    place,
                    of_type: u32_at(&self.bytes, place + 4)?,
                })
            })
            .collect()
    }

    /// Whether a member is an array of pointers to functions.
    pub(super) fn holds_functions(&self, member: &Member) -> Result<bool, ElfError> {
        const FUNCTION_SHAPE: usize = 13;
        let Some(array) = self.resolved(member.of_type)?.filter(|r| r.kind == ARRAY) else {
            return Ok(false);
        };
        let element = u32_at(&self.bytes, array.place + RECORD_BYTES)?;
        let Some(pointer) = self.resolved(element)?.filter(|r| r.kind == POINTER) else {
            return Ok(false);
        };
        Ok(self.resolved(pointer.size_or_type)?.is_some_and(|r| r.kind == FUNCTION_SHAPE))
    }

    /// Takes a member's name away, so that readers pass over it.
    pub(super) fn unname(&mut self, member: &Member) -> Result<(), ElfError> {
        put(&mut self.bytes, member.place, &[0; 4])
    }

    /// The size of the integer that a variable is.
    pub(super) fn integer_size(&self, variable: &Entry) -> Result<Option<usize>, ElfError> {
        let record = self.variable_type(variable)?.filter(|record| record.kind == INTEGER);
        Ok(record.map(|record| record.size_or_type))
    }

    /// Makes a section's description one of variables that are defined here, `size` bytes each.
    pub(super) fn define(
        &mut self,
        section: usize,
        name: &str,
        entries: &[Entry],
        size: usize,
    ) -> Result<(), ElfError> {
        let name = self.add_string(name)?;
        let section = self.record(section)?;
        put(&mut self.bytes, section.place, &little(name)?)?;
        put(&mut self.bytes, section.place + 8, &little(entries.len() * size)?)?;
        for (index, entry) in entries.iter().enumerate() {
            put(&mut self.bytes, entry.place + 4, &little(index * size)?)?;
            put(&mut self.bytes, entry.place + 8, &little(size)?)?;
            let variable = self.record(entry.id)?;
            // Linkage: a global that is allocated here.
            put(&mut self.bytes, variable.place + RECORD_BYTES, &little(1)?)?;
        }
        Ok(())
    }

    fn variable_type(&self, variable: &Entry) -> Result<Option<Record>, ElfError> {
        let record = self.record(variable.id)?;
        if record.kind == VARIABLE { self.resolved(record.size_or_type) } else { Ok(None) }
    }

    /// The type behind typedefs and qualifiers; none for `void`.
    fn resolved(&self, mut id: usize) -> Result<Option<Record>, ElfError> {
        for _ in 0..MODIFIER_DEPTH_MAX {
            if id == 0 {
                return Ok(None);
            }
            let record = self.record(id)?;
            if !MODIFIERS.contains(&record.kind) {
                return Ok(Some(record));
            }
            id = record.size_or_type;
        }
        Err(ElfError::OddBtf)
    }

    fn record(&self, id: usize) -> Result<Record, ElfError> {
        let place = self.records.get(id).copied().filter(|place| *place != 0);
        self.record_at(place.ok_or(ElfError::OddBtf)?)
    }

    fn record_at(&self, place: usize) -> Result<Record, ElfError> {
        let word = u32_at(&self.bytes, place + 4)?;
        Ok(Record {
            place,
            kind: word >> 24 & 0x1f,
            members: word & 0xffff,
            size_or_type: u32_at(&self.bytes, place + 8)?,
        })
    }
}

/// Bytes behind a record's fixed part.
fn extra_bytes(record: Record) -> Result<usize, ElfError> {
    Ok(match record.kind {
        INTEGER | VARIABLE | 17 => 4,
        ARRAY => 12,
        STRUCT | 5 | SECTION | 19 => record.members * 12,
        6 | 13 => record.members * 8,
        POINTER | 7..=11 | FUNCTION | 16 | 18 => 0,
        _ => return Err(ElfError::OddBtf),
    })
}
