/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From bytes to a struct packet: link header, VLAN tags, IPv4 with options,
 * IPv6 with extension headers, TCP, and the packet quoted by an ICMP error.
 * Works on data/data_end, so that any kind of packet program can use it.
 */
#ifndef SLUICE_PARSE_BPF_H
#define SLUICE_PARSE_BPF_H

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tables.h"

/* Tags left in the frame after the kernel took the outer one off; XDP comes
 * before that. */
#define VLAN_TAGS_MAX 2
#define NO_ETHERNET -1
/* Extension headers walked, and their bytes in all. */
#define IPV6_EXTENSIONS_MAX 4
#define IPV6_EXTENSION_BYTES_MAX 64

#define IP_FRAGMENT_BITS 0x3fff /* more-fragments flag and offset */

enum parse_result {
	PARSE_TCP, /* tuple, sequence and flags are set */
	PARSE_ICMP_ERROR, /* tuple is the one that the socket concerned would receive by */
	PARSE_NOT_IP,
	PARSE_NOT_TCP,
	PARSE_FRAGMENT,
	PARSE_UNPARSED,
};

struct packet {
	struct half_open_key tuple; /* source, destination; ports in host byte order */
	struct half_open_key landing; /* the same as the leg's socket has it: see lan.bpf.h */
	__u32 seq; /* host byte order */
	__u32 l3_offset; /* bytes from the start of the frame */
	__u32 l4_offset;
	__u32 headers_end; /* end of the TCP header */
	__u32 quoted_l3_offset; /* of the packet that an ICMP error quotes */
	__u32 quoted_l4_offset;
	__u32 ifindex; /* the interface it came by */
	__u16 vlan_tci; /* tag that the kernel took off the frame, host byte order */
	__u16 vlan_proto; /* its TPID, network byte order; 0: there was none */
	bool ipv6;
	bool syn; /* a first SYN: SYN without ACK or RST */
	bool shared_landing; /* by a next-hop entry, which stands for many remotes (XDP) */
	bool no_leg; /* whatever is at such a landing is not for this remote */
};

/* The same for ICMP (RFC 792) and ICMPv6 (RFC 4443). <linux/icmp.h> would pull
 * the C library in. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

#define ICMP_DEST_UNREACH 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMPV6_PARAMPROB 4 /* the last of the error types, which are 1 to 4 */

struct vlan_tag {
	__be16 tci;
	__be16 inner_proto;
};

static __always_inline void address_from_ipv4(__u8 address[16], __be32 ipv4)
{
	__u32 *word = (__u32 *)address;

	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = ipv4;
}

static __always_inline __be32 address_to_ipv4(const __u8 address[16])
{
	return ((const __u32 *)address)[3];
}

static __always_inline bool same_address(const __u8 one[16], const __u8 other[16])
{
	const __u32 *a = (const __u32 *)one, *b = (const __u32 *)other;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

static __always_inline enum parse_result parse_tcp(void *l4, void *data_end, struct packet *packet)
{
	struct tcphdr *tcp = l4;

	if ((void *)(tcp + 1) > data_end || tcp->doff < 5)
		return PARSE_UNPARSED;
	packet->tuple.client_port = bpf_ntohs(tcp->source);
	packet->tuple.service_port = bpf_ntohs(tcp->dest);
	packet->seq = bpf_ntohl(tcp->seq);
	packet->syn = tcp->syn && !tcp->ack && !tcp->rst && !tcp->fin;
	packet->headers_end = packet->l4_offset + tcp->doff * 4;
	return PARSE_TCP;
}

/* The quoted packet was sent by the socket concerned, so its source is where
 * that socket receives: addresses and ports swap places. */
static __always_inline enum parse_result parse_quoted_ports(void *quoted_l4, void *data_end,
							    struct packet *packet)
{
	__be16 *ports = quoted_l4;

	if ((void *)(ports + 2) > data_end)
		return PARSE_UNPARSED;
	packet->tuple.service_port = bpf_ntohs(ports[0]);
	packet->tuple.client_port = bpf_ntohs(ports[1]);
	return PARSE_ICMP_ERROR;
}

static __always_inline enum parse_result parse_icmp4(void *l4, void *data_end,
						     struct packet *packet)
{
	struct icmp_header *icmp = l4;
	struct iphdr *quoted = (void *)(icmp + 1);

	if ((void *)(icmp + 1) > data_end)
		return PARSE_NOT_TCP;
	if (icmp->type != ICMP_DEST_UNREACH && icmp->type != ICMP_TIME_EXCEEDED &&
	    icmp->type != ICMP_PARAMETERPROB)
		return PARSE_NOT_TCP;
	if ((void *)(quoted + 1) > data_end || quoted->version != 4 || quoted->ihl < 5)
		return PARSE_UNPARSED;
	if (quoted->protocol != IPPROTO_TCP || quoted->frag_off & bpf_htons(0x1fff))
		return PARSE_NOT_TCP;
	packet->quoted_l3_offset = packet->l4_offset + sizeof(*icmp);
	packet->quoted_l4_offset = packet->quoted_l3_offset + quoted->ihl * 4;
	address_from_ipv4(packet->tuple.client, quoted->daddr);
	address_from_ipv4(packet->tuple.remote, quoted->saddr);
	return parse_quoted_ports((void *)quoted + quoted->ihl * 4, data_end, packet);
}

static __always_inline enum parse_result parse_icmp6(void *l4, void *data_end,
						     struct packet *packet)
{
	struct icmp_header *icmp = l4;
	struct ipv6hdr *quoted = (void *)(icmp + 1);

	if ((void *)(icmp + 1) > data_end || icmp->type == 0 || icmp->type > ICMPV6_PARAMPROB)
		return PARSE_NOT_TCP;
	if ((void *)(quoted + 1) > data_end || quoted->version != 6)
		return PARSE_UNPARSED;
	if (quoted->nexthdr != IPPROTO_TCP)
		return PARSE_NOT_TCP;
	packet->quoted_l3_offset = packet->l4_offset + sizeof(*icmp);
	packet->quoted_l4_offset = packet->quoted_l3_offset + sizeof(*quoted);
	__builtin_memcpy(packet->tuple.client, &quoted->daddr, 16);
	__builtin_memcpy(packet->tuple.remote, &quoted->saddr, 16);
	return parse_quoted_ports(quoted + 1, data_end, packet);
}

static __always_inline enum parse_result parse_ipv4(void *data, void *data_end,
						    struct packet *packet)
{
	struct iphdr *ip = data + packet->l3_offset;

	if ((void *)(ip + 1) > data_end || ip->version != 4 || ip->ihl < 5)
		return PARSE_UNPARSED;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_ICMP)
		return PARSE_NOT_TCP;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT_BITS))
		return PARSE_FRAGMENT;
	packet->ipv6 = false;
	packet->l4_offset = packet->l3_offset + ip->ihl * 4;
	if (ip->protocol == IPPROTO_ICMP)
		return parse_icmp4(data + packet->l4_offset, data_end, packet);
	address_from_ipv4(packet->tuple.client, ip->saddr);
	address_from_ipv4(packet->tuple.remote, ip->daddr);
	return parse_tcp(data + packet->l4_offset, data_end, packet);
}

/* Walks hop-by-hop, routing and destination options (RFC 8200, 4.1). *next is
 * the header found behind them. */
static __always_inline enum parse_result skip_extensions(void *l3, void *data_end, __u8 *next,
							 __u32 *offset)
{
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		struct ipv6_rt_hdr *extension = l3 + *offset; /* starts like all of them */

		if (*next == IPPROTO_FRAGMENT)
			return PARSE_FRAGMENT;
		if (*next != IPPROTO_HOPOPTS && *next != IPPROTO_ROUTING &&
		    *next != IPPROTO_DSTOPTS)
			return PARSE_TCP;
		if ((void *)(extension + 1) > data_end)
			return PARSE_UNPARSED;
		/* With segments left, the TCP checksum covers another destination. */
		if (*next == IPPROTO_ROUTING && extension->segments_left)
			return PARSE_UNPARSED;
		*next = extension->nexthdr;
		*offset += (extension->hdrlen + 1) * 8;
		if (*offset > sizeof(struct ipv6hdr) + IPV6_EXTENSION_BYTES_MAX)
			return PARSE_UNPARSED;
	}
	return *next == IPPROTO_TCP || *next == IPPROTO_ICMPV6 ? PARSE_TCP : PARSE_UNPARSED;
}

static __always_inline enum parse_result parse_ipv6(void *data, void *data_end,
						    struct packet *packet)
{
	void *l3 = data + packet->l3_offset;
	struct ipv6hdr *ip = l3;
	__u32 offset = sizeof(*ip);
	enum parse_result result;
	__u8 next;

	if ((void *)(ip + 1) > data_end || ip->version != 6)
		return PARSE_UNPARSED;
	next = ip->nexthdr;
	result = skip_extensions(l3, data_end, &next, &offset);
	if (result != PARSE_TCP)
		return result;
	packet->ipv6 = true;
	packet->l4_offset = packet->l3_offset + offset;
	if (next == IPPROTO_ICMPV6)
		return parse_icmp6(l3 + offset, data_end, packet);
	if (next != IPPROTO_TCP)
		return PARSE_NOT_TCP;
	__builtin_memcpy(packet->tuple.client, &ip->saddr, 16);
	__builtin_memcpy(packet->tuple.remote, &ip->daddr, 16);
	return parse_tcp(l3 + offset, data_end, packet);
}

/* Steps over the Ethernet header and the tags inside the frame. */
static __always_inline enum parse_result parse_ethernet(void *data, void *data_end, int tags_max,
							__be16 *proto, struct packet *packet)
{
	struct ethhdr *ethernet = data;

	if ((void *)(ethernet + 1) > data_end)
		return PARSE_NOT_IP;
	*proto = ethernet->h_proto;
	packet->l3_offset = sizeof(*ethernet);
	for (int i = 0; i < tags_max; i++) {
		struct vlan_tag *tag = data + packet->l3_offset;

		if (*proto != bpf_htons(ETH_P_8021Q) && *proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > data_end)
			return PARSE_UNPARSED;
		*proto = tag->inner_proto;
		packet->l3_offset += sizeof(*tag);
	}
	return PARSE_TCP;
}

/*
 * Parses one packet. tags_max, the VLAN tags that are stepped over, is a constant
 * of the program; interfaces without a link header (TUN, WireGuard) have
 * NO_ETHERNET there, and give skb_proto, network byte order, instead.
 */
static __always_inline enum parse_result parse_packet(void *data, void *data_end, int tags_max,
						      __be16 skb_proto, struct packet *packet)
{
	__be16 proto = skb_proto;

	packet->l3_offset = 0;
	if (tags_max != NO_ETHERNET) {
		enum parse_result result = parse_ethernet(data, data_end, tags_max, &proto, packet);

		if (result != PARSE_TCP)
			return result;
	}
	if (proto == bpf_htons(ETH_P_IP))
		return parse_ipv4(data, data_end, packet);
	if (proto == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(data, data_end, packet);
	return PARSE_NOT_IP;
}

#endif
