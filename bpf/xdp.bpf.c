// SPDX-License-Identifier: GPL-2.0
/*
 * The XDP way in of a LAN interface: the document's own [831, 853], for hosts
 * that cannot have policy routing, and for network cards that run it before a
 * packet costs anything. A packet for a leg gets the gateway's address and the
 * listen port of its entry as destination, and goes up the stack like any other
 * of this host; intercept.bpf.c gives the answers the remote's address back.
 * user/gateway/xdp_program.c loads and attaches it; maps and settings are those
 * of intercept.bpf.c.
 */
#include "lan.bpf.h"
#include "listen.bpf.h"
#include "rewrite.bpf.h"
#include "tcp_sock.bpf.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline enum way_in this_way(void)
{
	return WAY_XDP;
}

static __always_inline __u32 flow_hash(void *ctx, const struct packet *packet)
{
	return address_hash(packet->tuple.client, client_hash_key +
							  ((__u32)packet->tuple.client_port << 16) +
							  packet->tuple.service_port);
}

static __always_inline long load_frame(void *ctx, void *to, __u32 length)
{
	return bpf_xdp_load_bytes(ctx, 0, to, length);
}

/* A leg has another address than what the SYN is for: they do not meet. */
static __always_inline void note_passed(void *ctx, const struct packet *packet)
{
}

/* Both ways must lead to each other: the client's port may lead to another
 * remote behind the same router by now. */
static __always_inline bool find_rerouted_landing(struct packet *packet)
{
	const struct nexthop_flow *flow = bpf_map_lookup_elem(&nexthop_flows, &packet->tuple);
	struct half_open_key landing = packet->tuple, back;

	if (!flow)
		return false;
	__builtin_memcpy(landing.remote, flow->address, 16);
	landing.service_port = flow->port;
	back = landing;
	if (!remote_of_landing(&back) || back.service_port != packet->tuple.service_port ||
	    !same_address(back.remote, packet->tuple.remote))
		return false;
	packet->landing = landing;
	packet->shared_landing = true;
	return true;
}

static __always_inline bool find_landing(void *ctx, struct packet *packet,
					 const struct proxy_value *proxy,
					 const struct port_value *port)
{
	if (proxy->flags & PROXY_NEXTHOP) {
		if (find_rerouted_landing(packet))
			return true;
		packet->shared_landing = packet->no_leg = true;
	}
	if (!port->listen_port ||
	    !lan_address(packet->ifindex, packet->ipv6, packet->landing.remote)) {
		count_pass(no_listen_port);
		return false;
	}
	packet->landing.service_port = port->listen_port;
	return true;
}

/* A service of the gateway's own may have a listen port, and be talking to the
 * client's port. What is no full socket has no mark that can be read. */
static __always_inline bool is_leg_socket(struct bpf_sock *sk)
{
	struct tcp_sock *full = bpf_skc_to_tcp_sock(sk);

	return !full || (full->inet_conn.icsk_inet.sk.sk_mark & MARK_MASK) == MARK_LAN_LEG;
}

/* Remotes behind one router share a listen port, so a client's port can lead to
 * one of them at a time: as long as it does, others are forwarded. So is a SYN
 * that would land in a connection of somebody else's. */
static __always_inline bool is_landing_free(void *ctx, const struct packet *packet)
{
	struct half_open_key other = packet->landing;
	struct bpf_sock *sk;
	bool free;

	if (packet->shared_landing && remote_of_landing(&other) &&
	    !same_address(other.remote, packet->tuple.remote) &&
	    bpf_map_lookup_elem(&half_open, &other))
		return false;
	sk = socket_lookup(ctx, &packet->landing, packet->ipv6);
	if (!sk)
		return true;
	free = sk->state == BPF_TCP_TIME_WAIT || sk->state == BPF_TCP_LISTEN;
	bpf_sk_release(sk);
	return free;
}

static __always_inline bool keep_landing(const struct packet *packet, __u32 relay)
{
	struct nexthop_flow there = { .port = packet->landing.service_port,
				      .relay = (__u16)relay,
				      .isn = packet->seq };
	struct nexthop_flow back = there;

	if (!packet->shared_landing)
		return true;
	back.port = packet->tuple.service_port;
	__builtin_memcpy(there.address, packet->landing.remote, 16);
	__builtin_memcpy(back.address, packet->tuple.remote, 16);
	if (!bpf_map_update_elem(&nexthop_flows, &packet->tuple, &there, BPF_ANY)) {
		if (!bpf_map_update_elem(&nexthop_flows, &packet->landing, &back, BPF_ANY))
			return true;
		bpf_map_delete_elem(&nexthop_flows, &packet->tuple);
	}
	count(nexthop_full);
	return false;
}

static __always_inline bool to_leg(void *ctx, const struct packet *packet, struct bpf_sock *sk)
{
	bpf_sk_release(sk);
	return rewrite_destination(ctx, packet);
}

static __always_inline bool to_listener(void *ctx, const struct packet *packet, __u32 relay)
{
	if (has_listener(packet, relay))
		return rewrite_destination(ctx, packet);
	count(no_listener);
	return false;
}

/* An interface that listens to everything shows us frames for others. */
static __always_inline bool is_for_other_host(const struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	const struct ethhdr *ethernet = (void *)(long)ctx->data;
	const struct lan_interface *interface;
	__u32 ifindex = ctx->ingress_ifindex;

	interface = bpf_map_lookup_elem(&lan_interfaces, &ifindex);
	if (!interface || (void *)(ethernet + 1) > data_end)
		return true;
	for (int i = 0; i < ETH_ALEN; i++)
		if (ethernet->h_dest[i] != interface->mac[i])
			return true;
	return false;
}

/* The landing of the leg that an ICMP error is about. */
static __always_inline bool find_icmp_landing(void *ctx, struct packet *packet)
{
	struct proxy_key key;
	struct proxy_value *proxy;
	struct port_value *port;

	if (find_rerouted_landing(packet))
		return true;
	__builtin_memcpy(key.address, packet->tuple.remote, 16);
	proxy = bpf_map_lookup_elem(&proxy_table, &key);
	port = proxy ? port_lookup(packet, proxy) : NULL;
	return port && find_landing(ctx, packet, proxy, port);
}

/* For path MTU discovery, as it is of use to the leg alone. */
static __always_inline enum verdict icmp_error(struct xdp_md *ctx, struct packet *packet)
{
	struct bpf_sock *sk = find_icmp_landing(ctx, packet) ? leg_lookup(ctx, packet) : NULL;

	if (!sk) {
		count_pass(not_tcp);
		return PASS;
	}
	bpf_sk_release(sk);
	if (!rewrite_icmp_error(ctx, packet))
		return PASS;
	count(icmp_to_leg);
	return TAKE;
}

/* A SYN that has been held and could not be kept. */
static __always_inline bool is_forwarded_syn(const struct packet *packet)
{
	const __u32 *isn;

	if (!packet->syn)
		return false;
	isn = bpf_map_lookup_elem(&forwarded_syns, &packet->tuple);
	return isn && *isn == packet->seq;
}

static __always_inline enum verdict lan_packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct packet packet = { .ifindex = ctx->ingress_ifindex };
	enum parse_result result;

	if (is_for_other_host(ctx)) {
		count_pass(other_host);
		return PASS;
	}
	result = parse_packet(data, data_end, VLAN_TAGS_MAX + 1, 0, &packet);
	packet.landing = packet.tuple;
	/* Also when the client sends it again: what it got then was no answer of ours. */
	if (result == PARSE_TCP && is_forwarded_syn(&packet))
		return PASS;
	if (result == PARSE_TCP)
		return lan_tcp(ctx, &packet, false);
	if (result == PARSE_ICMP_ERROR)
		return icmp_error(ctx, &packet);
	return pass_unparsed(result);
}

SEC("xdp.frags")
int sluice_lan(struct xdp_md *ctx)
{
	return lan_packet(ctx) == HOLD ? XDP_DROP : XDP_PASS;
}
