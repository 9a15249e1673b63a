// The form of old objects: a `maps` section, the section name `classifier`, no BTF when compiled without -g.
#include <linux/bpf.h>
#define SEC(NAME) __attribute__((section(NAME), used))

struct bpf_map_def {
	unsigned int type, key_size, value_size, max_entries, map_flags;
};

struct bpf_map_def SEC("maps") hits = { BPF_MAP_TYPE_HASH, 4, 8, 64, 0 };

static void *(*lookup)(void *map, const void *key) = (void *)1;

SEC("classifier")
int count_hits(struct __sk_buff *skb)
{
	__u32 key = 0;

	return lookup(&hits, &key) ? 0 : 2;
}

char _license[] SEC("license") = "Dual MIT/GPL";
