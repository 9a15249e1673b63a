// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A dispatcher that libxdp's tools take for one of theirs. Its name, its ten
 * functions and the layout of its one map are their protocol; src/libxdp holds
 * the Rust half. Compiled once per version of the protocol.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MEMBERS 10
/* What a function that nobody replaced returns: its bit is set in every mask. */
#define UNREPLACED 31

struct libxdp_config {
	__u8 magic;
	__u8 version;
	__u8 count;
	__u8 frags;
	__u32 actions[MEMBERS];
	__u32 priorities[MEMBERS];
	__u32 flags[MEMBERS];
#if LIBXDP_VERSION >= 3
	__u8 dev_bound;
	__u8 reserved[3];
#endif
};

/* Written and frozen before load, so the verifier drops every dead call. */
const volatile struct libxdp_config libxdp_config = {};

/*
 * The null check keeps clang from dropping the argument. Resizing by nothing
 * tells the verifier that a replacement may move the packet: newer kernels
 * refuse a replacement that does where the original did not. The volatile
 * keeps the value from being folded into the callers.
 */
#define MEMBER(i)                                                         \
	__attribute__((noinline)) int prog##i(struct xdp_md *ctx)             \
	{                                                                     \
		volatile int verdict = UNREPLACED;                                \
		if (!ctx)                                                         \
			return XDP_ABORTED;                                           \
		bpf_xdp_adjust_tail(ctx, 0);                                      \
		return verdict;                                                   \
	}

#define EACH_MEMBER(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9)

EACH_MEMBER(MEMBER)

/* libxdp tries on this one whether the kernel can replace functions at all. */
__attribute__((noinline)) int compat_test(struct xdp_md *ctx)
{
	volatile int verdict = UNREPLACED;

	if (!ctx)
		return XDP_ABORTED;
	return verdict;
}

#define CALL(i)                                                           \
	if (count <= i)                                                       \
		goto out;                                                         \
	verdict = prog##i(ctx);                                               \
	if (!((1U << verdict) & libxdp_config.actions[i]))                    \
		return verdict;

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
{
	__u8 count = libxdp_config.count;
	int verdict;

	EACH_MEMBER(CALL)
	/* Never reached: ten members have gone out above, and there are no more. */
	if (count > MEMBERS)
		return compat_test(ctx);
out:
	/* As in libxdp's own: who has gone on past the last one passes. */
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
