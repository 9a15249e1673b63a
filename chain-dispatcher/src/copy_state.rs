//! Copies the entries of a live map into a new one while programs go on writing to the live one. Knows
//! keys, values and the kernel; refuses to know why.

use std::io;
use std::os::fd::BorrowedFd;

use crate::kernel::objects::MapShape;
use crate::kernel::sys;
use crate::swap::FieldCopy;
use crate::swap::migrate::converted;

/// `BPF_MAP_TYPE_ARRAY`, `BPF_MAP_TYPE_PERCPU_ARRAY`: every key is there.
const ARRAYS: [u32; 2] = [2, 6];
/// The per-CPU map types: an element is one value for each possible CPU.
const PER_CPU: [u32; 3] = [5, 6, 10];
/// A live hash can be walked past its size, because a key that goes while it is looked at sends the
/// walk back to the beginning. After this many times its size the copy gives up.
const WALKS_MAX: u64 = 4;

/// Copies every entry; gives how many. An entry that goes or comes meanwhile may be in or not.
pub(crate) fn copy(
    old: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    fields: &[FieldCopy],
) -> io::Result<u64> {
    let (was, is) = (sys::map_info(old)?.shape, sys::map_info(new)?.shape);
    let mut copied = 0;
    let mut put = |key: &[u8]| -> io::Result<()> {
        let Some(value) = sys::map_lookup(old, key)? else { return Ok(()) };
        sys::map_update(new, key, &element(&value, &was, &is, fields))?;
        copied += 1;
        Ok(())
    };
    if ARRAYS.contains(&was.kind) {
        (0..was.max_entries).try_for_each(|index| put(&index.to_ne_bytes()))?;
        return Ok(copied);
    }
    let mut key = sys::map_next_key(old, None)?;
    let mut left = u64::from(was.max_entries) * WALKS_MAX;
    while let Some(this) = key {
        left = left.checked_sub(1).ok_or_else(|| {
            io::Error::new(io::ErrorKind::TimedOut, "its entries change faster than they are read")
        })?;
        put(&this)?;
        key = sys::map_next_key(old, Some(&this))?;
    }
    Ok(copied)
}

/// One element in its new form.
fn element(old: &[u8], was: &MapShape, is: &MapShape, fields: &[FieldCopy]) -> Vec<u8> {
    let (from, to) = (was.value_size as usize, is.value_size as usize);
    if !PER_CPU.contains(&was.kind) {
        return converted(old, fields, to);
    }
    // The kernel rounds each CPU's value up to eight bytes.
    old.chunks_exact(from.next_multiple_of(8))
        .flat_map(|value| {
            let mut new = converted(value, fields, to);
            new.resize(to.next_multiple_of(8), 0);
            new
        })
        .collect()
}
