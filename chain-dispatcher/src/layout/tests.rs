//! Both halves say the same numbers, and bytes of every known layout read as what was written.

use skep_artifact::hook::{Hook, Verdict};

use super::counts::SlotCounts;
use super::{
    ALL_COUNTERS_BYTES, COUNTERS_BYTES, COUNTERS_MEMBERS_AT, Cause, EVENT_BYTES, Event, HEAD_BYTES,
    LAYOUT_VERSION, MEMBERS_MAX, SLOTS_MAX, Setting, VERDICT_UNKNOWN, VERDICTS, counts,
};

#[test]
fn the_c_header_says_the_same_numbers() {
    let header = include_str!("../../bpf/layout.h");
    let defines = |name: &str| {
        header
            .lines()
            .find_map(|line| line.strip_prefix(&format!("#define {name} ")))
            .map(|value| value.trim().to_owned())
    };
    assert_eq!(defines("SKEP_LAYOUT_VERSION"), Some(LAYOUT_VERSION.to_string()));
    assert_eq!(defines("SKEP_SLOTS"), Some(SLOTS_MAX.to_string()));
    assert_eq!(defines("SKEP_MEMBERS"), Some(MEMBERS_MAX.to_string()));
    assert_eq!(defines("SKEP_VERDICTS"), Some(VERDICTS.to_string()));
    assert_eq!(defines("SKEP_VERDICT_UNKNOWN"), Some(VERDICT_UNKNOWN.to_string()));
    assert_eq!(defines("SKEP_HEAD_BYTES"), Some(HEAD_BYTES.to_string()));
}

fn put(value: &mut [u8], at: usize, amount: u64) {
    value[at..at + 8].copy_from_slice(&amount.to_ne_bytes());
}

#[test]
fn counts_of_all_cpus_are_added_up_by_member_and_verdict() {
    let mut value = vec![0u8; 2 * ALL_COUNTERS_BYTES];
    let at = |cpu: usize, member: usize, word: usize| {
        cpu * ALL_COUNTERS_BYTES + COUNTERS_MEMBERS_AT + member * COUNTERS_BYTES + word * 8
    };
    put(&mut value, at(1, 1, 0), 600);
    put(&mut value, at(0, 1, 1), 2); // missed
    put(&mut value, at(1, 1, 4 + 3), 12); // tc code 2, SHOT
    put(&mut value, at(0, 1, 4 + 11), 1);
    put(&mut value, at(0, 63, 4), 9); // the last member: tc code -1, UNSPEC
    put(&mut value, 4 * 8, 5);
    put(&mut value, ALL_COUNTERS_BYTES + 5 * 8, 6);
    let counts = counts(Hook::TcIngress, &[false; 64], ALL_COUNTERS_BYTES, &value).unwrap();
    assert_eq!(counts.members.len(), 64);
    assert_eq!(counts.members[0], SlotCounts::default());
    let member = &counts.members[1];
    assert_eq!((member.packets, member.bytes, member.missed, member.unknown), (15, 600, 2, 1));
    assert_eq!(member.verdicts, [(Verdict::Shot, 12)]);
    assert_eq!(counts.members[63].verdicts, [(Verdict::Unspec, 9)]);
    assert_eq!((counts.drops_told, counts.drops_lost), (5, 6));
}

#[test]
fn bytes_of_members_that_keep_the_length_are_those_of_the_packets_that_went_on() {
    let mut value = vec![0u8; ALL_COUNTERS_BYTES];
    let at = |member: usize| COUNTERS_MEMBERS_AT + member * COUNTERS_BYTES;
    // Two of 60 bytes end with the first member; three reach the third, which makes them 68 long; one of
    // these ends with the fourth, two with the last.
    for (member, bytes) in [(0, 120), (1, 0), (2, 180), (3, 68), (4, 136)] {
        put(&mut value, at(member), bytes);
    }
    let keep = [true, true, false, true, true];
    let counts = counts(Hook::Xdp, &keep, ALL_COUNTERS_BYTES, &value).unwrap();
    let bytes: Vec<u64> = counts.members.iter().map(|member| member.bytes).collect();
    assert_eq!(bytes, [300, 180, 180, 204, 136]);
}

#[test]
fn what_reading_the_clock_cost_is_taken_off_each_member() {
    let mut value = vec![0u8; ALL_COUNTERS_BYTES];
    put(&mut value, 2 * 8, 20); // 20 ns a reading
    put(&mut value, 3 * 8, 10);
    put(&mut value, COUNTERS_MEMBERS_AT + 16, 500);
    put(&mut value, COUNTERS_MEMBERS_AT + 24, 10);
    put(&mut value, COUNTERS_MEMBERS_AT + COUNTERS_BYTES + 16, 30); // less than the clock's cost
    put(&mut value, COUNTERS_MEMBERS_AT + COUNTERS_BYTES + 24, 10);
    let counts = counts(Hook::Xdp, &[false; 2], ALL_COUNTERS_BYTES, &value).unwrap();
    assert_eq!((counts.members[0].ns, counts.members[0].timed), (300, 10));
    assert_eq!((counts.members[1].ns, counts.members[1].timed), (0, 10));
}

#[test]
fn counters_of_the_first_layout_are_read_as_they_were_written() {
    let mut value = vec![0u8; 2 * 4096];
    put(&mut value, 128, 5); // member 1: packets, bytes, missed, a spare, XDP_DROP
    put(&mut value, 4096 + 128, 7);
    put(&mut value, 128 + 8, 700);
    put(&mut value, 128 + 16, 1);
    put(&mut value, 128 + 24, u64::MAX); // the spare word is nobody's
    put(&mut value, 128 + 32 + 8, 11);
    let counts = counts(Hook::Xdp, &[false; 2], 4096, &value).unwrap();
    let member = &counts.members[1];
    assert_eq!((member.packets, member.bytes, member.missed), (12, 700, 1));
    assert_eq!((member.ns, member.timed), (0, 0));
    assert_eq!(member.verdicts, [(Verdict::Drop, 11)]);
}

#[test]
fn counters_of_an_unknown_layout_are_not_guessed_at() {
    assert_eq!(counts(Hook::Xdp, &[false], 4104, &[1; 4104]), None);
    assert_eq!(counts(Hook::Xdp, &[false], 0, &[]), None);
}

#[test]
fn a_setting_reads_back_as_it_was_written() {
    let setting = Setting { one_in: 1024, until_ns: u64::MAX };
    assert_eq!(Setting::from_value(&setting.to_value()), Some(setting));
    assert_eq!(Setting::from_value(&[0; 8]), None);
}

#[test]
fn an_event_reads_as_the_kernel_half_wrote_it_and_another_version_not_at_all() {
    let mut bytes = [0u8; EVENT_BYTES];
    bytes[0] = LAYOUT_VERSION;
    bytes[1] = 1;
    bytes[2..4].copy_from_slice(&3u16.to_le_bytes());
    bytes[4] = 7;
    bytes[8] = 9;
    bytes[12..16].copy_from_slice(&(-1i32).to_le_bytes());
    bytes[16] = 4;
    bytes[20] = 60;
    bytes[24..32].copy_from_slice(&0x1_0000_0002u64.to_le_bytes());
    bytes[32] = 100;
    bytes[36..38].copy_from_slice(&42u16.to_le_bytes());
    bytes[38..40].copy_from_slice(&0x8100u16.to_le_bytes());
    bytes[40..44].copy_from_slice(&[1, 2, 3, 4]);
    let event = Event::parse(&bytes).unwrap();
    assert_eq!(
        event,
        Event {
            cause: Cause::Missed,
            member: 7,
            number: 9,
            verdict: -1,
            ifindex: 4,
            length: 60,
            time_ns: 0x1_0000_0002,
            one_in: 100,
            vlan: Some((42, 0x8100)),
            head: vec![1, 2, 3],
        }
    );
    // A length beyond the buffer is cut, never believed.
    bytes[2..4].copy_from_slice(&u16::MAX.to_le_bytes());
    assert_eq!(Event::parse(&bytes).unwrap().head.len(), HEAD_BYTES);
    bytes[0] = LAYOUT_VERSION + 1;
    assert_eq!(Event::parse(&bytes), None);
    assert_eq!(Event::parse(&bytes[..40]), None);
}
