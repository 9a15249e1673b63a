/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a program of type xdp copies packet bytes out of the frame.
 *
 * Include it before skep/parse.h, which knows headers and not where bytes come
 * from. The offset is a plain number and the packet pointer is made anew at
 * each read: that is the form the verifiers of kernels since 5.15 follow
 * without losing the range of a pointer that moved by a variable amount.
 */
#ifndef SKEP_READ_XDP_H
#define SKEP_READ_XDP_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Where the bytes are; the kernel's context is asked for them once. */
struct skep_frame {
	struct xdp_md *context;
	void *start;
	void *end;
};

static __always_inline struct skep_frame skep_frame_of(struct xdp_md *context)
{
	return (struct skep_frame){
		.context = context,
		.start = (void *)(long)context->data,
		.end = (void *)(long)context->data_end,
	};
}

/* Copies one object of the type of *to; 0 when the frame ends before it does. */
#define skep_read(frame, offset, to)                                        \
	({                                                                  \
		void *at__ = (frame)->start + ((offset) & SKEP_OFFSET_MASK); \
		int whole__ = at__ + sizeof(*(to)) <= (frame)->end;         \
		if (whole__)                                                \
			*(to) = *(typeof(to))at__;                          \
		whole__;                                                    \
	})

#endif
