//! What was written is read again; what is torn gives way to what was before.

use super::*;
use proptest::prelude::*;
use skep_fleet::Generation;
use std::fs;

fn ledger(generation: u64) -> Ledger {
    let digest = Digest::of(&generation.to_le_bytes());
    let place = Place { interface: "eth0".to_owned(), hook: Hook::Xdp };
    let good = Good { generation, applied_at: 7, envelopes: BTreeSet::from([digest]) };
    Ledger {
        newest: Some(Have { generation: Generation(generation), digest }),
        good: BTreeMap::from([(place, good)]),
        envelopes: BTreeMap::from([(digest, "ZW52ZWxvcGU=".to_owned())]),
        ..Ledger::default()
    }
}

#[test]
fn what_was_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    assert_eq!(store.load().unwrap(), Found::Nothing);
    store.write(&ledger(1)).unwrap();
    assert_eq!(store.load().unwrap(), Found::Whole(ledger(1)));
    store.write(&ledger(2)).unwrap();
    assert_eq!(store.load().unwrap(), Found::Whole(ledger(2)));
}

#[test]
fn a_torn_ledger_gives_way_to_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    store.write(&ledger(1)).unwrap();
    store.write(&ledger(2)).unwrap();
    let path = folder.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(store.load().unwrap(), Found::Before(ledger(1)));
    store.write(&ledger(3)).unwrap();
    assert_eq!(store.load().unwrap(), Found::Whole(ledger(3)));
    fs::write(&path, b"").unwrap();
    assert_eq!(
        store.load().unwrap(),
        Found::Before(ledger(1)),
        "a torn file must not have replaced the whole one"
    );
}

#[test]
fn a_ledger_missing_between_two_renames_gives_way_to_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    store.write(&ledger(1)).unwrap();
    fs::rename(folder.path().join(FILE), folder.path().join(FILE_BEFORE)).unwrap();
    assert_eq!(store.load().unwrap(), Found::Before(ledger(1)));
}

#[test]
fn two_damaged_files_are_lost_and_not_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    fs::write(folder.path().join(FILE), b"garbage").unwrap();
    assert_eq!(store.load().unwrap(), Found::Lost);
}

#[test]
fn envelopes_nobody_names_are_dropped() {
    let mut full = ledger(1);
    full.envelopes.insert(Digest::of(b"orphan"), "b3JwaGFu".to_owned());
    full.prune();
    assert_eq!(full, ledger(1));
}

proptest! {
    #[test]
    fn no_flipped_byte_is_ever_accepted(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = encode(&ledger(9)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert_eq!(decode(&bytes), None);
    }

    #[test]
    fn no_prefix_is_ever_accepted(at in any::<prop::sample::Index>()) {
        let bytes = encode(&ledger(9)).unwrap();
        prop_assert_eq!(decode(&bytes[..at.index(bytes.len())]), None);
    }
}
