//! Whether a map keeps its content when its member changes: what is live and what the new version
//! declares → yes, or why not. Pure; knows no other part of a plan.

use super::SeenMap;
use crate::kernel::objects::MapShape;
use crate::load::DeclaredMap;
use crate::meaning::UNREADABLE;
use crate::record::MemberRecord;

/// A `BPF_MAP_TYPE_PROG_ARRAY`: holds the old version's programs, so it is never carried over.
pub(super) const PROG_ARRAY: u32 = 3;
const RDONLY_PROG: u32 = 1 << 7;
/// Longest part of a type that a reason shows: a line.
const TYPE_BYTES_SHOWN: usize = 120;

pub(super) enum Carry {
    Yes,
    /// Its content belongs to the program's version or config: nothing is lost.
    Fresh,
    No(String),
}

pub(super) fn whether_carried(
    declared: &DeclaredMap,
    live: &SeenMap,
    old: &MemberRecord,
    new: &MemberRecord,
) -> Carry {
    let fresh = declared.begins_filled || declared.shape.flags & RDONLY_PROG != 0;
    if declared.shape.kind == PROG_ARRAY || fresh {
        return Carry::Fresh;
    }
    // The same object means the same by the same bytes.
    let same_object = old.object == new.object;
    if declared.section {
        // Plain globals have no declared layout: only the same object knows what the bytes mean.
        return if same_object {
            Carry::Yes
        } else {
            Carry::No("global variables belong to one version of the object".to_owned())
        };
    }
    if declared.shape != live.shape {
        return Carry::No(difference(live.shape, declared.shape));
    }
    if same_object {
        return Carry::Yes;
    }
    let (was, is) = (&live.types, &declared.types);
    let parts = [("key", &was.key, &is.key), ("value", &was.value, &is.value)];
    match parts.into_iter().find_map(|(what, was, is)| changed(what, was.as_deref(), is.as_deref()))
    {
        Some(why) => Carry::No(why),
        None => Carry::Yes,
    }
}

fn difference(live: MapShape, new: MapShape) -> String {
    let parts = [
        ("type", live.kind, new.kind),
        ("key size", live.key_size, new.key_size),
        ("value size", live.value_size, new.value_size),
        ("number of entries", live.max_entries, new.max_entries),
        ("flags", live.flags, new.flags),
    ];
    let differ: Vec<String> = parts
        .iter()
        .filter(|(_, old, new)| old != new)
        .map(|(what, old, new)| format!("its {what} was {old} and is {new}"))
        .collect();
    differ.join(", ")
}

/// Why a key or value does not mean the same; none where it does.
fn changed(what: &str, was: Option<&str>, is: Option<&str>) -> Option<String> {
    match (was, is) {
        (Some(UNREADABLE), _) | (_, Some(UNREADABLE)) => {
            Some(format!("the type of its {what} cannot be told from its BTF"))
        }
        (was, is) if was == is => None,
        (Some(was), Some(is)) => {
            let (was, is) = from_where_they_differ(was, is);
            Some(format!("its {what} was {was} and is {is}"))
        }
        (was, _) => {
            let where_not = if was.is_none() { "was" } else { "is" };
            Some(format!("the type of its {what} {where_not} not told by BTF"))
        }
    }
}

/// Both texts, cut to a line: from a little before the first difference.
fn from_where_they_differ<'a>(was: &'a str, is: &'a str) -> (String, String) {
    let same = was.char_indices().zip(is.chars()).take_while(|((_, a), b)| a == b).count();
    let from = same.saturating_sub(TYPE_BYTES_SHOWN / 4);
    let shown = |text: &'a str| {
        let rest: String = text.chars().skip(from).take(TYPE_BYTES_SHOWN).collect();
        let before = if from > 0 { "…" } else { "" };
        let after = if text.chars().count() > from + TYPE_BYTES_SHOWN { "…" } else { "" };
        format!("{before}{rest}{after}")
    };
    (shown(was), shown(is))
}
