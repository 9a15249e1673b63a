// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The slots dispatcher for tc, attached as one tcx link, or (-DSKEP_CLSACT) as
 * one direct-action filter. See dispatcher.h for the walk.
 */
#include "hook_tc.h"
#include "dispatcher.h"

/*
 * tcx knows four verdicts: NEXT (-1), PASS (0), DROP (2) and REDIRECT (7); it
 * takes every other one for NEXT. A member that stole or trapped the packet
 * meant that nobody after it sees it, so that is a drop here and never a silent
 * pass. The direct-action classifier knows these two as well. The others mean
 * "go on" to both.
 */
static __always_inline int kernel_verdict(int verdict)
{
	switch (verdict) {
	case TC_ACT_OK:
	case TC_ACT_SHOT:
	case TC_ACT_REDIRECT:
		return verdict;
	case TC_ACT_STOLEN:
	case TC_ACT_TRAP:
#ifdef SKEP_CLSACT
		return verdict;
#else
		return TC_ACT_SHOT;
#endif
	default:
		return TC_ACT_UNSPEC;
	}
}

SEC("classifier")
int skep_tc(struct __sk_buff *ctx)
{
	return kernel_verdict(skep_walk(ctx));
}

char _license[] SEC("license") = "Dual BSD/GPL";
