// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The slots dispatcher for XDP. See dispatcher.h for the walk. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "layout.h"

#define SKEP_CTX struct xdp_md
#define SKEP_LENGTH(ctx) ((__u64)(ctx)->data_end - (__u64)(ctx)->data)
#define SKEP_INDEX(verdict) ((__u32)(verdict))
#define SKEP_INDEX_MAX XDP_REDIRECT
#define SKEP_UNKNOWN_VERDICT XDP_ABORTED
#define SKEP_CLOSED_VERDICT XDP_DROP
#define SKEP_END_VERDICT XDP_PASS

#include "dispatcher.h"

SEC("xdp")
int skep_xdp(struct xdp_md *ctx)
{
	return skep_walk(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
