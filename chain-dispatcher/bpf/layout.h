/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the dispatchers and src/layout.rs agree on, byte for byte. Every change
 * raises SKEP_LAYOUT_VERSION; src/layout.rs asserts sizes and offsets when it
 * is compiled, and both sides check the version byte when they meet.
 */
#ifndef SKEP_LAYOUT_H
#define SKEP_LAYOUT_H

#define SKEP_LAYOUT_VERSION 1

/*
 * The kernel lets one packet pass through 33 tail calls (MAX_TAIL_CALL_CNT).
 * A slot costs one, so 32 slots leave one call to spare and no more.
 */
#define SKEP_SLOTS 32

/*
 * What a stub returns when its tail call fell through. Far outside every
 * verdict of every hook, so that it cannot be met by accident. A member that
 * returns it on purpose is treated as one that did not run: its `failure`
 * verdict applies, which the operator chose.
 */
#define SKEP_MISSED 0x534b4550

#define SKEP_ENFORCE 0
#define SKEP_OBSERVE 1

#define SKEP_CLOSED 0
#define SKEP_OPEN 1

/* Verdict counters: XDP uses the code, tc the code + 1 (UNSPEC is -1). */
#define SKEP_VERDICTS 12
/* The last one counts verdicts that the hook does not know. */
#define SKEP_VERDICT_UNKNOWN 11

struct skep_slot {
	/* A set bit lets the chain go on: XDP 1 << code, tc 1 << (code + 1). */
	__u32 proceed;
	__u8 mode;
	__u8 failure;
	__u8 reserved[2];
};

struct skep_chain {
	__u8 version;
	__u8 count;
	__u8 counting;
	__u8 reserved;
	struct skep_slot slots[SKEP_SLOTS];
};

struct skep_counters {
	__u64 packets; /* met this member, whether or not it could run */
	__u64 bytes;   /* length of those packets when they met it */
	__u64 missed;  /* the member could not run */
	__u64 reserved;
	__u64 verdicts[SKEP_VERDICTS];
};

/* One value per CPU holds every member, so a packet pays for one look-up. */
struct skep_all_counters {
	struct skep_counters slots[SKEP_SLOTS];
};

#endif
