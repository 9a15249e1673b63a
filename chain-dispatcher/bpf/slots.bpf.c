// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The slots of a chain whose members stay ordinary programs: a function for
 * each, which tail-calls the member, and the member returns to whoever called
 * the function. The walk that calls them is generated (src/fuse/walk.rs); they
 * become static functions behind it. Compiled once per hook (-DSKEP_HOOK_TC for
 * tc). Each stands in the hook's section as if it were a program, so that one
 * loader prepares it like a member. Refuses to know what a chain means.
 */
#ifdef SKEP_HOOK_TC
#include "hook_tc.h"
#define SKEP_SECTION "classifier"
#else
#include "hook_xdp.h"
#define SKEP_SECTION "xdp"
#endif

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SKEP_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} skep_slots SEC(".maps");

/*
 * The index is a constant, so that the JIT patches a direct jump. What follows
 * runs only where the call fell through. Verifiers before Linux 6.13 take what
 * it gives for all that can ever come back, and would remove the code for every
 * real verdict: so it is SKEP_MISSED by a detour that they cannot see through.
 */
#define SKEP_SLOT(i)                                                      \
	SEC(SKEP_SECTION) int skep_slot_##i(SKEP_CTX *ctx)                    \
	{                                                                     \
		__u64 detour, missed;                                             \
		bpf_tail_call_static(ctx, &skep_slots, i);                        \
		detour = bpf_get_prandom_u32();                                   \
		missed = detour + SKEP_MISSED;                                    \
		asm volatile("" : "+r"(missed));                                  \
		return missed - detour;                                           \
	}

#define SKEP_EACH_SLOT(F)                                                 \
	F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)                               \
	F(8) F(9) F(10) F(11) F(12) F(13) F(14) F(15)                         \
	F(16) F(17) F(18) F(19) F(20) F(21) F(22) F(23)                       \
	F(24) F(25) F(26) F(27) F(28) F(29) F(30) F(31)

SKEP_EACH_SLOT(SKEP_SLOT)

char _license[] SEC("license") = "Dual BSD/GPL";
