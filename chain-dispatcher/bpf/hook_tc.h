/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What seeing.h and slots.bpf.c must know about the tc hooks. */
#ifndef SKEP_HOOK_H
#define SKEP_HOOK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "layout.h"

#define SKEP_TC
#define SKEP_CTX struct __sk_buff
#define SKEP_LENGTH(ctx) ((__u64)(ctx)->len)
#define SKEP_IFINDEX(ctx) ((ctx)->ifindex)

#endif
