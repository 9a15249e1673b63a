/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Seeing inside a chain: counting, timing, and telling who dropped a packet.
 * For the functions that stand behind a generated walk (support.bpf.c). Include
 * hook_xdp.h or hook_tc.h before it. Knows one member at a time; refuses to know
 * the walk.
 */
#ifndef SKEP_SEEING_H
#define SKEP_SEEING_H

/* Number of this build of the chain, so that a drop event names the members of
 * the chain that dropped the packet, whatever runs when it is read. */
const volatile __u32 skep_number = 0;

/* In sections of their own: a map each, which user space writes as a whole and
 * which the next build of the chain takes over. */
volatile struct skep_sampling skep_timing SEC(".data.timing") = {};
volatile struct skep_sampling skep_telling SEC(".data.telling") = {};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct skep_all_counters);
} skep_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SKEP_RING_BYTES);
} skep_drops SEC(".maps");

static __always_inline struct skep_all_counters *skep_counters_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&skep_counts, &zero);
}

/*
 * Whether it is this packet's turn. The gaps are random with the right mean:
 * every n-th packet of periodic traffic would be the same packet each time. A
 * gap that a larger `one_in` left behind is cut short.
 */
static __always_inline int skep_turn(__u64 *until, __u32 one_in)
{
	__u64 gap_max = 2 * (__u64)one_in - 2;
	__u64 left = *until;

	if (left > 0 && left <= gap_max) {
		*until = left - 1;
		return 0;
	}
	*until = bpf_get_prandom_u32() % (gap_max + 1);
	return 1;
}

/*
 * The time at which a packet enters its first member, or 0 if it is not timed.
 * The clock is read twice: what lies between is what a reading costs, and user
 * space takes the least of that off each member's time: an interrupt in between
 * must not make members look faster.
 */
static __always_inline __u64 skep_begin(struct skep_all_counters *all)
{
	__u32 one_in = skep_timing.one_in;
	__u64 before, since, cost;

	if (!one_in || !skep_turn(&all->until_timed, one_in))
		return 0;
	before = bpf_ktime_get_ns();
	if (before >= skep_timing.until_ns)
		return 0;
	since = bpf_ktime_get_ns();
	cost = since - before;
	if (!all->clock_reads || cost < all->clock_ns)
		all->clock_ns = cost;
	all->clock_reads++;
	return since;
}

/* Adds the time since `since` to a member and gives the time now. */
static __always_inline __u64 skep_time(struct skep_counters *counters, __u64 since)
{
	__u64 now = bpf_ktime_get_ns();

	counters->ns += now - since;
	counters->timed++;
	return now;
}

/* Copies the first bytes of the packet, and says how many. */
#ifdef SKEP_TC
static __always_inline __u32 skep_capture(SKEP_CTX *ctx, struct skep_drop *drop)
{
	__u64 last = ctx->len;

	if (last == 0)
		return 0;
	last--;
	if (last > SKEP_HEAD_BYTES - 1)
		last = SKEP_HEAD_BYTES - 1;
	/*
	 * The verifier must see that at least one byte is copied, and before
	 * Linux 6.8 it learns nothing from "is not 0". It learns from a mask,
	 * which changes nothing here, and from adding one.
	 */
	asm volatile("" : "+r"(last));
	last &= SKEP_HEAD_BYTES - 1;
	/* The helper also reads packets whose bytes lie in pieces. */
	return bpf_skb_load_bytes(ctx, 0, drop->head, last + 1) ? 0 : last + 1;
}
#else
static __always_inline __u32 skep_capture(SKEP_CTX *ctx, struct skep_drop *drop)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;
	__u32 at;

	/* bpf_xdp_load_bytes would do it, on kernels since 5.18 only. */
	for (at = 0; at < SKEP_HEAD_BYTES; at++) {
		if (data + at + 1 > end)
			break;
		drop->head[at] = data[at];
	}
	return at;
}
#endif

/*
 * Tells that `member` dropped this packet, if it is this drop's turn. Off the
 * fast path: called for drops only, and only while somebody reads.
 */
static __always_inline void skep_tell(SKEP_CTX *ctx, __u32 member, __u32 cause, __s32 verdict)
{
	__u32 one_in = skep_telling.one_in;
	struct skep_all_counters *all;
	struct skep_drop *drop;
	__u64 now;

	all = skep_counters_here();
	if (!all || !one_in || !skep_turn(&all->until_told, one_in))
		return;
	now = bpf_ktime_get_ns();
	if (now >= skep_telling.until_ns)
		return;
	drop = bpf_ringbuf_reserve(&skep_drops, sizeof(*drop), 0);
	if (!drop) {
		all->drops_lost++;
		return;
	}
	all->drops_told++;
	drop->version = SKEP_LAYOUT_VERSION;
	drop->cause = cause;
	drop->member = member;
	drop->number = skep_number;
	drop->verdict = verdict;
	drop->ifindex = SKEP_IFINDEX(ctx);
	drop->length = SKEP_LENGTH(ctx);
	drop->time_ns = now;
	drop->one_in = one_in;
#ifdef SKEP_TC
	drop->vlan_tci = ctx->vlan_present ? ctx->vlan_tci : 0;
	drop->vlan_proto = ctx->vlan_present ? bpf_ntohs(ctx->vlan_proto) : 0;
#else
	drop->vlan_tci = 0;
	drop->vlan_proto = 0;
#endif
	drop->captured = skep_capture(ctx, drop);
	bpf_ringbuf_submit(drop, 0);
}

#endif
