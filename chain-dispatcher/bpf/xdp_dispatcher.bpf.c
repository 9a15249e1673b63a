// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The slots dispatcher for XDP. See dispatcher.h for the walk. */
#include "hook_xdp.h"
#include "dispatcher.h"

SEC("xdp")
int skep_xdp(struct xdp_md *ctx)
{
	return skep_walk(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
