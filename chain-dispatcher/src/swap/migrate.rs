//! A declared migration of a map's state: whether the old map's values can become the new one's, field
//! by field, and the bytes of one value in its new form. Pure; knows no map and no kernel.

use serde::Serialize;
use skep_artifact::manifest::Migration;

use super::SeenMap;
use crate::load::DeclaredMap;
use crate::meaning::{Field, FieldKind};

/// Map types whose entries can be listed and written by a key. State moves within a group: between a
/// hash that refuses and one that forgets its oldest, but not between an array and a hash.
const GROUPS: [&[u32]; 5] = [&[1, 9], &[2], &[5, 10], &[6], &[11]];
/// `BPF_MAP_TYPE_ARRAY`, `BPF_MAP_TYPE_PERCPU_ARRAY`.
const ARRAYS: [u32; 2] = [2, 6];

/// One field on its way from the old value into the new one; all numbers are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FieldCopy {
    /// Where it lies in the old value.
    pub from: usize,
    /// Its length there.
    pub from_bytes: usize,
    /// Where it lies in the new value.
    pub to: usize,
    /// Its length there, at least that in the old value.
    pub to_bytes: usize,
    /// Whether a longer form keeps a sign.
    pub signed: bool,
}

/// What to copy so that nothing declared is lost, or why that cannot be.
pub(super) fn copies(
    declared: &DeclaredMap,
    live: &SeenMap,
    migration: &Migration,
) -> Result<Vec<FieldCopy>, String> {
    let (was, is) = (live.shape, declared.shape);
    if !GROUPS.iter().any(|group| group.contains(&was.kind) && group.contains(&is.kind)) {
        return Err(format!("its type was {} and is {}", was.kind, is.kind));
    }
    if ARRAYS.contains(&is.kind) && is.max_entries < was.max_entries {
        return Err(format!(
            "it had {} entries and has {}: an array never gives entries up",
            was.max_entries, is.max_entries
        ));
    }
    let same_key = live.types.key.is_some() && live.types.key == declared.types.key;
    if was.key_size != is.key_size || !same_key {
        return Err("its keys are not told by BTF to be the same".to_owned());
    }
    match (&live.types.fields, &declared.types.fields) {
        (Some(was), Some(is)) => {
            was.iter().filter_map(|field| copy_of(field, is, &migration.drop)).collect()
        }
        _ => Err("the fields of its values cannot be told from BTF".to_owned()),
    }
}

fn copy_of(was: &Field, new: &[Field], dropped: &[String]) -> Option<Result<FieldCopy, String>> {
    if dropped.iter().any(|name| is_within(&was.path, name)) {
        return None;
    }
    let name = if was.path.is_empty() { "its value" } else { &was.path };
    let Some(is) = new.iter().find(|field| field.path == was.path) else {
        return Some(Err(format!(
            "the new version has no field {name}; name it under `drop` to give it up"
        )));
    };
    let fits = match (&was.kind, &is.kind) {
        (FieldKind::Plain(was), FieldKind::Plain(is)) => was == is,
        (was_kind, is_kind) => was_kind == is_kind && is.bytes >= was.bytes,
    };
    Some(if fits {
        Ok(FieldCopy {
            from: was.offset,
            from_bytes: was.bytes,
            to: is.offset,
            to_bytes: is.bytes,
            signed: was.kind == FieldKind::Signed,
        })
    } else {
        Err(format!("{name} is of another type, or shorter, in the new version"))
    })
}

/// Whether a field is the named one or lies inside it.
fn is_within(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// One value in its new form: `bytes` long, what was not copied is zero. A value that is shorter than
/// the copies say gives fewer fields, never a fault.
pub(crate) fn converted(old: &[u8], copies: &[FieldCopy], bytes: usize) -> Vec<u8> {
    let mut new = vec![0; bytes];
    for copy in copies {
        let source = old.get(copy.from..copy.from + copy.from_bytes);
        let target = new.get_mut(copy.to..copy.to + copy.to_bytes);
        if let (Some(source), Some(target)) = (source, target) {
            write_number(source, target, copy.signed);
        }
    }
    new
}

/// Copies a number into a place of the same length or a longer one, in this machine's byte order.
fn write_number(source: &[u8], target: &mut [u8], signed: bool) {
    let little = cfg!(target_endian = "little");
    let top = if little { source.last() } else { source.first() };
    let negative = signed && top.is_some_and(|byte| byte & 0x80 != 0);
    target.fill(if negative { 0xff } else { 0 });
    let from = if little { 0 } else { target.len().saturating_sub(source.len()) };
    if let Some(place) = target.get_mut(from..from + source.len()) {
        place.copy_from_slice(source);
    }
}

#[cfg(test)]
mod tests {
    use skep_artifact::manifest::Migration;

    use super::{FieldCopy, converted, copies};
    use crate::kernel::objects::MapShape;
    use crate::load::DeclaredMap;
    use crate::meaning::{Field, FieldKind, MapTypes};
    use crate::swap::SeenMap;

    fn field(path: &str, offset: usize, bytes: usize, kind: FieldKind) -> Field {
        Field { path: path.to_owned(), offset, bytes, kind }
    }

    fn types(fields: &[Field]) -> MapTypes {
        let told = Some("told".to_owned());
        MapTypes { key: told.clone(), value: told, fields: Some(fields.to_vec()) }
    }

    fn shape(kind: u32, max_entries: u32) -> MapShape {
        MapShape { kind, key_size: 4, value_size: 8, max_entries, flags: 0 }
    }

    fn decide(
        (was_kind, was_entries, was): (u32, u32, &[Field]),
        (is_kind, is_entries, is): (u32, u32, &[Field]),
        drop: &[&str],
    ) -> Result<Vec<FieldCopy>, String> {
        let live = SeenMap {
            policy: "p".to_owned(),
            member: "m".to_owned(),
            map: "flows".to_owned(),
            shape: shape(was_kind, was_entries),
            types: types(was),
        };
        let declared = DeclaredMap {
            name: "flows".to_owned(),
            shape: shape(is_kind, is_entries),
            section: false,
            begins_filled: false,
            types: types(is),
        };
        let drop = drop.iter().map(|name| (*name).to_owned()).collect();
        copies(&declared, &live, &Migration { from: None, drop })
    }

    #[test]
    fn fields_move_grow_and_come_new_and_only_a_named_one_is_given_up() {
        let old = [
            field("count", 0, 4, FieldKind::Unsigned),
            field("delta", 4, 2, FieldKind::Signed),
            field("at.seen", 8, 8, FieldKind::Unsigned),
            field("spare", 16, 1, FieldKind::Plain("char8".to_owned())),
        ];
        let new = [
            field("at.seen", 0, 8, FieldKind::Unsigned),
            field("count", 8, 8, FieldKind::Unsigned),
            field("delta", 16, 4, FieldKind::Signed),
            field("fresh", 20, 4, FieldKind::Unsigned),
        ];
        let refused = decide((1, 8, &old), (9, 4, &new), &[]).unwrap_err();
        assert_eq!(
            refused,
            "the new version has no field spare; name it under `drop` to give it up"
        );
        let copies = decide((1, 8, &old), (9, 4, &new), &["spare"]).unwrap();
        let mut value = Vec::new();
        value.extend_from_slice(&7u32.to_ne_bytes());
        value.extend_from_slice(&(-2i16).to_ne_bytes());
        value.extend_from_slice(&[0; 2]);
        value.extend_from_slice(&99u64.to_ne_bytes());
        value.extend_from_slice(&[1; 8]);
        let mut expected = 99u64.to_ne_bytes().to_vec();
        expected.extend_from_slice(&7u64.to_ne_bytes());
        expected.extend_from_slice(&(-2i32).to_ne_bytes());
        expected.extend_from_slice(&[0; 4]);
        assert_eq!(converted(&value, &copies, 24), expected);
        assert_eq!(converted(&value[..3], &copies, 24), [0; 24], "a short value is no fault");
        // A whole struct is given up by its name.
        assert_eq!(decide((1, 8, &old), (1, 8, &new[1..]), &["spare", "at"]).unwrap().len(), 2);
    }

    #[test]
    fn what_would_lose_or_change_a_meaning_is_refused_with_the_reason() {
        let long = [field("", 0, 8, FieldKind::Unsigned)];
        let short = [field("", 0, 4, FieldKind::Unsigned)];
        let signed = [field("", 0, 8, FieldKind::Signed)];
        let text = [field("", 0, 8, FieldKind::Plain("[u8; 8]".to_owned()))];
        assert_eq!(decide((1, 8, &short), (1, 8, &long), &[]).unwrap().len(), 1);
        for other in [&short, &signed, &text] {
            let refused = decide((1, 8, &long), (1, 8, other), &[]).unwrap_err();
            assert!(refused.starts_with("its value is of another type"), "{refused}");
        }
        assert!(decide((1, 8, &long), (2, 8, &long), &[]).unwrap_err().contains("its type was 1"));
        assert!(decide((2, 8, &long), (2, 7, &long), &[]).unwrap_err().contains("never gives"));
        assert!(decide((2, 8, &long), (2, 9, &long), &[]).is_ok());
    }
}
