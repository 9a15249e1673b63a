//! The block of settings that a dispatcher is loaded with: ordered members in, bytes out, and the
//! counters it writes, bytes in, numbers out. The Rust half of `bpf/layout.h`. Pure: knows no
//! kernel, no pins, no packages.

use skep_artifact::hook::{Failure, Hook, Mode, Verdict};

use crate::chain::Counting;
use crate::record::MemberRecord;

/// `SKEP_LAYOUT_VERSION`: raised with every change of `bpf/layout.h`.
pub const LAYOUT_VERSION: u8 = 1;
/// Members of one chain in the slots dispatchers. The kernel lets one packet pass through 33 tail
/// calls (`MAX_TAIL_CALL_CNT`); a slot costs one.
pub const SLOTS_MAX: usize = 32;

const VERDICTS: usize = 12;
const VERDICT_UNKNOWN: usize = 11;
const SLOT_BYTES: usize = 8;
const CHAIN_BYTES: usize = 4 + SLOTS_MAX * SLOT_BYTES;
const COUNTERS_BYTES: usize = (4 + VERDICTS) * 8;
/// Size of the one value of `skep_counts`, per CPU.
const ALL_COUNTERS_BYTES: usize = SLOTS_MAX * COUNTERS_BYTES;

/// `struct skep_slot`.
#[repr(C)]
struct Slot {
    proceed: u32,
    mode: u8,
    failure: u8,
    reserved: [u8; 2],
}

/// `struct skep_chain`.
#[repr(C)]
struct ChainBlock {
    version: u8,
    count: u8,
    counting: u8,
    reserved: u8,
    slots: [Slot; SLOTS_MAX],
}

/// `struct skep_counters`.
#[repr(C)]
struct Counters {
    packets: u64,
    bytes: u64,
    missed: u64,
    reserved: u64,
    verdicts: [u64; VERDICTS],
}

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);
const _: () = assert!(std::mem::offset_of!(Slot, mode) == 4);
const _: () = assert!(std::mem::offset_of!(Slot, failure) == 5);
const _: () = assert!(size_of::<ChainBlock>() == CHAIN_BYTES);
const _: () = assert!(std::mem::offset_of!(ChainBlock, count) == 1);
const _: () = assert!(std::mem::offset_of!(ChainBlock, counting) == 2);
const _: () = assert!(std::mem::offset_of!(ChainBlock, slots) == 4);
const _: () = assert!(size_of::<Counters>() == COUNTERS_BYTES);
const _: () = assert!(std::mem::offset_of!(Counters, bytes) == 8);
const _: () = assert!(std::mem::offset_of!(Counters, missed) == 16);
const _: () = assert!(std::mem::offset_of!(Counters, verdicts) == 32);
// One tail call is spare: a member may make one of its own even in a full chain.
const _: () = assert!(SLOTS_MAX < 33);

/// What one member counted, over all CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SlotCounts {
    /// Packets that met the member.
    pub(crate) packets: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Packets for which it could not run.
    pub(crate) missed: u64,
    /// Verdicts that occurred, with how often.
    pub(crate) verdicts: Vec<(Verdict, u64)>,
    /// Answers that are no verdict of the hook.
    pub(crate) unknown: u64,
}

/// The bytes of `skep_chain` for these members, which must be in order and at most [`SLOTS_MAX`];
/// later ones are left out, so the caller checks the limit first.
pub(crate) fn chain_block(hook: Hook, members: &[MemberRecord], counting: Counting) -> Vec<u8> {
    let count = u8::try_from(members.len().min(SLOTS_MAX)).unwrap_or_default();
    let counting = match counting {
        Counting::On => 1,
        Counting::Off => 0,
    };
    let mut block = vec![LAYOUT_VERSION, count, counting, 0];
    for member in members.iter().take(SLOTS_MAX) {
        block.extend_from_slice(&member.proceed_on.mask(hook).to_le_bytes());
        block.push(match member.mode {
            Mode::Enforce => 0,
            Mode::Observe => 1,
        });
        block.push(match member.failure {
            Failure::Closed => 0,
            Failure::Open => 1,
        });
        block.extend_from_slice(&[0, 0]);
    }
    block.resize(CHAIN_BYTES, 0);
    block
}

/// Adds up what `cpus` wrote about the first `members` slots. `value` is what the kernel gives for
/// the one key of `skep_counts`; a shorter one counts as zeroes.
pub(crate) fn slot_counts(hook: Hook, members: usize, value: &[u8]) -> Vec<SlotCounts> {
    let mut counts = vec![SlotCounts::default(); members.min(SLOTS_MAX)];
    for cpu in value.chunks_exact(ALL_COUNTERS_BYTES) {
        for (count, slot) in counts.iter_mut().zip(cpu.chunks_exact(COUNTERS_BYTES)) {
            add_slot(hook, count, slot);
        }
    }
    counts
}

fn add_slot(hook: Hook, count: &mut SlotCounts, slot: &[u8]) {
    let (numbers, _) = slot.as_chunks::<8>();
    let number = |index: usize| numbers.get(index).map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    count.packets += number(0);
    count.bytes += number(1);
    count.missed += number(2);
    for verdict in hook.verdicts() {
        let seen = verdict_index(hook, verdict).map_or(0, |index| number(4 + index));
        if seen == 0 {
            continue;
        }
        match count.verdicts.iter_mut().find(|(known, _)| *known == verdict) {
            Some((_, total)) => *total += seen,
            None => count.verdicts.push((verdict, seen)),
        }
    }
    count.unknown += number(4 + VERDICT_UNKNOWN);
}

/// `SKEP_INDEX`: XDP uses the code, tc the code + 1.
fn verdict_index(hook: Hook, verdict: Verdict) -> Option<usize> {
    let shift = i32::from(hook.is_tc());
    verdict.code(hook).and_then(|code| usize::try_from(code + shift).ok())
}

#[cfg(test)]
mod tests {
    use skep_artifact::hook::{Hook, Verdict};

    use super::{ALL_COUNTERS_BYTES, COUNTERS_BYTES, LAYOUT_VERSION, SLOTS_MAX, slot_counts};

    #[test]
    fn the_c_header_says_the_same_numbers() {
        let header = include_str!("../bpf/layout.h");
        let defines = |name: &str| {
            header
                .lines()
                .find_map(|line| line.strip_prefix(&format!("#define {name} ")))
                .map(|value| value.trim().to_owned())
        };
        assert_eq!(defines("SKEP_LAYOUT_VERSION"), Some(LAYOUT_VERSION.to_string()));
        assert_eq!(defines("SKEP_SLOTS"), Some(SLOTS_MAX.to_string()));
        assert_eq!(defines("SKEP_VERDICTS"), Some(super::VERDICTS.to_string()));
        assert_eq!(defines("SKEP_VERDICT_UNKNOWN"), Some(super::VERDICT_UNKNOWN.to_string()));
    }

    #[test]
    fn counts_of_all_cpus_are_added_up_by_slot_and_verdict() {
        let mut value = vec![0u8; 2 * ALL_COUNTERS_BYTES];
        let mut put = |cpu: usize, slot: usize, number: usize, amount: u64| {
            let at = cpu * ALL_COUNTERS_BYTES + slot * COUNTERS_BYTES + number * 8;
            value[at..at + 8].copy_from_slice(&amount.to_ne_bytes());
        };
        put(0, 1, 0, 5);
        put(1, 1, 0, 7);
        put(1, 1, 1, 600);
        put(1, 1, 4 + 3, 12); // tc code 2, SHOT
        put(0, 1, 4 + 11, 1);
        let counts = slot_counts(Hook::TcIngress, 2, &value);
        assert_eq!(counts.len(), 2);
        assert_eq!(counts[0], super::SlotCounts::default());
        assert_eq!((counts[1].packets, counts[1].bytes, counts[1].unknown), (12, 600, 1));
        assert_eq!(counts[1].verdicts, [(Verdict::Shot, 12)]);
    }
}
