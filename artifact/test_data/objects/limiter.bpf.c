// An XDP program with everything a package of ours can have: settings, a config map, state, subprograms.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 rate_per_second = 1000;
const volatile _Bool log_drops = 0;
const volatile __u64 burst = 7;
const volatile __s32 offset = -1;
__u64 seen;

struct lpm_key {
	__u32 prefixlen;
	__u8 addr[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lpm_key);
	__type(value, __u8);
} blocklist SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 8);
} counters SEC(".maps");

static __attribute__((noinline)) int count(__u32 key)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		*value += rate_per_second;
	return log_drops ? XDP_DROP : XDP_PASS;
}

__attribute__((noinline)) int cost(__u32 key)
{
	seen += burst + offset;
	return bpf_ktime_get_boot_ns() > key;
}

SEC("xdp")
int xdp_limiter(struct xdp_md *ctx)
{
	struct lpm_key key = { .prefixlen = 128 };

	if (bpf_map_lookup_elem(&blocklist, &key))
		return XDP_DROP;
	return count(1) + cost(2);
}

SEC("xdp.frags")
int xdp_plain(struct xdp_md *ctx)
{
#ifdef OTHER
	return XDP_DROP;
#endif
	return XDP_PASS;
}

SEC("tc")
int tc_mirror(struct __sk_buff *skb)
{
	__u8 byte = 1;

	bpf_skb_store_bytes(skb, 0, &byte, 1, 0);
	return bpf_redirect(1, 0);
}

SEC("tcx/egress")
int tcx_out(struct __sk_buff *skb)
{
	return -1;
}

SEC("tracepoint/sched/sched_switch")
int on_switch(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
