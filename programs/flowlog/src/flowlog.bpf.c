// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * skep/flowlog: who talked to whom, added up where the packets are.
 *
 * Holds one record per flow (one direction of one connection) and writes an
 * event only when a flow starts or ends, never one per packet, and never more
 * events per second than asked. It refuses to judge: its verdict is always
 * TC_ACT_UNSPEC, so the chain goes on as if it were not there.
 */
#include <linux/pkt_cls.h>

#include "skep/read_tc.h"
#include "skep/parse.h"

/* Settings: written before the program is loaded, constant afterwards. */
const volatile __u32 events_per_second = 1000;

#define NS_PER_SECOND 1000000000ULL
/* Each failure means that another processor wrote an event at the same moment. */
#define ATTEMPTS_MAX 8
#define EVENT_VERSION 1

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04

/* Readers know these three layouts; a change of one is a new EVENT_VERSION. */
struct flow_key {
	struct skep_address source;
	struct skep_address destination;
	__be16 source_port;
	__be16 destination_port; /* ICMP: type in the first byte, code in the second */
	__u16 vlan_id;           /* of the outermost tag, 0 without */
	__u8 protocol;
	__u8 zero;
};

struct flow {
	__u64 packets;
	__u64 bytes;
	__u64 first_ns; /* CLOCK_MONOTONIC, like the three below */
	__u64 last_ns;
	__u64 ended_ns;  /* first FIN or RST, 0 before */
	__u64 tcp_flags; /* every flag seen */
};

enum event_kind {
	EVENT_START = 1,
	EVENT_END = 2,
};

struct flow_event {
	__u8 version;
	__u8 kind;
	__u8 zero[6];
	struct flow_key key;
	struct flow flow; /* as it stood when the event was written */
};

_Static_assert(sizeof(struct flow_key) == 40, "layout known to readers");
_Static_assert(sizeof(struct flow) == 48, "layout known to readers");
_Static_assert(sizeof(struct flow_event) == 96, "layout known to readers");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

/* 256 KiB hold 2,520 events, two and a half seconds at the default cap. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* One number: the second in the upper half, the events written in it in the lower. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} event_window SEC(".maps");

/* The first four share out every packet; the others count beside them. */
enum counter {
	COUNTER_LOGGED,            /* added to a flow */
	COUNTER_NOT_IP,            /* neither IPv4 nor IPv6 */
	COUNTER_MALFORMED,         /* headers that cannot be read */
	COUNTER_UNTRACKED,         /* no room for its flow at that moment */
	COUNTER_FLOWS_STARTED,     /* flow records made */
	COUNTER_FLOWS_ENDED,       /* first FIN or RST of a flow */
	COUNTER_EVENTS,            /* events written */
	COUNTER_EVENTS_SUPPRESSED, /* events above the cap */
	COUNTER_EVENTS_LOST,       /* events for which the ring had no room */
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
	__u64 *events_seen = bpf_map_lookup_elem(&counters, &key);

	if (events_seen)
		*events_seen += 1;
}

/* Takes one of this second's events, or says that the cap is reached. */
static __always_inline int may_write_event(__u64 now)
{
	__u64 second = now / NS_PER_SECOND, window;
	__u32 key = 0;
	__u64 *slot = bpf_map_lookup_elem(&event_window, &key);

	if (!slot || !events_per_second)
		return 0;
	window = *(volatile __u64 *)slot;
#pragma unroll
	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		__u64 next, seen;

		/* A processor that read the clock before another wrote counts in the newer second. */
		if ((window >> 32) < second)
			next = second << 32 | 1;
		else if ((window & 0xffffffff) < events_per_second)
			next = window + 1;
		else
			return 0;
		seen = __sync_val_compare_and_swap(slot, window, next);
		if (seen == window)
			return 1;
		window = seen;
	}
	return 0;
}

static __always_inline void write_event(enum event_kind kind, const struct flow_key *key,
					const struct flow *flow, __u64 now)
{
	struct flow_event *event;

	if (!may_write_event(now)) {
		count(COUNTER_EVENTS_SUPPRESSED);
		return;
	}
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(COUNTER_EVENTS_LOST);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->version = EVENT_VERSION;
	event->kind = kind;
	event->key = *key;
	event->flow = *flow;
	bpf_ringbuf_submit(event, 0);
	count(COUNTER_EVENTS);
}

static __always_inline void fill_key(struct flow_key *key, const struct skep_packet *packet,
				     const struct __sk_buff *context)
{
	key->source = packet->source;
	key->destination = packet->destination;
	key->source_port = packet->source_port;
	key->destination_port = packet->destination_port;
	/* The kernel takes the outermost tag out of the frame before tc sees it. */
	key->vlan_id = context->vlan_present ? context->vlan_tci & 0xfff : packet->vlan_id;
	key->protocol = packet->protocol;
	key->zero = 0;
}

/* The flow's record, a new one when there is none or the old one ended and SYN reuses its ports. */
static __always_inline struct flow *find_or_start(const struct flow_key *key, __u8 tcp_flags, __u64 now)
{
	struct flow fresh = { .first_ns = now, .last_ns = now };
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (flow && !(flow->ended_ns && (tcp_flags & TCP_SYN)))
		return flow;
	if (flow)
		bpf_map_delete_elem(&flows, key);
	if (!bpf_map_update_elem(&flows, key, &fresh, BPF_NOEXIST)) {
		count(COUNTER_FLOWS_STARTED);
		fresh.tcp_flags = tcp_flags;
		write_event(EVENT_START, key, &fresh, now);
	}
	return bpf_map_lookup_elem(&flows, key);
}

static __always_inline void log_packet(struct __sk_buff *context, const struct skep_packet *packet)
{
	__u64 now = bpf_ktime_get_ns();
	struct flow_key key;
	struct flow *flow;

	fill_key(&key, packet, context);
	flow = find_or_start(&key, packet->tcp_flags, now);
	if (!flow) {
		count(COUNTER_UNTRACKED);
		return;
	}
	/* A buffer of joined segments stands for that many packets of the wire. */
	__sync_fetch_and_add(&flow->packets, context->gso_segs ? context->gso_segs : 1);
	__sync_fetch_and_add(&flow->bytes, context->len);
	flow->last_ns = now;
	if (packet->tcp_flags & ~flow->tcp_flags)
		__sync_fetch_and_or(&flow->tcp_flags, (__u64)packet->tcp_flags);
	count(COUNTER_LOGGED);

	if (!(packet->tcp_flags & (TCP_FIN | TCP_RST)))
		return;
	/* Of all FINs and RSTs, repeated ones too, one ends the flow. */
	if (__sync_val_compare_and_swap(&flow->ended_ns, 0, now) == 0) {
		count(COUNTER_FLOWS_ENDED);
		write_event(EVENT_END, &key, flow, now);
	}
}

SEC("tc")
int tc_flowlog(struct __sk_buff *context)
{
	struct skep_frame frame = skep_frame_of(context);
	struct skep_packet packet;

	switch (skep_parse(&frame, &packet)) {
	case SKEP_IP:
		log_packet(context, &packet);
		break;
	case SKEP_NOT_IP:
		count(COUNTER_NOT_IP);
		break;
	default:
		count(COUNTER_MALFORMED);
	}
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
