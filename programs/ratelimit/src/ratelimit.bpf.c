// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * skep/ratelimit: a token bucket for every source address.
 *
 * Holds the bucket arithmetic and the map of buckets. It looks at source
 * addresses only and refuses to know ports, protocols and what is legitimate.
 *
 * A bucket is one number, the time at which it will be full again, in sixteenths
 * of a nanosecond (this form is called GCRA). A packet takes one token by moving
 * that time one interval into the future and conforms while it is less than
 * burst intervals away. One 64-bit number can be changed by one compare and
 * exchange, so packets of a source that arrive on several processors at once
 * never share a token. A lock in the bucket would say the same, but the kernel
 * takes bpf_spin_lock in plain hash maps only, not in LRU ones, and a bucket per
 * processor would multiply the limit by their number.
 */
#include "skep/read_xdp.h"
#include "skep/parse.h"

/* Settings: written before the program is loaded, constant afterwards. */
const volatile __u32 rate_per_second = 1000;
const volatile __u32 burst = 2000;
const volatile __u8 ipv6_prefix_bits = 64;

/*
 * Sixteenths keep the rounding of 1 s / rate below 0.1 % up to 10,000,000
 * packets/s (1,600 ticks). The clock in ticks fits 64 bits for 36 years of uptime.
 */
#define TICKS_PER_NS 16ULL
#define TICKS_PER_SECOND (1000000000ULL * TICKS_PER_NS)
/* The largest product is 1,000,000 intervals of one second: 1.6e16, below 2^54. */
#define BURST_MAX 1000000
/* Each failure means that another processor took a token of this source. */
#define ATTEMPTS_MAX 8

struct cidr {
	__u32 prefix_bits;
	struct skep_address address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cidr);
	__type(value, __u8); /* 1 is exempt; 0 cuts a hole into a wider prefix */
} exempt SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct skep_address);
	__type(value, __u64); /* when the bucket is full again, in ticks */
} buckets SEC(".maps");

/* The first five share out every frame; the last two count beside them. */
enum counter {
	COUNTER_PASSED,    /* a token was there */
	COUNTER_EXEMPT,    /* source never limited */
	COUNTER_NOT_IP,    /* no source address: passed */
	COUNTER_LIMITED,   /* bucket empty: dropped */
	COUNTER_MALFORMED, /* the source cannot be read: dropped */
	COUNTER_SOURCES,   /* buckets made, again after an eviction */
	COUNTER_UNTRACKED, /* passed because no bucket could be made */
	COUNTERS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(enum counter which)
{
	__u32 key = which;
	__u64 *packets = bpf_map_lookup_elem(&counters, &key);

	if (packets)
		*packets += 1;
}

static __always_inline int is_exempt(const struct skep_address *source)
{
	struct cidr key = { .prefix_bits = 128, .address = *source };
	__u8 *listed = bpf_map_lookup_elem(&exempt, &key);

	return listed && *listed;
}

static __always_inline __be32 keep_bits(__be32 word, int bits)
{
	if (bits <= 0)
		return 0;
	if (bits >= 32)
		return word;
	return word & bpf_htonl(~0U << (32 - bits));
}

/*
 * Whose bucket pays. One IPv6 customer owns a whole prefix and can send from
 * each address in it. Link-local addresses are the exception: fe80::/64 is
 * everybody on the link, so each keeps its own bucket.
 */
static __always_inline void aggregate(struct skep_address *source)
{
	int bits = ipv6_prefix_bits;

	if (skep_is_v4(source) || (source->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000))
		return;
	source->word[0] = keep_bits(source->word[0], bits);
	source->word[1] = keep_bits(source->word[1], bits - 32);
	source->word[2] = keep_bits(source->word[2], bits - 64);
	source->word[3] = keep_bits(source->word[3], bits - 96);
}

/* Takes a token, or says that there is none. */
static __always_inline enum counter take(__u64 *bucket, __u64 now, __u64 interval, __u64 tolerance)
{
	__u64 full_at = *(volatile __u64 *)bucket;

#pragma unroll
	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		__u64 seen, start = full_at > now ? full_at : now;

		if (start - now > tolerance)
			return COUNTER_LIMITED;
		seen = __sync_val_compare_and_swap(bucket, full_at, start + interval);
		if (seen == full_at)
			return COUNTER_PASSED;
		full_at = seen;
	}
	/* That many packets of one source within nanoseconds: the limit is being tested. */
	return COUNTER_LIMITED;
}

static __always_inline enum counter limit(struct skep_address *source)
{
	__u64 now = bpf_ktime_get_ns() * TICKS_PER_NS;
	__u64 rate = rate_per_second ? rate_per_second : 1;
	__u64 tokens = burst < 1 ? 1 : burst > BURST_MAX ? BURST_MAX : burst;
	__u64 interval = TICKS_PER_SECOND / rate;
	__u64 full_at = now + interval;
	__u64 *bucket;

	aggregate(source);
	bucket = bpf_map_lookup_elem(&buckets, source);
	if (!bucket) {
		/* A new bucket is full and this packet takes its first token. */
		if (!bpf_map_update_elem(&buckets, source, &full_at, BPF_NOEXIST)) {
			count(COUNTER_SOURCES);
			return COUNTER_PASSED;
		}
		/* Another processor was first, or the map had no room for a moment. */
		bucket = bpf_map_lookup_elem(&buckets, source);
		if (!bucket) {
			count(COUNTER_UNTRACKED);
			return COUNTER_PASSED;
		}
	}
	return take(bucket, now, interval, (tokens - 1) * interval);
}

SEC("xdp")
int xdp_ratelimit(struct xdp_md *context)
{
	struct skep_frame frame = skep_frame_of(context);
	struct skep_packet packet;
	enum counter outcome;

	switch (skep_parse(&frame, &packet)) {
	case SKEP_IP:
		outcome = is_exempt(&packet.source) ? COUNTER_EXEMPT : limit(&packet.source);
		break;
	case SKEP_NOT_IP:
		outcome = COUNTER_NOT_IP;
		break;
	default:
		outcome = COUNTER_MALFORMED;
	}
	count(outcome);
	return outcome <= COUNTER_NOT_IP ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
