// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The slots dispatcher for tc, attached as one tcx link. See dispatcher.h for the walk. */
#include "hook_tc.h"
#include "dispatcher.h"

/*
 * tcx knows four verdicts: NEXT (-1), PASS (0), DROP (2) and REDIRECT (7); it
 * takes every other one for NEXT. A member that stole or trapped the packet
 * meant that nobody after it sees it, so that is a drop here and never a silent
 * pass. The others mean "go on" to the kernel's own direct-action
 * classifier too.
 */
static __always_inline int tcx_verdict(int verdict)
{
	switch (verdict) {
	case TC_ACT_OK:
	case TC_ACT_SHOT:
	case TC_ACT_REDIRECT:
		return verdict;
	case TC_ACT_STOLEN:
	case TC_ACT_TRAP:
		return TC_ACT_SHOT;
	default:
		return TC_ACT_UNSPEC;
	}
}

SEC("classifier")
int skep_tc(struct __sk_buff *ctx)
{
	return tcx_verdict(skep_walk(ctx));
}

char _license[] SEC("license") = "Dual BSD/GPL";
