/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rewriting the destination of a packet in an XDP program: address and port,
 * checksums by difference. The sum that a packet from a virtual interface
 * carries may be partial: it is wrong then before and after, and nobody looks,
 * as what is rewritten goes up this host's own stack.
 */
#ifndef SLUICE_REWRITE_BPF_H
#define SLUICE_REWRITE_BPF_H

#include "parse.bpf.h"

/* Headers begin within so many bytes; a bound that the verifier can see. */
#define OFFSET_MASK 0xff

/* The sum after what it covers has changed by diff, a sum of ones' complements. */
static __always_inline __sum16 sum_changed(__sum16 check, __u32 diff)
{
	__u32 sum = (__u16)~check + (diff & 0xffff) + (diff >> 16);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__sum16)~sum;
}

/* Difference of two addresses; v4-mapped ones differ in the last word alone. */
static __always_inline __u32 address_diff(const __u8 old[16], const __u8 new[16])
{
	return (__u32)bpf_csum_diff((__be32 *)old, 16, (__be32 *)new, 16, 0);
}

/* Difference of two ports, added to diff. */
static __always_inline __u32 add_port_diff(__u32 diff, __be16 old, __be16 new)
{
	__u64 sum = (__u64)diff + (__u16)~old + new;

	return (__u32)((sum & 0xffffffff) + (sum >> 32));
}

/* The IP header's destination. */
static __always_inline bool rewrite_ip_destination(void *data, void *data_end, __u32 l3, bool ipv6,
						   const __u8 address[16], __u32 diff)
{
	struct ipv6hdr *ipv6_header = data + l3;
	struct iphdr *ipv4_header = data + l3;

	if (ipv6) {
		if ((void *)(ipv6_header + 1) > data_end)
			return false;
		__builtin_memcpy(&ipv6_header->daddr, address, 16);
		return true;
	}
	if ((void *)(ipv4_header + 1) > data_end)
		return false;
	ipv4_header->daddr = address_to_ipv4(address);
	ipv4_header->check = sum_changed(ipv4_header->check, diff);
	return true;
}

/* Rewrites a TCP packet from its tuple to its landing. */
static __always_inline bool rewrite_destination(struct xdp_md *ctx, const struct packet *packet)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__u32 l3 = packet->l3_offset & OFFSET_MASK, l4 = packet->l4_offset & OFFSET_MASK;
	struct tcphdr *tcp = data + l4;
	__be16 port = bpf_htons(packet->landing.service_port);
	__u32 diff = address_diff(packet->tuple.remote, packet->landing.remote);

	if ((void *)(tcp + 1) > data_end)
		return false;
	if (!rewrite_ip_destination(data, data_end, l3, packet->ipv6, packet->landing.remote, diff))
		return false;
	tcp->check = sum_changed(tcp->check, add_port_diff(diff, tcp->dest, port));
	tcp->dest = port;
	return true;
}

/* The packet that an ICMP error quotes was sent by the leg: it gets back the
 * source that the leg knows it by. */
static __always_inline bool rewrite_quoted_source(void *data, void *data_end,
						  const struct packet *packet, __u32 diff)
{
	struct iphdr *ipv4_header = data + (packet->quoted_l3_offset & OFFSET_MASK);
	struct ipv6hdr *ipv6_header = (void *)ipv4_header;
	__be16 *ports = data + (packet->quoted_l4_offset & OFFSET_MASK);

	if ((void *)(ports + 2) > data_end)
		return false;
	ports[0] = bpf_htons(packet->landing.service_port);
	if (packet->ipv6) {
		if ((void *)(ipv6_header + 1) > data_end)
			return false;
		__builtin_memcpy(&ipv6_header->saddr, packet->landing.remote, 16);
		return true;
	}
	if ((void *)(ipv4_header + 1) > data_end)
		return false;
	ipv4_header->saddr = address_to_ipv4(packet->landing.remote);
	ipv4_header->check = sum_changed(ipv4_header->check, diff);
	return true;
}

/* Rewrites an ICMP error about a leg: what it quotes, and where it goes to. */
static __always_inline bool rewrite_icmp_error(struct xdp_md *ctx, const struct packet *packet)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct icmp_header *icmp = data + (packet->l4_offset & OFFSET_MASK);
	__u32 diff = address_diff(packet->tuple.remote, packet->landing.remote);
	__u32 sum = add_port_diff(0, bpf_htons(packet->tuple.service_port),
				  bpf_htons(packet->landing.service_port));

	if ((void *)(icmp + 1) > data_end)
		return false;
	if (!rewrite_ip_destination(data, data_end, packet->l3_offset & OFFSET_MASK, packet->ipv6,
				    packet->landing.remote, diff) ||
	    !rewrite_quoted_source(data, data_end, packet, diff))
		return false;
	icmp->checksum = sum_changed(icmp->checksum, sum);
	/* ICMPv6 covers both addresses; a quoted IPv4 header makes up for its own. */
	if (packet->ipv6) {
		icmp->checksum = sum_changed(icmp->checksum, diff);
		icmp->checksum = sum_changed(icmp->checksum, diff);
	}
	return true;
}

#endif
