/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the gateway sends to clients of XDP legs, on its way out of the LAN
 * interface: the remote's address and port take the place of the gateway's.
 * skb helpers, because checksums may be partial here, and packets a batch of
 * segments.
 */
#ifndef SLUICE_REPLY_BPF_H
#define SLUICE_REPLY_BPF_H

#include "lan.bpf.h"
#include "listen.bpf.h"

#define IPV4_CHECK 10 /* offsets in headers */
#define IPV4_SOURCE 12
#define IPV4_DESTINATION 16
#define IPV6_SOURCE 8
#define IPV6_DESTINATION 24
#define ICMP_CHECK 2
#define TCP_SOURCE 0
#define TCP_DESTINATION 2
#define TCP_CHECK 16

/* A sent packet's tuple the way its receiver's packets have it. */
static __always_inline void turn_around(const struct half_open_key *sent, struct half_open_key *key)
{
	__builtin_memcpy(key->client, sent->remote, 16);
	__builtin_memcpy(key->remote, sent->client, 16);
	key->client_port = sent->service_port;
	key->service_port = sent->client_port;
}

/* Somebody has changed the packet's mark, or has sent a reset in the socket's
 * name: the socket has its mark still. */
static __always_inline bool is_lan_leg(struct __sk_buff *skb, const struct half_open_key *landing,
				       bool ipv6)
{
	struct bpf_sock *sk = socket_lookup(skb, landing, ipv6), *full;
	bool is_leg;

	if (!sk)
		return false;
	full = bpf_sk_fullsock(sk);
	is_leg = full && full->state != BPF_TCP_LISTEN && (full->mark & MARK_MASK) == MARK_LAN_LEG;
	bpf_sk_release(sk);
	return is_leg;
}

/*
 * The client's tuple of a leg that the packet was sent by. False for everybody
 * else's: a service of the gateway's that has the port of a leg, or the kernel's
 * reset to a stranger who called at a listen port.
 */
static __always_inline bool find_sender(struct __sk_buff *skb, const struct packet *packet,
					struct half_open_key *tuple)
{
	struct half_open_key landing = {};

	if (!is_lan_address(packet->ifindex, packet->tuple.client, packet->ipv6))
		return false;
	turn_around(&packet->tuple, &landing);
	*tuple = landing;
	if (!remote_of_landing(tuple))
		return false;
	return (skb->mark & MARK_MASK) == MARK_LAN_LEG || bpf_map_lookup_elem(&half_open, tuple) ||
	       is_lan_leg(skb, &landing, packet->ipv6);
}

/* Puts another address and port into the place of the source. */
static __always_inline bool rewrite_source(struct __sk_buff *skb, const struct packet *packet,
					   const struct half_open_key *tuple)
{
	__u32 l3 = packet->l3_offset, l4 = packet->l4_offset;
	__be16 old_port = bpf_htons(packet->tuple.client_port);
	__be16 port = bpf_htons(tuple->service_port);
	/* v4-mapped addresses differ in the last word alone: one sum for both families. */
	__s64 diff = bpf_csum_diff((__be32 *)packet->tuple.client, 16, (__be32 *)tuple->remote, 16,
				   0);

	if (diff < 0)
		return false;
	if (bpf_l4_csum_replace(skb, l4 + TCP_CHECK, 0, diff, BPF_F_PSEUDO_HDR) ||
	    bpf_l4_csum_replace(skb, l4 + TCP_CHECK, old_port, port, sizeof(port)))
		return false;
	if (bpf_skb_store_bytes(skb, l4 + TCP_SOURCE, &port, sizeof(port), 0))
		return false;
	if (packet->ipv6)
		return !bpf_skb_store_bytes(skb, l3 + IPV6_SOURCE, tuple->remote, 16, 0);
	return !bpf_l3_csum_replace(skb, l3 + IPV4_CHECK, 0, diff, 0) &&
	       !bpf_skb_store_bytes(skb, l3 + IPV4_SOURCE, tuple->remote + 12, 4, 0);
}

/* The same for an ICMP error of the gateway's own stack (a firewall that
 * rejects): the client must know the packet that is quoted. */
static __always_inline bool rewrite_quoted_destination(struct __sk_buff *skb,
						       const struct packet *packet,
						       const struct half_open_key *tuple)
{
	__u32 check = packet->l4_offset + ICMP_CHECK, l3 = packet->quoted_l3_offset;
	__be16 old_port = bpf_htons(packet->tuple.client_port);
	__be16 port = bpf_htons(tuple->service_port);
	__s64 diff = bpf_csum_diff((__be32 *)packet->tuple.client, 16, (__be32 *)tuple->remote, 16,
				   0);

	if (diff < 0 || bpf_l4_csum_replace(skb, check, old_port, port, sizeof(port)) ||
	    bpf_skb_store_bytes(skb, packet->quoted_l4_offset + TCP_DESTINATION, &port,
				sizeof(port), 0))
		return false;
	if (packet->ipv6)
		return !bpf_l4_csum_replace(skb, check, 0, diff, 0) &&
		       !bpf_skb_store_bytes(skb, l3 + IPV6_DESTINATION, tuple->remote, 16, 0);
	/* The quoted header's own sum makes up for its address. */
	return !bpf_l3_csum_replace(skb, l3 + IPV4_CHECK, 0, diff, 0) &&
	       !bpf_skb_store_bytes(skb, l3 + IPV4_DESTINATION, tuple->remote + 12, 4, 0);
}

#endif
