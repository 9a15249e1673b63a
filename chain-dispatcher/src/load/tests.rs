//! Damaged objects: refused or read, never the end of the process. Needs no kernel.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use proptest::sample::Index;
use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;

use super::{LoadError, outline};
use crate::backend::slots;
use crate::support;

#[test]
fn our_own_objects_read_whole() {
    let config = EncodedConfig::default();
    for hook in [Hook::Xdp, Hook::TcEgress] {
        for (bytes, program, maps) in [
            (slots::object(hook), "skep_slot_31", vec!["skep_slots"]),
            (
                support::object(hook),
                "skep_dropped",
                vec![".data.telling", ".data.timing", ".rodata", "skep_counts", "skep_drops"],
            ),
        ] {
            let outline = outline(bytes, program, hook, &config).unwrap();
            let names: Vec<&str> = outline.maps.iter().map(|map| map.name.as_str()).collect();
            assert_eq!(names, maps);
            // A slot gives the packet to a program that may do anything with it.
            assert_eq!(outline.keeps_length, program == "skep_dropped");
        }
    }
}

#[test]
fn a_function_size_beyond_its_section_is_a_damaged_object() {
    // The size of the last symbol of the table, which is one of the functions: 8 bytes at 16.
    let mut bytes = support::object(Hook::Xdp).to_vec();
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let headers = usize::try_from(number(40)).unwrap();
    let symbols = (0..usize::from(bytes[60]))
        .map(|index| headers + index * 64)
        .find(|header| bytes[header + 4] == 2)
        .map(|header| (number(header + 24), number(header + 32)))
        .unwrap();
    for symbol in (symbols.0..symbols.0 + symbols.1).step_by(24) {
        let at = usize::try_from(symbol).unwrap();
        // STT_FUNC
        if bytes[at + 4] & 0xf == 2 {
            bytes[at + 16..at + 24].copy_from_slice(&(1u64 << 40).to_le_bytes());
        }
    }
    let read = outline(&bytes, "skep_dropped", Hook::Xdp, &EncodedConfig::default());
    assert!(matches!(read, Err(LoadError::Damaged)), "{read:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_objects_never_end_the_process(
        changes in vec((any::<Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<Index>()),
    ) {
        let mut bytes = support::object(Hook::TcIngress).to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let read = outline(&bytes, "skep_dropped", Hook::TcIngress, &EncodedConfig::default());
        prop_assert!(read.map_or(true, |outline| outline.maps.len() <= 8));
    }
}
