//! What the bytes of a map mean, told from BTF as text: two maps share their state only where the
//! texts of key and value agree. Names of fields count, names of types do not. Bytes in, text out;
//! knows no map and no kernel.

mod fields;
#[cfg(test)]
mod tests;

pub(crate) use fields::{Field, FieldKind};

use std::fmt::Write as _;

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
/// Types of one object; the kernel's own BTF has some 150,000.
const TYPES_MAX: usize = 1 << 18;
/// Structs in structs; compilers and people stay far below.
const DEPTH_MAX: usize = 16;
/// Length of one text: a few hundred fields.
const TEXT_BYTES_MAX: usize = 16 << 10;

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const FLOAT: u32 = 16;
const DECL_TAG: u32 = 17;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

/// The text of a type that is there and cannot be told: it agrees with nothing.
pub(crate) const UNREADABLE: &str = "?";

/// What key and value of a map are; none where nothing says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MapTypes {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    /// The fields of a value; none where it cannot be told apart by fields.
    pub(crate) fields: Option<Vec<Field>>,
}

impl MapTypes {
    /// Out of BTF and the ids of the two types, 0 for none.
    pub(crate) fn read(btf: &[u8], key: u32, value: u32) -> Self {
        let types = Types::read(btf);
        let read = |id| types.as_ref().and_then(|types| types.text(id));
        let text = |id| (id != 0).then(|| read(id).unwrap_or_else(|| UNREADABLE.to_owned()));
        let fields = types.as_ref().and_then(|types| types.fields(value));
        Self { key: text(key), value: text(value), fields }
    }
}

/// The types of a BTF blob, by where they begin.
struct Types<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    begins: Vec<usize>,
}

impl<'a> Types<'a> {
    fn read(btf: &'a [u8]) -> Option<Self> {
        if u16::from_le_bytes(btf.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let header = word(btf, 4)? as usize;
        if header < HEADER_BYTES {
            return None;
        }
        let part = |at: usize| {
            let (offset, length) = (word(btf, at)? as usize, word(btf, at + 4)? as usize);
            let begin = header.checked_add(offset)?;
            btf.get(begin..begin.checked_add(length)?)
        };
        let (types, strings) = (part(8)?, part(16)?);
        let (mut begins, mut at) = (Vec::new(), 0);
        while at < types.len() && begins.len() < TYPES_MAX {
            begins.push(at);
            at = at.checked_add(12)?.checked_add(trailer(word(types, at + 4)?)?)?;
        }
        Some(Self { types, strings, begins })
    }

    fn text(&self, id: u32) -> Option<String> {
        let mut text = String::new();
        self.write(&mut text, id, 0)?;
        Some(text)
    }

    /// None for damaged BTF, and for what is too deep or too long to be a value.
    fn write(&self, text: &mut String, id: u32, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX || text.len() > TEXT_BYTES_MAX {
            return None;
        }
        if id == 0 {
            text.push_str("void");
            return Some(());
        }
        let at = *self.begins.get(id as usize - 1)?;
        let (name, info, size) = (self.at(at)?, self.at(at + 4)?, self.at(at + 8)?);
        let (kind, length) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        match kind {
            INT => self.write_int(text, self.at(at + 12)?, size),
            FLOAT => write!(text, "f{}", u64::from(size) * 8).ok(),
            // What is pointed at is none of the value's bytes; its name tells two pointers apart.
            PTR => {
                let pointee = self.name_of(size)?;
                write!(text, "*{pointee}").ok()
            }
            ARRAY => {
                text.push('[');
                self.write(text, self.at(at + 12)?, depth + 1)?;
                write!(text, "; {}]", self.at(at + 20)?).ok()
            }
            STRUCT | UNION => {
                let bit_fields = info >> 31 == 1;
                text.push_str(if kind == UNION { "union {" } else { "{" });
                for member in (0..length).map(|n| at + 12 + n * 12) {
                    let (name, of, offset) =
                        (self.at(member)?, self.at(member + 4)?, self.at(member + 8)?);
                    let (bits, offset) =
                        if bit_fields { (offset >> 24, offset & 0xff_ffff) } else { (0, offset) };
                    write!(text, "{} @{offset}", self.string(name)?).ok()?;
                    if bits > 0 {
                        write!(text, ":{bits}").ok()?;
                    }
                    text.push(' ');
                    self.write(text, of, depth + 1)?;
                    text.push_str(", ");
                }
                write!(text, "}} of {size}").ok()
            }
            ENUM | ENUM64 => {
                let step = if kind == ENUM { 8 } else { 12 };
                write!(text, "enum{} {{", u64::from(size) * 8).ok()?;
                for value in (0..length).map(|n| at + 12 + n * step) {
                    let high = if kind == ENUM64 { self.at(value + 8)? } else { 0 };
                    let number = u64::from(high) << 32 | u64::from(self.at(value + 4)?);
                    write!(text, "{}={number}, ", self.string(self.at(value)?)?).ok()?;
                }
                text.push('}');
                Some(())
            }
            TYPEDEF | VOLATILE | CONST | RESTRICT => self.write(text, size, depth + 1),
            // A tagged pointer is a kernel object, not plain bytes.
            TYPE_TAG => {
                write!(text, "{} ", self.string(name)?).ok()?;
                self.write(text, size, depth + 1)
            }
            _ => None,
        }
    }

    fn write_int(&self, text: &mut String, encoding: u32, size: u32) -> Option<()> {
        let kind = match encoding >> 24 & 0xf {
            1 => "i",
            2 => "char",
            4 => "bool",
            _ => "u",
        };
        write!(text, "{kind}{}", u64::from(size) * 8).ok()
    }

    /// The name of a type behind typedefs and qualifiers.
    fn name_of(&self, mut id: u32) -> Option<&'a str> {
        for _ in 0..DEPTH_MAX {
            if id == 0 {
                return Some("void");
            }
            let at = *self.begins.get(id as usize - 1)?;
            match self.at(at + 4)? >> 24 & 0x1f {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => id = self.at(at + 8)?,
                _ => return self.string(self.at(at)?),
            }
        }
        None
    }

    fn at(&self, at: usize) -> Option<u32> {
        word(self.types, at)
    }

    fn string(&self, at: u32) -> Option<&'a str> {
        let rest = self.strings.get(at as usize..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(rest.get(..end)?).ok()
    }
}

/// Bytes that follow a type's first three words.
fn trailer(info: u32) -> Option<usize> {
    let length = (info & 0xffff) as usize;
    match info >> 24 & 0x1f {
        INT | VAR | DECL_TAG => Some(4),
        ARRAY => Some(12),
        STRUCT | UNION | DATASEC | ENUM64 => length.checked_mul(12),
        ENUM | FUNC_PROTO => length.checked_mul(8),
        PTR | FWD | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | FLOAT | TYPE_TAG => Some(0),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}
