/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The verdict for a packet of a LAN interface, in the order of docs/design.md:
 * lookups, steps and counters. Shared by the two ways in, intercept.bpf.c (tc)
 * and xdp.bpf.c, which differ in how a packet gets to a leg: by tc as it is, to a
 * socket with the remote's address; by XDP rewritten, to a socket with the
 * gateway's address and a listen port. "Landing" is the tuple of that socket.
 */
#ifndef SLUICE_LAN_BPF_H
#define SLUICE_LAN_BPF_H

#include "half_open.bpf.h"
#include "maps.bpf.h"
#include "parse.bpf.h"

#define AF_INET 2
#define AF_INET6 10

/* Both programs have these as one: see intercept.c. */

/* How many entries of proxy_table are next-hop entries: with none, the route
 * of packets for unregistered destinations is never looked up. */
volatile __u32 nexthop_entries SEC(".data.gateway") = 0;

/* 0 while the gateway drains: SYNs pass, running flows are still found. */
volatile __u32 accepting SEC(".data.gateway") = 1;

/* enum way_in: which of the two takes new connections. */
volatile __u32 taking_way SEC(".data.gateway") = WAY_TC;

/* 1: while connections of the other way may be there, whose packets the program
 * of that way still has to find. */
volatile __u32 other_way_runs SEC(".data.gateway") = 0;

/* How many SYNs passed that an old leg in TIME_WAIT has the address of (tc): the
 * stack does not forward what it finds a socket for. main removes such legs, and
 * the client's next SYN gets through. */
volatile __u32 old_legs_met SEC(".data.gateway") = 0;

/* --- What each way in provides ------------------------------------------------ */

enum verdict {
	PASS, /* as if we were not here */
	TAKE, /* up the stack, to a leg or listener */
	HOLD, /* dropped: the relay has it */
};

/* Of this program. */
static enum way_in this_way(void);

/* A number that the SYNs of a connection share, most of the time. */
static __u32 flow_hash(void *ctx, const struct packet *packet);

/* Fills packet->landing. False when there is none; counts why. */
static bool find_landing(void *ctx, struct packet *packet, const struct proxy_value *proxy,
			 const struct port_value *port);

/* The same where no entry tells, for a flow of a next-hop entry; counts nothing. */
static bool find_rerouted_landing(struct packet *packet);

/* True when nothing is in the way of a new leg at packet->landing, where no leg
 * of the packet's is; counts nothing. */
static bool is_landing_free(void *ctx, const struct packet *packet);

/* False when the socket at a landing is for certain none of ours. */
static bool is_leg_socket(struct bpf_sock *sk);

/* Sends the packet to the leg sk, and releases sk. False: counted why. */
static bool to_leg(void *ctx, const struct packet *packet, struct bpf_sock *sk);

/* Sends a SYN, or the answer to a SYN cookie, to the relay's listener. False:
 * counted why. */
static bool to_listener(void *ctx, const struct packet *packet, __u32 relay);

/* A SYN to an entry passes. */
static void note_passed(void *ctx, const struct packet *packet);

/* --- The steps ---------------------------------------------------------------- */

static __always_inline bool is_taking(void)
{
	return taking_way == this_way();
}

/* A packet that passes is counted once, by the way that takes connections. */
#define count_pass(field)             \
	do {                          \
		if (is_taking())      \
			count(field); \
	} while (0)

static __always_inline enum verdict pass_unparsed(enum parse_result result)
{
	switch (result) {
	case PARSE_NOT_IP:
		count_pass(not_ip);
		break;
	case PARSE_FRAGMENT:
		count_pass(fragment);
		break;
	case PARSE_UNPARSED:
		count_pass(unparsed);
		break;
	default:
		count_pass(not_tcp);
	}
	return PASS;
}

/* The socket that packets with this tuple belong to; the caller releases it. */
static __always_inline struct bpf_sock *socket_lookup(void *ctx, const struct half_open_key *key,
						      bool ipv6)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size;

	if (ipv6) {
		__builtin_memcpy(tuple.ipv6.saddr, key->client, 16);
		__builtin_memcpy(tuple.ipv6.daddr, key->remote, 16);
		tuple.ipv6.sport = bpf_htons(key->client_port);
		tuple.ipv6.dport = bpf_htons(key->service_port);
		size = sizeof(tuple.ipv6);
	} else {
		tuple.ipv4.saddr = address_to_ipv4(key->client);
		tuple.ipv4.daddr = address_to_ipv4(key->remote);
		tuple.ipv4.sport = bpf_htons(key->client_port);
		tuple.ipv4.dport = bpf_htons(key->service_port);
		size = sizeof(tuple.ipv4);
	}
	return bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

/* The leg that the packet belongs to, by its landing, or NULL; the caller
 * releases it. */
static __always_inline struct bpf_sock *leg_lookup(void *ctx, const struct packet *packet)
{
	struct bpf_sock *sk;

	if (packet->no_leg)
		return NULL;
	sk = socket_lookup(ctx, &packet->landing, packet->ipv6);
	if (!sk)
		return NULL;
	if (!is_leg_socket(sk)) {
		bpf_sk_release(sk);
		return NULL;
	}
	/* A new SYN may reuse the tuple of a leg in TIME_WAIT, as it may at any
	 * host (RFC 6191); everything else in TIME_WAIT is the old leg's. */
	if (sk->state == BPF_TCP_LISTEN || (sk->state == BPF_TCP_TIME_WAIT && packet->syn)) {
		bpf_sk_release(sk);
		return NULL;
	}
	return sk;
}

/* The router that the route to the packet's destination leads to [824-826]. */
static __always_inline bool next_hop(void *ctx, const struct packet *packet, struct proxy_key *key)
{
	struct bpf_fib_lookup fib = { .ifindex = packet->ifindex, .l4_protocol = IPPROTO_TCP };
	long error;

	if (packet->ipv6) {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_src, packet->tuple.client, 16);
		__builtin_memcpy(fib.ipv6_dst, packet->tuple.remote, 16);
	} else {
		fib.family = AF_INET;
		fib.ipv4_src = address_to_ipv4(packet->tuple.client);
		fib.ipv4_dst = address_to_ipv4(packet->tuple.remote);
	}
	error = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	/* The next hop is known before its link address and the MTU are asked for. */
	if (error != BPF_FIB_LKUP_RET_SUCCESS && error != BPF_FIB_LKUP_RET_NO_NEIGH &&
	    error != BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return false;
	if (fib.family == AF_INET6)
		__builtin_memcpy(key->address, fib.ipv6_dst, 16);
	else
		address_from_ipv4(key->address, fib.ipv4_dst);
	return true;
}

static __always_inline struct proxy_value *proxy_lookup(void *ctx, const struct packet *packet)
{
	struct proxy_value *proxy;
	struct proxy_key key;

	__builtin_memcpy(key.address, packet->tuple.remote, 16);
	proxy = bpf_map_lookup_elem(&proxy_table, &key);
	if (proxy || !nexthop_entries || !next_hop(ctx, packet, &key))
		return proxy;
	proxy = bpf_map_lookup_elem(&proxy_table, &key);
	return proxy && proxy->flags & PROXY_NEXTHOP ? proxy : NULL;
}

static __always_inline struct port_value *port_lookup(const struct packet *packet,
						      const struct proxy_value *proxy)
{
	struct port_key key = { .proxy_id = proxy->proxy_id,
				.service_port = packet->tuple.service_port };

	return bpf_map_lookup_elem(&port_table, &key);
}

/* A packet has met the socket that answers a SYN of ours, so the SYN has come
 * through to the listener: the relay need not do without it. */
static __always_inline void note_delivered(const struct packet *packet)
{
	struct half_open_value *known = bpf_map_lookup_elem(&half_open, &packet->tuple);

	if (known)
		known->delivered = 1;
}

/* True when the relay has a listener of the packet's family. */
static __always_inline bool has_listener(const struct packet *packet, __u32 relay)
{
	__u32 index = LISTENER_INDEX(relay, packet->ipv6);
	struct bpf_sock *sk = bpf_map_lookup_elem(&listeners, &index);

	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

/* The connection began by this way in. */
static __always_inline bool is_of_this_way(const struct half_open_value *known)
{
	return known->rewritten == (this_way() == WAY_XDP);
}

/* A SYN that a relay has already, from a client that hears nothing. The relay
 * keeps it whatever has changed since: to pass it now would connect it twice. */
static __always_inline enum verdict known_syn(void *ctx, const struct packet *packet,
					      const struct port_value *port, __u32 relay)
{
	if (!(port->flags & PORT_EARLY)) {
		count(syn_retransmit);
		return HOLD;
	}
	/* The listener lost the first one, give it the second. */
	if (!to_listener(ctx, packet, relay))
		return PASS;
	count(syn_early);
	return TAKE;
}

/*
 * The client's answer to a SYN cookie: the listener keeps no request for one,
 * so there is no socket to be found, but the SYN is known. Passed on, it would
 * meet a remote that never heard of it.
 */
static __always_inline bool cookie_answer(void *ctx, const struct packet *packet)
{
	const struct half_open_value *known = bpf_map_lookup_elem(&half_open, &packet->tuple);

	if (!known || !is_of_this_way(known) || !to_listener(ctx, packet, known->relay))
		return false;
	count(to_leg);
	return true;
}

/* A client opens a connection to a registered port. */
static __always_inline enum verdict fresh_syn(void *ctx, const struct packet *packet,
					      const struct proxy_value *proxy,
					      const struct port_value *port)
{
	struct half_open_value *known = bpf_map_lookup_elem(&half_open, &packet->tuple);
	/* The hash is no name for a tuple: an IPv6 client changes the flow label,
	 * which is part of it, when it sends a SYN again. */
	__u32 relay = known ? known->relay : flow_hash(ctx, packet) % relay_count;
	bool early = port->flags & PORT_EARLY;
	__u64 now = bpf_ktime_get_ns();
	bool serves = relay_serves(relay, now);

	/* A switch of ways: who has begun with a SYN ends with it, the rest is for
	 * the way that takes. */
	if (known ? !is_of_this_way(known) : !is_taking())
		return PASS;
	if (known && serves && half_open_same(known, packet, now))
		return known_syn(ctx, packet, port, relay);
	if (known && !serves)
		half_open_give_up(known, packet);
	if (!accepting || port->flags & PORT_DRAINING) {
		count(draining);
		return PASS;
	}
	/* A SYN that is held already stays with its relay. */
	if (port->flags & PORT_FULL && !bpf_map_lookup_elem(&half_open, &packet->tuple)) {
		count(identity_full);
		return PASS;
	}
	if (!serves) {
		count(relay_stale);
		return PASS;
	}
	if (!is_within_rate(packet, now)) {
		count(over_rate);
		return PASS;
	}
	/* Asked first: a SYN that passes must not be the relay's as well. */
	if (early && !has_listener(packet, relay)) {
		count(no_listener);
		return PASS;
	}
	if (!is_landing_free(ctx, packet)) {
		count(listen_port_busy);
		return PASS;
	}
	switch (syn_take(ctx, packet, port, !early, relay, now)) {
	case TAKE_REFUSED:
		return PASS;
	case TAKE_KNOWN:
		return known_syn(ctx, packet, port, relay);
	case TAKE_DONE:
		break;
	}
	if (!early) {
		count(syn_held);
		return HOLD;
	}
	if (!to_listener(ctx, packet, relay))
		return PASS;
	count(syn_early);
	return TAKE;
}

/*
 * A packet that no entry stands for any more: a next-hop entry is found by the
 * route, and the route may have changed under a flow that runs.
 */
static __always_inline bool to_rerouted_leg(void *ctx, struct packet *packet)
{
	struct bpf_sock *sk;

	if (!nexthop_entries || packet->syn || !find_rerouted_landing(packet))
		return false;
	sk = leg_lookup(ctx, packet);
	if (!sk || !to_leg(ctx, packet, sk))
		return false;
	count(to_leg);
	return true;
}

/* A held SYN whose remote has accepted. */
static __always_inline enum verdict reinjected_syn(void *ctx, const struct packet *packet)
{
	struct half_open_value *known = bpf_map_lookup_elem(&half_open, &packet->tuple);

	if (!known) { /* the relay died meanwhile; let the client reach the remote itself */
		count(no_listener);
		return PASS;
	}
	if (!to_listener(ctx, packet, known->relay))
		return PASS;
	count(syn_reinjected);
	return TAKE;
}

/* The steps for a TCP packet, in the order of docs/design.md. */
static __always_inline enum verdict lan_tcp(void *ctx, struct packet *packet, bool reinjected)
{
	struct proxy_value *proxy;
	struct port_value *port;
	enum verdict verdict;
	struct bpf_sock *sk;

	proxy = proxy_lookup(ctx, packet);
	if (!proxy) {
		if (to_rerouted_leg(ctx, packet))
			return TAKE;
		count_pass(no_proxy);
		return PASS;
	}
	port = port_lookup(packet, proxy);
	if (!port) {
		if (to_rerouted_leg(ctx, packet))
			return TAKE;
		count_pass(no_port);
		return PASS;
	}
	if (!find_landing(ctx, packet, proxy, port))
		return PASS;
	sk = leg_lookup(ctx, packet);
	if (sk) {
		if (sk->state == BPF_TCP_NEW_SYN_RECV)
			note_delivered(packet);
		if (!to_leg(ctx, packet, sk))
			return PASS;
		count(to_leg);
		return TAKE;
	}
	if (!packet->syn) {
		if (cookie_answer(ctx, packet))
			return TAKE;
		count_pass(older_flow);
		return PASS;
	}
	verdict = reinjected ? reinjected_syn(ctx, packet) : fresh_syn(ctx, packet, proxy, port);
	if (verdict == PASS)
		note_passed(ctx, packet);
	return verdict;
}

#endif
