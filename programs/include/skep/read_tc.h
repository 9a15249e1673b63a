/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a program of type tc copies packet bytes out of the socket buffer.
 *
 * Include it before skep/parse.h. Headers may lie beyond the linear part of the
 * buffer; bpf_skb_load_bytes finds them there and never changes the buffer, while
 * bpf_skb_pull_data would copy a cloned one, too dear for a program that only
 * looks. Reading the linear part directly first was tried: every read then has
 * two ways to succeed, and the verifier walked 412,000 instructions instead of
 * 7,000.
 */
#ifndef SKEP_READ_TC_H
#define SKEP_READ_TC_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Where the bytes are. */
struct skep_frame {
	struct __sk_buff *context;
};

static __always_inline struct skep_frame skep_frame_of(struct __sk_buff *context)
{
	return (struct skep_frame){ .context = context };
}

/* Copies one object of the type of *to; 0 when the packet ends before it does. */
#define skep_read(frame, offset, to) \
	(!bpf_skb_load_bytes((frame)->context, (offset) & SKEP_OFFSET_MASK, (to), sizeof(*(to))))

#endif
