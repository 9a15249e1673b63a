//! Damaged objects are refused and named; nothing panics.

use skep_artifact::hook::Hook;

use super::{ElfError, understand};

#[test]
fn refuses_a_cut_object_at_every_length() {
    let whole = crate::support::object(Hook::TcIngress);
    assert!(understand(whole, 0).is_ok());
    for length in (0..64).chain([whole.len() / 2, whole.len() - 1]) {
        assert!(matches!(understand(&whole[..length], 0), Err(ElfError::Truncated { .. })));
    }
}

#[test]
fn an_object_with_any_changed_byte_is_understood_or_refused() {
    let whole = crate::support::object(Hook::Xdp);
    for place in (0..whole.len()).step_by(7) {
        let mut changed = whole.to_vec();
        changed[place] ^= 0xff;
        let _ = understand(&changed, 0);
    }
}

#[test]
fn programs_keep_the_names_of_their_sections() {
    let understood = understand(crate::support::object(Hook::Xdp), 0).unwrap();
    assert_eq!(understood.programs["skep_dropped"], "xdp");
    assert_eq!(understood.licence.to_bytes(), b"Dual BSD/GPL");
    assert!(understood.initial.is_empty());
}
