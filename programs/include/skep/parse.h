/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a frame to what a filter decides on: addresses, protocol, ports.
 *
 * Holds the walk over Ethernet, up to two VLAN tags, IPv4 or IPv6 with its
 * extension headers, and the fixed part of TCP, UDP and ICMP. Every loop is
 * unrolled and every step bounded. It refuses to know verdicts, maps and where
 * the bytes lie (skep/read_xdp.h or skep/read_tc.h, included before this file).
 *
 * Both families come out as 16-byte addresses: IPv6 as it is, IPv4 a.b.c.d as
 * ::ffff:a.b.c.d. An IPv6 packet that claims such a source on the wire is
 * malformed (RFC 4038 section 4.2; Linux drops it too), so no IPv6 sender can
 * pass for an IPv4 one.
 */
#ifndef SKEP_PARSE_H
#define SKEP_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

/* One tag for a customer, one for the provider: 802.1ad says no more. */
#define SKEP_VLAN_TAGS_MAX 2
/* RFC 8200 section 4.1 lists seven extension headers in its order; one spare. */
#define SKEP_EXTENSIONS_MAX 8
/*
 * Tells the verifier how far an offset can reach. The longest walk is 14 + 2 * 4
 * + 40 bytes and eight extensions of at most 2,048 bytes: 16,446, below 2^15.
 */
#define SKEP_OFFSET_MASK 0x7fff

enum skep_reading {
	SKEP_IP,        /* addresses and protocol are known; ports when has_ports */
	SKEP_NOT_IP,    /* another ethertype, named in ethertype */
	SKEP_MALFORMED, /* a header is cut short or contradicts itself */
	SKEP_TOO_DEEP,  /* more VLAN tags or extension headers than are walked */
};

enum skep_fragment {
	SKEP_WHOLE,
	SKEP_FIRST_FRAGMENT, /* carries the whole transport header, else malformed */
	SKEP_LATER_FRAGMENT, /* carries no transport header: no ports, no flags */
};

struct skep_address {
	__u32 word[4]; /* network byte order */
};

struct skep_packet {
	struct skep_address source;
	struct skep_address destination;
	__be16 source_port;
	__be16 destination_port; /* ICMP and ICMPv6: type in the first byte, code in the second */
	__u16 ethertype;         /* host byte order, after the VLAN tags */
	__u16 vlan_id;           /* of the outermost tag in the frame, 0 without */
	__u8 protocol;           /* of the transport header, IPPROTO_* */
	__u8 fragment;           /* enum skep_fragment */
	__u8 has_ports;          /* 1 for TCP and UDP, unless a later fragment */
	__u8 tcp_flags;          /* byte 13 of the TCP header */
	__u8 hop_limit;
	__u8 extended; /* 1 when IPv6 extension headers stand before the transport header */
};

struct skep_vlan_tag {
	__be16 control;
	__be16 ethertype;
};

/* What all IPv6 extension headers share; a fragment header has no length. */
struct skep_extension {
	__u8 next;
	__u8 length;
};

/* The two bytes of ICMP and ICMPv6 that name a message. */
struct skep_icmp {
	__be16 type_and_code;
};

static __always_inline int skep_is_vlan(__u16 ethertype)
{
	return ethertype == ETH_P_8021Q || ethertype == ETH_P_8021AD;
}

static __always_inline int skep_same_address(const struct skep_address *a, const struct skep_address *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] &&
	       a->word[3] == b->word[3];
}

static __always_inline int skep_is_v4(const struct skep_address *address)
{
	return !address->word[0] && !address->word[1] && address->word[2] == bpf_htonl(0xffff);
}

static __always_inline void skep_map_v4(struct skep_address *to, __be32 address)
{
	to->word[0] = 0;
	to->word[1] = 0;
	to->word[2] = bpf_htonl(0xffff);
	to->word[3] = address;
}

/*
 * Reads the fixed part of the transport header that starts at offset. room is
 * what the IP header says lies there, in bytes: a header that only fits when it
 * borrows the padding behind the IP packet is cut short.
 */
static __always_inline enum skep_reading skep_read_transport(const struct skep_frame *frame, __u32 offset, __u32 room,
							     struct skep_packet *packet)
{
	if (packet->protocol == IPPROTO_TCP) {
		struct {
			__be16 source, destination;
			__be32 sequence, acknowledged;
			__u8 data_offset, flags;
			__be16 window, check, urgent;
		} tcp;

		_Static_assert(sizeof(tcp) == sizeof(struct tcphdr), "the fixed TCP header has 20 bytes");
		if (room < sizeof(tcp) || !skep_read(frame, offset, &tcp))
			return SKEP_MALFORMED;
		if ((tcp.data_offset >> 4) * 4 < sizeof(tcp))
			return SKEP_MALFORMED;
		packet->source_port = tcp.source;
		packet->destination_port = tcp.destination;
		packet->tcp_flags = tcp.flags;
		packet->has_ports = 1;
	} else if (packet->protocol == IPPROTO_UDP) {
		struct udphdr udp;

		if (room < sizeof(udp) || !skep_read(frame, offset, &udp))
			return SKEP_MALFORMED;
		packet->source_port = udp.source;
		packet->destination_port = udp.dest;
		packet->has_ports = 1;
	} else if (packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6) {
		struct skep_icmp icmp;

		if (room < sizeof(icmp) || !skep_read(frame, offset, &icmp))
			return SKEP_MALFORMED;
		packet->destination_port = icmp.type_and_code;
	}
	return SKEP_IP;
}

static __always_inline enum skep_reading skep_read_ipv4(const struct skep_frame *frame, __u32 offset,
							struct skep_packet *packet)
{
	struct iphdr ip;
	__u32 header, total, fragment;

	if (!skep_read(frame, offset, &ip))
		return SKEP_MALFORMED;
	header = ip.ihl * 4;
	total = bpf_ntohs(ip.tot_len);
	/* A buffer of joined segments above 64 KiB says 0: the frame's end rules then. */
	if (!total)
		total = 0xffff;
	if (ip.version != 4 || header < sizeof(ip) || total < header)
		return SKEP_MALFORMED;

	skep_map_v4(&packet->source, ip.saddr);
	skep_map_v4(&packet->destination, ip.daddr);
	packet->protocol = ip.protocol;
	packet->hop_limit = ip.ttl;
	/* 0x1fff is the offset in units of 8 bytes, 0x2000 says that more follow. */
	fragment = bpf_ntohs(ip.frag_off);
	if (fragment & 0x1fff) {
		packet->fragment = SKEP_LATER_FRAGMENT;
		return SKEP_IP;
	}
	if (fragment & 0x2000)
		packet->fragment = SKEP_FIRST_FRAGMENT;
	return skep_read_transport(frame, offset + header, total - header, packet);
}

/* Headers that stand between the IPv6 header and the transport header. */
static __always_inline int skep_is_extension(__u8 next)
{
	switch (next) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
	case 139: /* HIP, RFC 7401 */
	case 140: /* shim6, RFC 5533 */
		return 1;
	default:
		return 0;
	}
}

static __always_inline enum skep_reading skep_read_ipv6(const struct skep_frame *frame, __u32 offset,
							struct skep_packet *packet)
{
	struct ipv6hdr ip;
	__u32 room;
	__u8 next;

	if (!skep_read(frame, offset, &ip))
		return SKEP_MALFORMED;
	if (ip.version != 6)
		return SKEP_MALFORMED;
	__builtin_memcpy(&packet->source, &ip.saddr, sizeof(packet->source));
	__builtin_memcpy(&packet->destination, &ip.daddr, sizeof(packet->destination));
	if (skep_is_v4(&packet->source))
		return SKEP_MALFORMED;
	packet->hop_limit = ip.hop_limit;
	packet->extended = skep_is_extension(ip.nexthdr);
	offset += sizeof(ip);
	room = bpf_ntohs(ip.payload_len);
	/* A jumbogram says 0 (RFC 2675): the frame's end rules then. */
	if (!room)
		room = 0xffff;
	next = ip.nexthdr;

#pragma unroll
	for (int i = 0; i < SKEP_EXTENSIONS_MAX; i++) {
		struct skep_extension extension;
		__u32 length;

		if (!skep_is_extension(next))
			break;
		if (room < sizeof(extension) || !skep_read(frame, offset, &extension))
			return SKEP_MALFORMED;
		/* Units of 4 bytes less 2 for AH (RFC 4302), of 8 less 1 for the others. */
		if (next == IPPROTO_FRAGMENT)
			length = 8;
		else if (next == IPPROTO_AH)
			length = (extension.length + 2) * 4;
		else
			length = (extension.length + 1) * 8;
		if (room < length)
			return SKEP_MALFORMED;
		if (next == IPPROTO_FRAGMENT) {
			__be16 field;
			__u32 bits;

			if (!skep_read(frame, offset + sizeof(extension), &field))
				return SKEP_MALFORMED;
			/* 0xfff8 is the offset in bytes, 1 says that more follow. */
			bits = bpf_ntohs(field);
			if (bits & 0xfff8) {
				packet->fragment = SKEP_LATER_FRAGMENT;
				packet->protocol = extension.next;
				return SKEP_IP;
			}
			if (bits & 1)
				packet->fragment = SKEP_FIRST_FRAGMENT;
		}
		next = extension.next;
		room -= length;
		offset += length;
	}
	if (skep_is_extension(next))
		return SKEP_TOO_DEEP;
	packet->protocol = next;
	return skep_read_transport(frame, offset, room, packet);
}

/* Fills packet from the start of the frame. What a reading leaves out stays 0. */
static __always_inline enum skep_reading skep_parse(const struct skep_frame *frame, struct skep_packet *packet)
{
	struct ethhdr ethernet;
	__u32 offset = sizeof(ethernet);
	__u16 ethertype;

	__builtin_memset(packet, 0, sizeof(*packet));
	if (!skep_read(frame, 0, &ethernet))
		return SKEP_MALFORMED;
	ethertype = bpf_ntohs(ethernet.h_proto);

#pragma unroll
	for (int i = 0; i < SKEP_VLAN_TAGS_MAX; i++) {
		struct skep_vlan_tag tag;

		if (!skep_is_vlan(ethertype))
			break;
		if (!skep_read(frame, offset, &tag))
			return SKEP_MALFORMED;
		if (i == 0)
			packet->vlan_id = bpf_ntohs(tag.control) & 0xfff;
		ethertype = bpf_ntohs(tag.ethertype);
		offset += sizeof(tag);
	}
	packet->ethertype = ethertype;
	if (skep_is_vlan(ethertype))
		return SKEP_TOO_DEEP;
	if (ethertype == ETH_P_IP)
		return skep_read_ipv4(frame, offset, packet);
	if (ethertype == ETH_P_IPV6)
		return skep_read_ipv6(frame, offset, packet);
	return SKEP_NOT_IP;
}

#endif
