/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel half and src/layout.rs agree on, byte for byte. Every change
 * raises SKEP_LAYOUT_VERSION; src/layout.rs asserts sizes and offsets when it
 * is compiled.
 *
 * An agent that is upgraded in place meets chains of an older layout. They run
 * on untouched, and the size of the value of their counters' map tells which
 * layout they have: version 1 is read as it was written (it knows no ns, no
 * settings and no drop events: those are reported as not there), any other size
 * is reported as not readable and never guessed at. The record of a chain names
 * the digest of its dispatcher, so the next apply rebuilds it with this layout.
 */
#ifndef SKEP_LAYOUT_H
#define SKEP_LAYOUT_H

#define SKEP_LAYOUT_VERSION 2

/*
 * The kernel lets one packet pass through 33 tail calls (MAX_TAIL_CALL_CNT).
 * A slot costs one, so 32 slots leave one call to spare and no more.
 */
#define SKEP_SLOTS 32

/* Members that can be counted: as many as the largest backend (fused) holds. */
#define SKEP_MEMBERS 64

/*
 * What a slot's function returns when its tail call fell through. Far outside every
 * verdict of every hook, so that it cannot be met by accident. A member that
 * returns it on purpose is treated as one that did not run: its `failure`
 * verdict applies, which the operator chose.
 */
#define SKEP_MISSED 0x534b4550

/* Verdict counters: XDP uses the code, tc the code + 1 (UNSPEC is -1). */
#define SKEP_VERDICTS 12
/* The last one counts verdicts that the hook does not know. */
#define SKEP_VERDICT_UNKNOWN 11

/*
 * Two cache lines. How many packets met the member is not written: every one
 * ends in exactly one verdict or is missed, so it is their sum. Nor is how many
 * bytes, where a member keeps the length of packets: what met it and went on
 * met the next one with the same length, so only the bytes of packets whose way
 * along the chain ended here are written, once a packet and not once a member.
 */
struct skep_counters {
	__u64 bytes;   /* of the packets that met it, or only of those that ended here */
	__u64 missed;  /* the member could not run */
	__u64 ns;      /* time spent in the member by the packets that were timed */
	__u64 timed;   /* how many those were */
	__u64 verdicts[SKEP_VERDICTS];
};

/* One value per CPU holds every member, so a packet pays for one look-up. */
struct skep_all_counters {
	__u64 until_timed; /* packets to let pass before the next one is timed */
	__u64 until_told;  /* drops to let pass before the next one is told */
	__u64 clock_ns;    /* the least that reading the clock ever cost */
	__u64 clock_reads; /* how often that was measured; 0: not yet */
	__u64 drops_told;  /* drop events written to the ring buffer */
	__u64 drops_lost;  /* drop events for which it had no room */
	__u64 reserved[2];
	struct skep_counters members[SKEP_MEMBERS];
};

/*
 * A setting that is switched while a chain runs: do it for one in `one_in`, 0
 * for never, until the monotonic clock shows `until_ns`. The end is a lease:
 * a reader that dies stops renewing it, and the kernel half stops by itself.
 * Written by user space only; a half-written one costs at most one sample.
 */
struct skep_sampling {
	__u32 one_in;
	__u32 reserved;
	__u64 until_ns;
};

/* The first bytes of a dropped packet that an event carries: Ethernet, two VLAN
 * tags, IPv6 with an extension header and TCP take 126. */
#define SKEP_HEAD_BYTES 128

/* A whole number of pages on every machine; some 370 events wait for a reader. */
#define SKEP_RING_BYTES 65536

/* Why a packet was dropped: a member said so, or one could not run and is closed. */
#define SKEP_CAUSE_VERDICT 0
#define SKEP_CAUSE_MISSED 1

/* One dropped packet, in the ring buffer. */
struct skep_drop {
	__u8 version;    /* SKEP_LAYOUT_VERSION */
	__u8 cause;
	__u16 captured;  /* how many bytes of head are the packet's */
	__u32 member;    /* its place in the chain, from 0 */
	__u32 number;    /* the chain's own number: skep_number */
	__s32 verdict;   /* what became of the packet, as a code of the hook */
	__u32 ifindex;
	__u32 length;    /* bytes of the packet when it was dropped */
	__u64 time_ns;   /* bpf_ktime_get_ns: the monotonic clock */
	__u32 one_in;    /* this event stands for so many drops */
	__u16 vlan_tci;  /* the tag that the kernel took out of the bytes (tc) */
	__u16 vlan_proto;/* its EtherType as a number; 0 where there is none */
	__u8 head[SKEP_HEAD_BYTES];
};

#endif
