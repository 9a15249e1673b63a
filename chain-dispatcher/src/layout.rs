//! What user space and the kernel half agree on, byte for byte: the counters that a chain writes, the
//! sampling settings it reads while it runs and the drop events it tells. The Rust half of
//! `bpf/layout.h`. Pure: knows no kernel, no pins, no packages.

mod counts;
mod event;
#[cfg(test)]
mod tests;

use skep_artifact::hook::{Hook, Verdict};

pub(crate) use counts::counts;
pub(crate) use event::{Cause, Event};

/// `SKEP_LAYOUT_VERSION`: raised with every change of `bpf/layout.h`.
pub const LAYOUT_VERSION: u8 = 2;
/// `SKEP_SLOTS`: members of one chain whose members stay ordinary programs. The kernel lets one packet pass through 33 tail
/// calls (`MAX_TAIL_CALL_CNT`); a slot costs one.
pub const SLOTS_MAX: usize = 32;
/// `SKEP_MEMBERS`: members that can be counted, as many as the largest backend holds.
pub const MEMBERS_MAX: usize = 64;

/// Bytes of one member's counters, and where each lies in them: for generated code.
pub(crate) const COUNTERS_BYTES: usize = (4 + VERDICTS) * 8;
/// Where the members' counters begin in the one value of `skep_counts`.
pub(crate) const COUNTERS_MEMBERS_AT: usize = 64;
/// Where `bytes` lies in a member's counters.
pub(crate) const COUNTERS_PACKET_BYTES_AT: usize = 0;
/// Where `missed` lies.
pub(crate) const COUNTERS_MISSED_AT: usize = 8;
/// Where the count of verdict 0 lies; 8 bytes each.
pub(crate) const COUNTERS_VERDICTS_AT: usize = 32;
/// Size of the one value of `skep_counts`, per CPU.
pub(crate) const ALL_COUNTERS_BYTES: usize = COUNTERS_MEMBERS_AT + MEMBERS_MAX * COUNTERS_BYTES;

/// Name of the global with the number of the build, a `u32`.
pub(crate) const NUMBER_GLOBAL: &str = "skep_number";
/// The map of counters.
pub(crate) const COUNTS_MAP: &str = "skep_counts";
/// The ring buffer of drop events.
pub(crate) const DROPS_MAP: &str = "skep_drops";
/// The setting that says which packets are timed.
pub(crate) const TIMING_MAP: &str = ".data.timing";
/// The setting that says which drops are told.
pub(crate) const TELLING_MAP: &str = ".data.telling";
/// What the next build of a chain takes over from the one before: a reader goes on reading.
pub(crate) const CARRIED_MAPS: [&str; 3] = [DROPS_MAP, TIMING_MAP, TELLING_MAP];

pub(crate) const VERDICTS: usize = 12;
pub(crate) const VERDICT_UNKNOWN: usize = 11;
pub(crate) const SAMPLING_BYTES: usize = 16;
pub(crate) const HEAD_BYTES: usize = 128;
pub(crate) const EVENT_BYTES: usize = 40 + HEAD_BYTES;

/// `struct skep_counters`.
#[repr(C)]
struct Counters {
    bytes: u64,
    missed: u64,
    ns: u64,
    timed: u64,
    verdicts: [u64; VERDICTS],
}

/// `struct skep_all_counters`.
#[repr(C)]
struct AllCounters {
    until_timed: u64,
    until_told: u64,
    clock_ns: u64,
    clock_reads: u64,
    drops_told: u64,
    drops_lost: u64,
    reserved: [u64; 2],
    members: [Counters; MEMBERS_MAX],
}

/// `struct skep_sampling`.
#[repr(C)]
struct SamplingBlock {
    one_in: u32,
    reserved: u32,
    until_ns: u64,
}

/// `struct skep_drop`.
#[repr(C)]
struct DropBlock {
    version: u8,
    cause: u8,
    captured: u16,
    member: u32,
    number: u32,
    verdict: i32,
    ifindex: u32,
    length: u32,
    time_ns: u64,
    one_in: u32,
    vlan_tci: u16,
    vlan_proto: u16,
    head: [u8; HEAD_BYTES],
}

const _: () = assert!(size_of::<Counters>() == COUNTERS_BYTES);
const _: () = assert!(std::mem::offset_of!(Counters, bytes) == COUNTERS_PACKET_BYTES_AT);
const _: () = assert!(std::mem::offset_of!(Counters, missed) == COUNTERS_MISSED_AT);
const _: () = assert!(std::mem::offset_of!(Counters, ns) == 16);
const _: () = assert!(std::mem::offset_of!(Counters, timed) == 24);
const _: () = assert!(std::mem::offset_of!(Counters, verdicts) == COUNTERS_VERDICTS_AT);
const _: () = assert!(size_of::<AllCounters>() == ALL_COUNTERS_BYTES);
const _: () = assert!(std::mem::offset_of!(AllCounters, clock_ns) == 16);
const _: () = assert!(std::mem::offset_of!(AllCounters, clock_reads) == 24);
const _: () = assert!(std::mem::offset_of!(AllCounters, drops_told) == 32);
const _: () = assert!(std::mem::offset_of!(AllCounters, drops_lost) == 40);
const _: () = assert!(std::mem::offset_of!(AllCounters, members) == COUNTERS_MEMBERS_AT);
const _: () = assert!(size_of::<SamplingBlock>() == SAMPLING_BYTES);
const _: () = assert!(std::mem::offset_of!(SamplingBlock, until_ns) == 8);
const _: () = assert!(size_of::<DropBlock>() == EVENT_BYTES);
const _: () = assert!(std::mem::offset_of!(DropBlock, captured) == 2);
const _: () = assert!(std::mem::offset_of!(DropBlock, number) == 8);
const _: () = assert!(std::mem::offset_of!(DropBlock, time_ns) == 24);
const _: () = assert!(std::mem::offset_of!(DropBlock, one_in) == 32);
const _: () = assert!(std::mem::offset_of!(DropBlock, vlan_tci) == 36);
const _: () = assert!(std::mem::offset_of!(DropBlock, head) == 40);
// One tail call is spare: a member may make one of its own even in a full chain.
const _: () = assert!(SLOTS_MAX < 33);

/// A sampling setting as the kernel half reads it: one in `one_in` (0: never), until the monotonic
/// clock shows `until_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Setting {
    pub(crate) one_in: u32,
    pub(crate) until_ns: u64,
}

impl Setting {
    pub(crate) fn to_value(self) -> [u8; SAMPLING_BYTES] {
        let mut value = [0; SAMPLING_BYTES];
        let (one_in, until) = (self.one_in.to_ne_bytes(), self.until_ns.to_ne_bytes());
        value[..4].copy_from_slice(&one_in);
        value[8..].copy_from_slice(&until);
        value
    }

    /// None for a value of another size.
    pub(crate) fn from_value(value: &[u8]) -> Option<Self> {
        let value: &[u8; SAMPLING_BYTES] = value.try_into().ok()?;
        Some(Self {
            one_in: u32::from_ne_bytes(*value.first_chunk()?),
            until_ns: u64::from_ne_bytes(*value.last_chunk()?),
        })
    }
}

/// The bytes of `skep_number` for a build pinned in this folder. Only the low half fits; two builds
/// of one hook that share it lie four thousand million changes apart.
pub(crate) fn number(folder: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = folder.to_le_bytes();
    [a, b, c, d]
}

/// Where a verdict is counted: XDP uses the code, tc the code + 1.
fn verdict_index(hook: Hook, verdict: Verdict) -> Option<usize> {
    let shift = i32::from(hook.is_tc());
    verdict.code(hook).and_then(|code| usize::try_from(code + shift).ok())
}
