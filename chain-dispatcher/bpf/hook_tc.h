/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What seeing.h and dispatcher.h must know about the tc hooks. */
#ifndef SKEP_HOOK_H
#define SKEP_HOOK_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "layout.h"

#define SKEP_TC
#define SKEP_CTX struct __sk_buff
#define SKEP_LENGTH(ctx) ((__u64)(ctx)->len)
#define SKEP_INDEX(verdict) ((__u32)((verdict) + 1))
#define SKEP_INDEX_MAX (TC_ACT_TRAP + 1)
#define SKEP_UNKNOWN_VERDICT TC_ACT_UNSPEC
#define SKEP_CLOSED_VERDICT TC_ACT_SHOT
#define SKEP_END_VERDICT TC_ACT_UNSPEC
/* Stolen and trapped packets end here, too: what took them is worth telling. */
#define SKEP_IS_DROP(verdict)                                             \
	((verdict) == TC_ACT_SHOT || (verdict) == TC_ACT_STOLEN ||            \
	 (verdict) == TC_ACT_TRAP)
#define SKEP_DROP_BITS                                                    \
	((1U << (TC_ACT_SHOT + 1)) | (1U << (TC_ACT_STOLEN + 1)) |            \
	 (1U << (TC_ACT_TRAP + 1)))
#define SKEP_IFINDEX(ctx) ((ctx)->ifindex)

#endif
