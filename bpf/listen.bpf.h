/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Listen ports: between the tuple that a client knows (the remote's address and
 * service port) and the landing of a leg by XDP (an address of the gateway's and
 * a listen port), both ways. Also what tc does for such legs.
 */
#ifndef SLUICE_LISTEN_BPF_H
#define SLUICE_LISTEN_BPF_H

#include "maps.bpf.h"
#include "parse.bpf.h"

/* Entries of listen_table: with none, nothing that is sent is looked at. */
volatile __u32 listen_ports SEC(".data.gateway") = 0;

/* The gateway's address on the interface. False: it has none of the family. */
static __always_inline bool lan_address(__u32 ifindex, bool ipv6, __u8 address[16])
{
	const struct lan_interface *interface = bpf_map_lookup_elem(&lan_interfaces, &ifindex);
	__u32 *word = (__u32 *)address;

	if (!interface)
		return false;
	if (ipv6) {
		__builtin_memcpy(address, interface->ipv6, 16);
		return word[0];
	}
	address_from_ipv4(address, interface->ipv4);
	return interface->ipv4;
}

/* True when address is what legs have that come by the interface. */
static __always_inline bool is_lan_address(__u32 ifindex, const __u8 address[16], bool ipv6)
{
	__u8 own[16] __attribute__((aligned(4)));

	return lan_address(ifindex, ipv6, own) && same_address(own, address);
}

/* True when the packet is for a listen port, by itself or rewritten before. */
static __always_inline bool is_to_listen_port(const struct packet *packet)
{
	__u32 port = packet->tuple.service_port;

	return listen_ports && bpf_map_lookup_elem(&listen_table, &port) &&
	       is_lan_address(packet->ifindex, packet->tuple.remote, packet->ipv6);
}

/* Turns a landing into the tuple that the client knows. False: it is none. */
static __always_inline bool remote_of_landing(struct half_open_key *tuple)
{
	__u32 port = tuple->service_port;
	const struct listen_value *listen = bpf_map_lookup_elem(&listen_table, &port);
	const struct nexthop_flow *flow;

	if (!listen)
		return false;
	if (!(listen->flags & PROXY_NEXTHOP)) {
		__builtin_memcpy(tuple->remote, listen->address, 16);
		tuple->service_port = listen->service_port;
		return true;
	}
	flow = bpf_map_lookup_elem(&nexthop_flows, tuple);
	if (!flow)
		return false;
	__builtin_memcpy(tuple->remote, flow->address, 16);
	tuple->service_port = flow->port;
	return true;
}

#endif
