// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * skep/firewall: who may send to this interface, and to which ports.
 *
 * Holds one decision per frame, from its source address and its destination
 * port, and one counter per reason. Keeps no state between packets: it does not
 * know connections. It refuses to know where else the packet goes.
 */
#include <stdbool.h>

#include "skep/read_xdp.h"
#include "skep/parse.h"

/* Settings: written before the program is loaded, constant afterwards. */
const volatile bool default_deny = false;
const volatile bool neighbour_discovery = true;

/* The key of both source lists: IPv4 prefixes count from bit 96. */
struct cidr {
	__u32 prefix_bits;
	struct skep_address address;
};

struct source_list {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cidr);
	__type(value, __u8); /* 1 is listed; 0 cuts a hole into a wider prefix */
};

struct port_list {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be16);
	__type(value, __u8); /* 1 is denied; 0 is not */
};

struct source_list allowlist SEC(".maps");
struct source_list blocklist SEC(".maps");
struct port_list denied_tcp SEC(".maps");
struct port_list denied_udp SEC(".maps");

/* The first seven share out every frame; the last two count beside them. */
enum counter {
	COUNTER_PASSED,          /* nothing objected */
	COUNTER_ALLOWED,         /* source in the allowlist */
	COUNTER_NEIGHBOURS,      /* ARP or neighbour discovery let through */
	COUNTER_BLOCKED,         /* source in the blocklist */
	COUNTER_PORT_DENIED,     /* destination port denied */
	COUNTER_DEFAULT_DENIED,  /* nothing allowed it */
	COUNTER_MALFORMED,       /* could not be read, so could not be checked */
	COUNTER_LATER_FRAGMENTS, /* met the address lists but no port list */
	COUNTER_NOT_IP,          /* neither IPv4 nor IPv6 nor let through as ARP */
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

static __always_inline int is_listed(void *list, const struct skep_address *address)
{
	struct cidr key = { .prefix_bits = 128, .address = *address };
	__u8 *listed = bpf_map_lookup_elem(list, &key);

	return listed && *listed;
}

static __always_inline int is_port_denied(const struct skep_packet *packet)
{
	__be16 port = packet->destination_port;
	__u8 *denied;

	if (!packet->has_ports)
		return 0;
	if (packet->protocol == IPPROTO_TCP)
		denied = bpf_map_lookup_elem(&denied_tcp, &port);
	else
		denied = bpf_map_lookup_elem(&denied_udp, &port);
	return denied && *denied;
}

/*
 * Router and neighbour solicitations, advertisements and redirects: ICMPv6 types
 * 133 to 137, code 0. Hop limit 255 says the sender is on this link (RFC 4861);
 * a fragment or an extension header in front is refused as RFC 6980 asks.
 */
static __always_inline int is_neighbour_discovery(const struct skep_packet *packet)
{
	__u16 type_and_code = bpf_ntohs(packet->destination_port);

	return packet->ethertype == ETH_P_IPV6 && packet->protocol == IPPROTO_ICMPV6 &&
	       packet->hop_limit == 255 && !packet->extended && type_and_code >= 133 << 8 &&
	       type_and_code <= 137 << 8 && !(type_and_code & 0xff);
}

static __always_inline enum counter decide(const struct skep_packet *packet)
{
	if (neighbour_discovery && is_neighbour_discovery(packet))
		return COUNTER_NEIGHBOURS;
	if (is_listed(&allowlist, &packet->source))
		return COUNTER_ALLOWED;
	if (is_listed(&blocklist, &packet->source))
		return COUNTER_BLOCKED;
	if (is_port_denied(packet))
		return COUNTER_PORT_DENIED;
	return default_deny ? COUNTER_DEFAULT_DENIED : COUNTER_PASSED;
}

SEC("xdp")
int xdp_firewall(struct xdp_md *context)
{
	struct skep_frame frame = skep_frame_of(context);
	struct skep_packet packet;
	enum counter reason;

	switch (skep_parse(&frame, &packet)) {
	case SKEP_IP:
		if (packet.fragment == SKEP_LATER_FRAGMENT)
			count(COUNTER_LATER_FRAGMENTS);
		reason = decide(&packet);
		break;
	case SKEP_NOT_IP:
		if (neighbour_discovery && packet.ethertype == ETH_P_ARP) {
			reason = COUNTER_NEIGHBOURS;
			break;
		}
		count(COUNTER_NOT_IP);
		reason = default_deny ? COUNTER_DEFAULT_DENIED : COUNTER_PASSED;
		break;
	default:
		reason = COUNTER_MALFORMED;
	}
	count(reason);
	return reason <= COUNTER_NEIGHBOURS ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
