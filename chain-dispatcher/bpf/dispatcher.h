/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The walk along a chain, shared by the XDP and the tc dispatcher. The
 * including file includes hook_xdp.h or hook_tc.h before this one, which say:
 *   SKEP_CTX                  the context type
 *   SKEP_LENGTH(ctx)          length of the packet now, in bytes
 *   SKEP_INDEX(verdict)       verdict -> bit and counter index, or a value
 *                             beyond SKEP_INDEX_MAX for one it does not know
 *   SKEP_INDEX_MAX            highest known index
 *   SKEP_UNKNOWN_VERDICT      what the kernel makes of a verdict it does not know
 *   SKEP_CLOSED_VERDICT       what a closed member that could not run decides
 *   SKEP_END_VERDICT          verdict of a chain in which nobody enforced
 *   SKEP_IS_DROP(verdict)     whether the packet ends here
 *   SKEP_DROP_BITS            the same as a mask of indices
 */
#ifndef SKEP_DISPATCHER_H
#define SKEP_DISPATCHER_H

#include "seeing.h"

/* Written and frozen before load, so the verifier drops every dead slot. */
const volatile struct skep_chain skep_chain = {};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SKEP_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} skep_slots SEC(".maps");

/*
 * A stub is a global function: the verifier checks it alone and takes its
 * return value for unknown. Were it static, the verifier would only see the
 * fall-through and prune every real verdict. The null check keeps clang from
 * dropping the argument, the asm keeps it from folding the constant into the
 * callers, and the index is a constant so that the JIT patches a direct jump.
 */
#define SKEP_STUB(i)                                                      \
	__attribute__((noinline)) int skep_slot_##i(SKEP_CTX *ctx)            \
	{                                                                     \
		int verdict;                                                      \
		if (!ctx)                                                         \
			return SKEP_MISSED;                                           \
		bpf_tail_call_static(ctx, &skep_slots, i);                        \
		verdict = SKEP_MISSED;                                            \
		asm volatile("" : "+r"(verdict));                                 \
		return verdict;                                                   \
	}

#define SKEP_EACH_SLOT(F)                                                 \
	F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)                               \
	F(8) F(9) F(10) F(11) F(12) F(13) F(14) F(15)                         \
	F(16) F(17) F(18) F(19) F(20) F(21) F(22) F(23)                       \
	F(24) F(25) F(26) F(27) F(28) F(29) F(30) F(31)

SKEP_EACH_SLOT(SKEP_STUB)

/*
 * A drop is told by a function of its own, which the verifier checks once. Its
 * answer means nothing: a global function must have one.
 */
__attribute__((noinline)) int skep_tell_drop(SKEP_CTX *ctx, __u32 who, __s32 verdict)
{
	if (ctx)
		skep_tell(ctx, who & 0xff, who >> 8, verdict);
	return 0;
}

/* Set in `who` beside the member's place. */
#define SKEP_WHO_MISSED (SKEP_CAUSE_MISSED << 8)

/* What the chain does after one member. */
enum skep_next { SKEP_GO_ON, SKEP_FINAL };

static __always_inline enum skep_next skep_after(int slot, int verdict,
						 struct skep_counters *counters,
						 int *final, __u32 *who)
{
	__u64 index;

	if (verdict == SKEP_MISSED) {
		if (counters)
			counters->missed++;
		if (skep_chain.slots[slot].mode == SKEP_OBSERVE ||
		    skep_chain.slots[slot].failure == SKEP_OPEN)
			return SKEP_GO_ON;
		*who = slot | SKEP_WHO_MISSED;
		*final = SKEP_CLOSED_VERDICT;
		return SKEP_FINAL;
	}
	index = (__u32)SKEP_INDEX(verdict);
	/* One register from the check to its use, or the verifier loses the bound. */
	asm volatile("" : "+r"(index));
	if (index > SKEP_INDEX_MAX) {
		if (counters)
			counters->verdicts[SKEP_VERDICT_UNKNOWN]++;
		verdict = SKEP_UNKNOWN_VERDICT;
		index = SKEP_INDEX(SKEP_UNKNOWN_VERDICT);
	} else if (counters) {
		counters->verdicts[index]++;
	}
	if (skep_chain.slots[slot].mode == SKEP_OBSERVE)
		return SKEP_GO_ON;
	*final = verdict;
	if (skep_chain.slots[slot].proceed & (1ULL << index)) {
		/* Only a member that lets drops go on can be asked about one later: the
		 * verifier removes this from all others. */
		if (skep_chain.slots[slot].proceed & SKEP_DROP_BITS)
			*who = slot;
		return SKEP_GO_ON;
	}
	*who = slot;
	return SKEP_FINAL;
}

/*
 * The counters of a CPU can be written by two packets at once only where one
 * packet's program is interrupted by another on the same CPU (tc egress by
 * softirq); such a count may then be lost. A verdict never is.
 */
#define SKEP_MEMBER(i)                                                    \
	if (skep_chain.count <= i)                                            \
		goto out;                                                         \
	if (all)                                                              \
		all->members[i].bytes += SKEP_LENGTH(ctx);                        \
	verdict = skep_slot_##i(ctx);                                         \
	if (all && since)                                                     \
		since = skep_time(&all->members[i], since);                       \
	if (skep_after(i, verdict, all ? &all->members[i] : 0, &final,        \
		       &who) == SKEP_FINAL)                                       \
		goto out;

static __always_inline int skep_walk(SKEP_CTX *ctx)
{
	struct skep_all_counters *all = 0;
	int verdict, final = SKEP_END_VERDICT;
	__u64 since = 0;
	__u32 who = 0;

	if (skep_chain.version != SKEP_LAYOUT_VERSION)
		return SKEP_CLOSED_VERDICT;
	if (skep_chain.counting) {
		all = skep_counters_here();
		/* The one key of an array is always there. To say so lets the verifier
		 * remove every later check. */
		if (!all)
			return SKEP_CLOSED_VERDICT;
		since = skep_begin(all);
	}
	SKEP_EACH_SLOT(SKEP_MEMBER)
out:
	if (skep_chain.counting && SKEP_IS_DROP(final) && skep_telling.one_in)
		skep_tell_drop(ctx, who, final);
	return final;
}

#endif
