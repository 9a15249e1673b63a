// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Counting, timing and telling as functions, for programs whose main is
 * generated: the fused chain and the wrapper of one libxdp member. Compiled
 * once per hook (-DSKEP_HOOK_TC for tc). Each function stands in the hook's
 * section as if it were a program, so that one loader prepares it like a member;
 * it becomes a static subprogram (BTF_FUNC_STATIC) of what it is fused into:
 * a global one could not return a pointer. All of them share one set of maps.
 *
 * A generated main that counts does, with `all` in a register that calls keep:
 *
 *   all = the value of skep_counts;  null never happens; the verifier wants it checked
 *   since = skep_enter(all);       once per packet; 0 unless this one is timed
 *   for each member i, in order:
 *       all->members[i].bytes += length of the packet         (inline, if the
 *           member can change it; else only where the packet's way ends: layout.h)
 *       verdict = member_i(ctx);
 *       if (since) since = skep_leave(&all->members[i], since);
 *       all->members[i].verdicts[index]++, or .missed++       (inline)
 *   if the chain's verdict, decided by member i, is a drop:
 *       skep_dropped(ctx, i, verdict);
 *
 * The offsets for inline code are the COUNTERS_* constants of src/layout.rs.
 */
#ifdef SKEP_HOOK_TC
#include "hook_tc.h"
#define SKEP_SECTION "classifier"
#else
#include "hook_xdp.h"
#define SKEP_SECTION "xdp"
#endif
#include "seeing.h"

/* The time at which this packet enters its first member; 0 if it is not timed. */
SEC(SKEP_SECTION) __u64 skep_enter(struct skep_all_counters *all)
{
	return skep_begin(all);
}

/* After a member of a timed packet: adds its time, gives the time now. */
SEC(SKEP_SECTION) __u64 skep_leave(struct skep_counters *member, __u64 since)
{
	return skep_time(member, since);
}

/* Tells that the member in this place dropped the packet, if somebody reads. */
SEC(SKEP_SECTION) int skep_dropped(SKEP_CTX *ctx, __u32 member, __s32 verdict)
{
	skep_tell(ctx, member, SKEP_CAUSE_VERDICT, verdict);
	return 0;
}

/* The same for a member that could not run and is closed. */
SEC(SKEP_SECTION) int skep_dropped_missed(SKEP_CTX *ctx, __u32 member, __s32 verdict)
{
	skep_tell(ctx, member, SKEP_CAUSE_MISSED, verdict);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
