/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What seeing.h and slots.bpf.c must know about the XDP hook. */
#ifndef SKEP_HOOK_H
#define SKEP_HOOK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "layout.h"

#define SKEP_CTX struct xdp_md
#define SKEP_LENGTH(ctx) ((__u64)(ctx)->data_end - (__u64)(ctx)->data)
#define SKEP_IFINDEX(ctx) ((ctx)->ingress_ifindex)

#endif
