/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What seeing.h and dispatcher.h must know about the XDP hook. */
#ifndef SKEP_HOOK_H
#define SKEP_HOOK_H

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
#define SKEP_IS_DROP(verdict) ((verdict) == XDP_DROP || (verdict) == XDP_ABORTED)
#define SKEP_DROP_BITS ((1U << XDP_DROP) | (1U << XDP_ABORTED))
#define SKEP_IFINDEX(ctx) ((ctx)->ingress_ifindex)

#endif
