// CO-RE relocations, a kernel function, a callback and an atomic exchange.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct net_device {
	int ifindex;
	unsigned int mtu;
} __attribute__((preserve_access_index));

extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash) __attribute__((section(".ksyms")));

__u64 state;

static long step(__u32 index, void *ctx)
{
	__sync_lock_test_and_set(&state, index);
	return 0;
}

SEC("xdp")
int xdp_core(struct xdp_md *ctx)
{
	struct net_device *device = (void *)(long)state;
	__u32 hash = 0;

	bpf_loop(8, step, 0, 0);
	bpf_xdp_metadata_rx_hash(ctx, &hash);
	return BPF_CORE_READ(device, ifindex) + BPF_CORE_READ(device, mtu) + hash;
}

char _license[] SEC("license") = "GPL";
