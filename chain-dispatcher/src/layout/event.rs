//! One drop event out of the ring buffer, bytes in, fields out. Pure; knows no names of members.

use super::{EVENT_BYTES, HEAD_BYTES, LAYOUT_VERSION};

/// `SKEP_CAUSE_MISSED`.
const CAUSE_MISSED: u8 = 1;
/// Where the captured bytes begin.
const HEAD_AT: usize = EVENT_BYTES - HEAD_BYTES;

/// Why a packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The member said so.
    Verdict,
    /// The member could not run and is closed.
    Missed,
}

/// `struct skep_drop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) cause: Cause,
    /// The member's place in the chain, from 0.
    pub(crate) member: u32,
    /// The build of the chain: the low half of its folder's number.
    pub(crate) number: u32,
    /// What became of the packet, as a code of the hook.
    pub(crate) verdict: i32,
    pub(crate) ifindex: u32,
    /// Length of the packet in bytes.
    pub(crate) length: u32,
    /// On the monotonic clock.
    pub(crate) time_ns: u64,
    /// The event stands for so many drops.
    pub(crate) one_in: u32,
    /// A VLAN tag that the kernel took out of the bytes: control information, EtherType.
    pub(crate) vlan: Option<(u16, u16)>,
    /// The first bytes of the packet, at most 128.
    pub(crate) head: Vec<u8>,
}

impl Event {
    /// None for bytes of another layout.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; EVENT_BYTES] = bytes.try_into().ok()?;
        let (fields, head) = bytes.split_at(HEAD_AT);
        let [version, cause, ..] = fields else { return None };
        if *version != LAYOUT_VERSION {
            return None;
        }
        let captured = usize::from(u16_at(fields, 2)).min(HEAD_BYTES);
        let proto = u16_at(fields, 38);
        Some(Self {
            cause: if *cause == CAUSE_MISSED { Cause::Missed } else { Cause::Verdict },
            member: u32_at(fields, 4),
            number: u32_at(fields, 8),
            verdict: u32_at(fields, 12).cast_signed(),
            ifindex: u32_at(fields, 16),
            length: u32_at(fields, 20),
            time_ns: u64::from(u32_at(fields, 24)) | u64::from(u32_at(fields, 28)) << 32,
            one_in: u32_at(fields, 32),
            vlan: (proto != 0).then(|| (u16_at(fields, 36), proto)),
            head: head[..captured].to_vec(),
        })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}
