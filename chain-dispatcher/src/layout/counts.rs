//! The value of the counters' map, bytes in, numbers out: of this layout and of version 1, which
//! chains that an older agent made still have. Pure.

use skep_artifact::hook::{Hook, Verdict};

use super::{
    ALL_COUNTERS_BYTES, COUNTERS_BYTES, COUNTERS_MEMBERS_AT, VERDICT_UNKNOWN, VERDICTS,
    verdict_index,
};

/// Version 1: packets, bytes, missed, a spare, the verdicts; 32 members and no head.
const OLD_COUNTERS_BYTES: usize = (4 + VERDICTS) * 8;
/// Size of its value, per CPU.
const OLD_ALL_COUNTERS_BYTES: usize = 32 * OLD_COUNTERS_BYTES;

/// Every counter of a chain, over all CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// One per member, in order.
    pub(crate) members: Vec<SlotCounts>,
    /// Drop events that were written.
    pub(crate) drops_told: u64,
    /// Drop events for which the ring buffer had no room.
    pub(crate) drops_lost: u64,
}

/// What one member counted, over all CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SlotCounts {
    /// Packets that met the member.
    pub(crate) packets: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Packets for which it could not run.
    pub(crate) missed: u64,
    /// Time that the timed packets spent in it, without the cost of the clock.
    pub(crate) ns: u64,
    /// How many packets were timed.
    pub(crate) timed: u64,
    /// Verdicts that occurred, with how often.
    pub(crate) verdicts: Vec<(Verdict, u64)>,
    /// Answers that are no verdict of the hook.
    pub(crate) unknown: u64,
}

/// Adds up what the CPUs wrote about the members, of which each keeps the length of packets or not.
/// `value` is what the kernel gives for the one key of the map and `cpu_bytes` the size of one CPU's
/// part; none for a size that is of no layout known here.
pub(crate) fn counts(
    hook: Hook,
    keep_length: &[bool],
    cpu_bytes: usize,
    value: &[u8],
) -> Option<Counts> {
    let members = vec![SlotCounts::default(); keep_length.len()];
    let mut counts = Counts { members, ..Counts::default() };
    match cpu_bytes {
        ALL_COUNTERS_BYTES => add_all(hook, &mut counts, value),
        OLD_ALL_COUNTERS_BYTES => add_old(hook, &mut counts, value),
        _ => return None,
    }
    // What met a member that keeps the length either ended there or met the next one just as long.
    let mut met_next = 0;
    for (count, keeps) in counts.members.iter_mut().zip(keep_length).rev() {
        count.bytes += if *keeps { met_next } else { 0 };
        met_next = count.bytes;
    }
    Some(counts)
}

fn add_all(hook: Hook, counts: &mut Counts, value: &[u8]) {
    for cpu in value.chunks_exact(ALL_COUNTERS_BYTES) {
        let (head, members) = cpu.split_at(COUNTERS_MEMBERS_AT);
        let clock_ns = word(head, 2);
        counts.drops_told += word(head, 4);
        counts.drops_lost += word(head, 5);
        for (count, member) in counts.members.iter_mut().zip(members.chunks_exact(COUNTERS_BYTES)) {
            count.bytes += word(member, 0);
            count.missed += word(member, 1);
            let timed = word(member, 3);
            // A timed packet paid for one reading of the clock in every member.
            count.ns += word(member, 2).saturating_sub(timed.saturating_mul(clock_ns));
            count.timed += timed;
            add_verdicts(hook, count, member);
        }
    }
    for count in &mut counts.members {
        count.packets =
            count.verdicts.iter().map(|(_, seen)| seen).sum::<u64>() + count.unknown + count.missed;
    }
}

fn add_old(hook: Hook, counts: &mut Counts, value: &[u8]) {
    for cpu in value.chunks_exact(OLD_ALL_COUNTERS_BYTES) {
        for (count, member) in counts.members.iter_mut().zip(cpu.chunks_exact(OLD_COUNTERS_BYTES)) {
            count.packets += word(member, 0);
            count.bytes += word(member, 1);
            count.missed += word(member, 2);
            add_verdicts(hook, count, member);
        }
    }
}

/// In both layouts the verdicts are the last twelve of sixteen words.
fn add_verdicts(hook: Hook, count: &mut SlotCounts, member: &[u8]) {
    for verdict in hook.verdicts() {
        let seen = verdict_index(hook, verdict).map_or(0, |index| word(member, 4 + index));
        if seen == 0 {
            continue;
        }
        match count.verdicts.iter_mut().find(|(known, _)| *known == verdict) {
            Some((_, total)) => *total += seen,
            None => count.verdicts.push((verdict, seen)),
        }
    }
    count.unknown += word(member, 4 + VERDICT_UNKNOWN);
}

fn word(bytes: &[u8], index: usize) -> u64 {
    bytes.as_chunks::<8>().0.get(index).map_or(0, |word| u64::from_ne_bytes(*word))
}
