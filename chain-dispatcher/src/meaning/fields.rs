//! The fields of a map's value, flattened: where each one lies and what it is, so that one version's
//! value can be copied into another's. Bytes in, plain data out; knows no map and no kernel.

use super::{
    ARRAY, CONST, DEPTH_MAX, ENUM, ENUM64, FLOAT, INT, RESTRICT, STRUCT, TYPEDEF, Types, UNION,
    VOLATILE,
};

/// Fields of one value: far more than a person declares, few enough to compare them all.
const FIELDS_MAX: usize = 512;

/// One field that is no struct itself. A value that is a plain number is one field without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// Names from the outside in, with dots between them.
    pub(crate) path: String,
    /// Bytes from the beginning of the value.
    pub(crate) offset: usize,
    /// Its length in bytes.
    pub(crate) bytes: usize,
    pub(crate) kind: FieldKind,
}

/// What a field's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// A whole number without a sign.
    Unsigned,
    /// A whole number with one.
    Signed,
    /// Anything else that is copied as it is: the text of its type.
    Plain(String),
}

impl Types<'_> {
    /// The fields of a type, in the order of their places. None where it holds bit fields, unnamed
    /// parts, pointers or locks, or cannot be read: such a value is not copied by fields.
    pub(super) fn fields(&self, id: u32) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        self.collect(&mut fields, id, "", 0, 0)?;
        Some(fields)
    }

    fn collect(
        &self,
        fields: &mut Vec<Field>,
        id: u32,
        path: &str,
        offset: usize,
        depth: usize,
    ) -> Option<()> {
        if depth > DEPTH_MAX || fields.len() > FIELDS_MAX {
            return None;
        }
        let at = *self.begins.get((id as usize).checked_sub(1)?)?;
        let (info, size) = (self.at(at + 4)?, self.at(at + 8)?);
        let (kind, length) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let leaf = |bytes: usize, kind| Field { path: path.to_owned(), offset, bytes, kind };
        match kind {
            INT => {
                let encoding = self.at(at + 12)?;
                let whole = size <= 16 && encoding & 0xff == size * 8 && encoding >> 16 & 0xff == 0;
                let kind = match encoding >> 24 & 0xf {
                    0 => FieldKind::Unsigned,
                    1 => FieldKind::Signed,
                    _ => FieldKind::Plain(self.text(id)?),
                };
                whole.then(|| fields.push(leaf(size as usize, kind)))
            }
            ENUM | ENUM64 | FLOAT => {
                fields.push(leaf(size as usize, FieldKind::Plain(self.text(id)?)));
                Some(())
            }
            ARRAY | UNION => {
                let text = self.text(id)?;
                // Pointers mean nothing to another version.
                let bytes = self.bytes_of(id, 0).filter(|_| !text.contains('*'))?;
                fields.push(leaf(bytes, FieldKind::Plain(text)));
                Some(())
            }
            STRUCT => {
                if info >> 31 == 1 || is_the_kernels_own(self.string(self.at(at)?)?) {
                    return None;
                }
                for member in (0..length).map(|n| at + 12 + n * 12) {
                    let (name, of, bits) = (
                        self.string(self.at(member)?)?,
                        self.at(member + 4)?,
                        self.at(member + 8)?,
                    );
                    if name.is_empty() || bits % 8 != 0 {
                        return None;
                    }
                    let path =
                        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                    self.collect(
                        fields,
                        of,
                        &path,
                        offset.checked_add((bits / 8) as usize)?,
                        depth + 1,
                    )?;
                }
                Some(())
            }
            TYPEDEF | VOLATILE | CONST | RESTRICT => {
                self.collect(fields, size, path, offset, depth + 1)
            }
            _ => None,
        }
    }

    fn bytes_of(&self, id: u32, depth: usize) -> Option<usize> {
        if depth > DEPTH_MAX {
            return None;
        }
        let at = *self.begins.get((id as usize).checked_sub(1)?)?;
        match self.at(at + 4)? >> 24 & 0x1f {
            INT | ENUM | ENUM64 | FLOAT | STRUCT | UNION => Some(self.at(at + 8)? as usize),
            TYPEDEF | VOLATILE | CONST | RESTRICT => self.bytes_of(self.at(at + 8)?, depth + 1),
            ARRAY => {
                let one = self.bytes_of(self.at(at + 12)?, depth + 1)?;
                one.checked_mul(self.at(at + 20)? as usize)
            }
            _ => None,
        }
    }
}

/// Structs that the kernel finds in a value by their names and keeps to itself.
fn is_the_kernels_own(name: &str) -> bool {
    const OWN: [&str; 8] = [
        "bpf_spin_lock",
        "bpf_res_spin_lock",
        "bpf_timer",
        "bpf_wq",
        "bpf_task_work",
        "bpf_list_head",
        "bpf_rb_root",
        "bpf_refcount",
    ];
    OWN.contains(&name)
}
