//! A small reader of BTF (`Documentation/bpf/btf.rst`): enough to name maps and globals and to count CO-RE relocations.
//! It refuses to know the kernel's own BTF. The bytes may be hostile: references are followed a bounded number of steps.

use super::{Endian, ObjectError};
use crate::limits::{BTF_MODIFIER_DEPTH_MAX, BTF_TYPES_MAX};

const MAGIC: u16 = 0xeb9f;

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FWD: u32 = 7;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_FLOAT: u32 = 16;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Bytes of a pointer in BPF, whatever the host.
const POINTER_BYTES: u32 = 8;

/// Bytes of one CO-RE relocation record that we rely on.
const CORE_RECORD_BYTES_MIN: u32 = 16;

pub(super) struct Btf<'data> {
    read: Reader<'data>,
    strings: &'data [u8],
    /// Where each type's record begins in `read`; index 0 is `void` and unused.
    types: Vec<usize>,
}

/// One type's fixed header.
#[derive(Clone, Copy)]
struct Record {
    at: usize,
    name: u32,
    kind: u32,
    vlen: u32,
    /// Size in bytes, or the id of another type, as the kind says.
    size_or_type: u32,
}

/// One variable of a data section.
pub(super) struct Variable<'data> {
    pub(super) name: &'data str,
    /// Type id of the variable's type.
    pub(super) ty: u32,
}

/// One member of a structure.
pub(super) struct Member<'data> {
    pub(super) name: &'data str,
    pub(super) ty: u32,
}

/// An integer's width and encoding.
pub(super) struct Int {
    pub(super) size: u32,
    pub(super) signed: bool,
    pub(super) boolean: bool,
}

#[derive(Clone, Copy)]
struct Reader<'data> {
    bytes: &'data [u8],
    endian: Endian,
}

impl Reader<'_> {
    fn u32(&self, at: usize) -> Result<u32, ObjectError> {
        let end = at.checked_add(4).ok_or(DAMAGED)?;
        let four = self.bytes.get(at..end).and_then(|four| four.try_into().ok()).ok_or(DAMAGED)?;
        Ok(match self.endian {
            Endian::Little => u32::from_le_bytes(four),
            Endian::Big => u32::from_be_bytes(four),
        })
    }

    fn u16(&self, at: usize) -> Result<u16, ObjectError> {
        let end = at.checked_add(2).ok_or(DAMAGED)?;
        let two = self.bytes.get(at..end).and_then(|two| two.try_into().ok()).ok_or(DAMAGED)?;
        Ok(match self.endian {
            Endian::Little => u16::from_le_bytes(two),
            Endian::Big => u16::from_be_bytes(two),
        })
    }
}

const DAMAGED: ObjectError = ObjectError::Damaged { what: "BTF" };

impl<'data> Btf<'data> {
    pub(super) fn read(bytes: &'data [u8], endian: Endian) -> Result<Self, ObjectError> {
        let whole = Reader { bytes, endian };
        if whole.u16(0)? != MAGIC {
            return Err(DAMAGED);
        }
        let header = whole.u32(4)? as usize;
        let part = |offset: usize, length: usize| -> Result<&'data [u8], ObjectError> {
            let start = header.checked_add(whole.u32(offset)? as usize).ok_or(DAMAGED)?;
            let end = start.checked_add(whole.u32(length)? as usize).ok_or(DAMAGED)?;
            bytes.get(start..end).ok_or(DAMAGED)
        };
        let read = Reader { bytes: part(8, 12)?, endian };
        let strings = part(16, 20)?;
        let mut btf = Self { read, strings, types: vec![0] };
        let mut at = 0;
        while at < btf.read.bytes.len() {
            if btf.types.len() > BTF_TYPES_MAX {
                let count = btf.types.len();
                return Err(ObjectError::TooMany {
                    what: "BTF types",
                    count,
                    limit: BTF_TYPES_MAX,
                });
            }
            btf.types.push(at);
            let record = btf.record_at(at)?;
            at = at.checked_add(12 + extra_bytes(record)?).ok_or(DAMAGED)?;
        }
        if at == btf.read.bytes.len() { Ok(btf) } else { Err(DAMAGED) }
    }

    /// The variables of a data section, empty when there is none of that name.
    pub(super) fn data_section(&self, name: &str) -> Result<Vec<Variable<'data>>, ObjectError> {
        for at in self.types.iter().skip(1) {
            let record = self.record_at(*at)?;
            if record.kind == KIND_DATASEC && self.string(record.name)? == name {
                return (0..record.vlen)
                    .map(|index| self.section_variable(record, index))
                    .collect();
            }
        }
        Ok(Vec::new())
    }

    /// The members of a structure, after typedefs and qualifiers.
    pub(super) fn members(&self, id: u32) -> Result<Option<Vec<Member<'data>>>, ObjectError> {
        let Some(record) = self.resolve(id)?.filter(|record| record.kind == KIND_STRUCT) else {
            return Ok(None);
        };
        let member = |index: u32| {
            let at = record.at + 12 + 12 * index as usize;
            Ok(Member { name: self.string(self.read.u32(at)?)?, ty: self.read.u32(at + 4)? })
        };
        (0..record.vlen).map(member).collect::<Result<_, _>>().map(Some)
    }

    /// What a pointer points to.
    pub(super) fn pointee(&self, id: u32) -> Result<Option<u32>, ObjectError> {
        let record = self.resolve(id)?.filter(|record| record.kind == KIND_PTR);
        Ok(record.map(|record| record.size_or_type))
    }

    /// The number of elements of the array a pointer points to: how `__uint(name, value)` carries its value.
    pub(super) fn carried_number(&self, id: u32) -> Result<Option<u32>, ObjectError> {
        let Some(pointee) = self.pointee(id)? else { return Ok(None) };
        let Some(record) = self.resolve(pointee)?.filter(|record| record.kind == KIND_ARRAY) else {
            return Ok(None);
        };
        self.read.u32(record.at + 12 + 8).map(Some)
    }

    /// An integer type, after typedefs and qualifiers.
    pub(super) fn int(&self, id: u32) -> Result<Option<Int>, ObjectError> {
        let Some(record) = self.resolve(id)?.filter(|record| record.kind == KIND_INT) else {
            return Ok(None);
        };
        let encoding = self.read.u32(record.at + 12)?;
        let (bits, flags) = (encoding & 0xff, encoding >> 24);
        if bits != record.size_or_type.saturating_mul(8) {
            return Ok(None);
        }
        Ok(Some(Int { size: record.size_or_type, signed: flags & 1 != 0, boolean: flags & 4 != 0 }))
    }

    /// A type's size in bytes; `None` for types that have none.
    pub(super) fn size_of(&self, id: u32) -> Result<Option<u32>, ObjectError> {
        let (mut id, mut factor) = (id, 1u32);
        for _ in 0..BTF_MODIFIER_DEPTH_MAX {
            let Some(record) = self.resolve(id)? else { return Ok(None) };
            let size = match record.kind {
                KIND_PTR => POINTER_BYTES,
                KIND_INT | KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_ENUM64 | KIND_FLOAT => {
                    record.size_or_type
                }
                KIND_ARRAY => {
                    let length = self.read.u32(record.at + 12 + 8)?;
                    factor = factor.checked_mul(length).ok_or(DAMAGED)?;
                    id = self.read.u32(record.at + 12)?;
                    continue;
                }
                _ => return Ok(None),
            };
            return factor.checked_mul(size).ok_or(DAMAGED).map(Some);
        }
        Err(DAMAGED)
    }

    /// Calls `each` with the section name and instruction offset in bytes of every CO-RE relocation in `.BTF.ext`.
    pub(super) fn core_relocations(
        &self,
        ext: &[u8],
        mut each: impl FnMut(&str, u32),
    ) -> Result<(), ObjectError> {
        let whole = Reader { bytes: ext, endian: self.read.endian };
        if whole.u16(0)? != MAGIC {
            return Err(DAMAGED);
        }
        let header = whole.u32(4)?;
        // The two CO-RE fields were added to the header later; a short header has none.
        if header < 32 {
            return Ok(());
        }
        let start = header.checked_add(whole.u32(24)?).ok_or(DAMAGED)? as usize;
        let length = whole.u32(28)? as usize;
        if length == 0 {
            return Ok(());
        }
        let end = start.checked_add(length).ok_or(DAMAGED)?;
        let read = Reader { bytes: ext.get(start..end).ok_or(DAMAGED)?, endian: self.read.endian };
        let record_bytes = read.u32(0)?;
        if record_bytes < CORE_RECORD_BYTES_MIN {
            return Err(DAMAGED);
        }
        let mut at = 4;
        while at < length {
            let section = self.string(read.u32(at)?)?;
            let count = read.u32(at + 4)?;
            at += 8;
            for _ in 0..count {
                each(section, read.u32(at)?);
                at = at
                    .checked_add(record_bytes as usize)
                    .filter(|at| *at <= length)
                    .ok_or(DAMAGED)?;
            }
        }
        Ok(())
    }

    fn section_variable(
        &self,
        section: Record,
        index: u32,
    ) -> Result<Variable<'data>, ObjectError> {
        let at = section.at + 12 + 12 * index as usize;
        let variable = self
            .record(self.read.u32(at)?)?
            .filter(|record| record.kind == KIND_VAR)
            .ok_or(DAMAGED)?;
        Ok(Variable { name: self.string(variable.name)?, ty: variable.size_or_type })
    }

    /// The type behind typedefs and qualifiers; `None` for `void`.
    fn resolve(&self, mut id: u32) -> Result<Option<Record>, ObjectError> {
        for _ in 0..BTF_MODIFIER_DEPTH_MAX {
            let Some(record) = self.record(id)? else { return Ok(None) };
            match record.kind {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = record.size_or_type
                }
                _ => return Ok(Some(record)),
            }
        }
        Err(DAMAGED)
    }

    fn record(&self, id: u32) -> Result<Option<Record>, ObjectError> {
        if id == 0 {
            return Ok(None);
        }
        let at = self.types.get(id as usize).ok_or(DAMAGED)?;
        self.record_at(*at).map(Some)
    }

    fn record_at(&self, at: usize) -> Result<Record, ObjectError> {
        let info = self.read.u32(at + 4)?;
        Ok(Record {
            at,
            name: self.read.u32(at)?,
            kind: info >> 24 & 0x1f,
            vlen: info & 0xffff,
            size_or_type: self.read.u32(at + 8)?,
        })
    }

    fn string(&self, offset: u32) -> Result<&'data str, ObjectError> {
        let tail = self.strings.get(offset as usize..).ok_or(DAMAGED)?;
        let end = tail.iter().position(|byte| *byte == 0).ok_or(DAMAGED)?;
        std::str::from_utf8(&tail[..end]).map_err(|_| DAMAGED)
    }
}

/// Bytes that follow a type's fixed header.
fn extra_bytes(record: Record) -> Result<usize, ObjectError> {
    let vlen = record.vlen as usize;
    Ok(match record.kind {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * vlen,
        KIND_ENUM | KIND_FUNC_PROTO => 8 * vlen,
        KIND_PTR | KIND_FWD | KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT
        | KIND_FUNC | KIND_FLOAT | KIND_TYPE_TAG => 0,
        _ => return Err(DAMAGED),
    })
}
