// SPDX-License-Identifier: GPL-2.0
/*
 * Decides which packets of the LAN are taken from the forwarding path: tc
 * programs for the two directions of a LAN interface and for the way in of a
 * WAN interface. user/gateway/intercept.c loads and attaches them; the relays
 * (user/gateway/half_open.c) get the SYNs that are held here.
 *
 * Whatever is not provably ours passes. "Pass" is TC_ACT_UNSPEC, so that other
 * programs and filters on the interface have their say.
 */
#include "half_open.bpf.h"
#include "maps.bpf.h"
#include "parse.bpf.h"

#include <linux/pkt_cls.h>

#define AF_INET 2
#define AF_INET6 10

/* How many entries of proxy_table are next-hop entries: with none, the route
 * of packets for unregistered destinations is never looked up. */
volatile __u32 nexthop_entries SEC(".data") = 0;

/* 0 while the gateway drains: SYNs pass, running flows are still found. */
volatile __u32 accepting SEC(".data") = 1;

char LICENSE[] SEC("license") = "GPL";

/* Longest headers that are looked at: link, VLAN tags, IP with options, TCP
 * with options, or an ICMP error up to the quoted ports. */
#define PULL_BYTES 192

static __always_inline int pass(void)
{
	return TC_ACT_UNSPEC;
}

static __always_inline void set_mark(struct __sk_buff *skb, __u32 mark)
{
	skb->mark = (skb->mark & ~MARK_MASK) | mark;
}

/* Headers may lie outside the linear part; parsing needs them inside. */
static __always_inline enum parse_result parse_skb(struct __sk_buff *skb, bool has_ethernet,
						   struct packet *packet)
{
	__u32 linear = skb->data_end - skb->data;

	if (linear < PULL_BYTES && linear < skb->len)
		bpf_skb_pull_data(skb, skb->len < PULL_BYTES ? skb->len : PULL_BYTES);
	return parse_packet((void *)(long)skb->data, (void *)(long)skb->data_end, has_ethernet,
			    (__be16)skb->protocol, packet);
}

static __always_inline int pass_unparsed(enum parse_result result)
{
	switch (result) {
	case PARSE_NOT_IP:
		count(not_ip);
		break;
	case PARSE_FRAGMENT:
		count(fragment);
		break;
	case PARSE_UNPARSED:
		count(unparsed);
		break;
	default:
		count(not_tcp);
	}
	return pass();
}

/* The socket that packets with this tuple belong to; the caller releases it.
 * Only a leg of ours can own a remote's address here. */
static __always_inline struct bpf_sock *socket_lookup(struct __sk_buff *skb,
						      const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size;

	if (packet->ipv6) {
		__builtin_memcpy(tuple.ipv6.saddr, packet->tuple.client, 16);
		__builtin_memcpy(tuple.ipv6.daddr, packet->tuple.remote, 16);
		tuple.ipv6.sport = bpf_htons(packet->tuple.client_port);
		tuple.ipv6.dport = bpf_htons(packet->tuple.service_port);
		size = sizeof(tuple.ipv6);
	} else {
		tuple.ipv4.saddr = address_to_ipv4(packet->tuple.client);
		tuple.ipv4.daddr = address_to_ipv4(packet->tuple.remote);
		tuple.ipv4.sport = bpf_htons(packet->tuple.client_port);
		tuple.ipv4.dport = bpf_htons(packet->tuple.service_port);
		size = sizeof(tuple.ipv4);
	}
	return bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

/* The leg that the packet belongs to, or NULL; the caller releases it. */
static __always_inline struct bpf_sock *leg_lookup(struct __sk_buff *skb,
						   const struct packet *packet)
{
	struct bpf_sock *sk = socket_lookup(skb, packet);

	if (!sk)
		return NULL;
	/* A new SYN may reuse the tuple of a leg in TIME_WAIT, as it may at any
	 * host (RFC 6191); everything else in TIME_WAIT is the old leg's. */
	if (sk->state == BPF_TCP_LISTEN || (sk->state == BPF_TCP_TIME_WAIT && packet->syn)) {
		bpf_sk_release(sk);
		return NULL;
	}
	return sk;
}

/* Gives the packet to sk and up the stack. sk is released. */
static __always_inline bool assign(struct __sk_buff *skb, struct bpf_sock *sk)
{
	long error = bpf_sk_assign(skb, sk, 0);

	bpf_sk_release(sk);
	if (error) {
		/* The socket is just being unhashed: this packet is nobody's. */
		count(assign_failed);
		return false;
	}
	set_mark(skb, MARK_STEAL);
	return true;
}

/* An ICMP error about a leg of ours carries the leg's address, which is not
 * the gateway's: without help it would be forwarded to the real owner, and
 * path MTU discovery on the leg would be blind. */
static __always_inline int icmp_error(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock *sk = leg_lookup(skb, packet);

	if (!sk) {
		count(not_tcp);
		return pass();
	}
	bpf_sk_release(sk);
	set_mark(skb, MARK_STEAL);
	count(icmp_to_leg);
	return TC_ACT_OK;
}

/* The router that the route to the packet's destination leads to [824-826]. */
static __always_inline bool next_hop(struct __sk_buff *skb, const struct packet *packet,
				     struct proxy_key *key)
{
	struct bpf_fib_lookup fib = { .ifindex = skb->ifindex, .l4_protocol = IPPROTO_TCP };
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
	error = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
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

static __always_inline struct proxy_value *proxy_lookup(struct __sk_buff *skb,
							const struct packet *packet)
{
	struct proxy_value *proxy;
	struct proxy_key key;

	__builtin_memcpy(key.address, packet->tuple.remote, 16);
	proxy = bpf_map_lookup_elem(&proxy_table, &key);
	if (proxy || !nexthop_entries || !next_hop(skb, packet, &key))
		return proxy;
	proxy = bpf_map_lookup_elem(&proxy_table, &key);
	return proxy && proxy->flags & PROXY_NEXTHOP ? proxy : NULL;
}

/*
 * Hands a SYN to the relay's listener. The caller counts success. When an old
 * leg of the same tuple is in TIME_WAIT, the SYN goes there instead: the kernel
 * judges whether it may follow (RFC 6191), removes the old socket, which a new
 * one could not stand beside, and asks for a listener: see listener_lookup.
 */
static __always_inline bool to_listener(struct __sk_buff *skb, const struct packet *packet,
					__u32 relay)
{
	__u32 index = LISTENER_INDEX(relay, packet->ipv6);
	struct bpf_sock *sk = socket_lookup(skb, packet);

	if (sk) {
		if (sk->state == BPF_TCP_TIME_WAIT)
			return assign(skb, sk);
		bpf_sk_release(sk);
	}
	sk = bpf_map_lookup_elem(&listeners, &index);
	if (!sk) {
		count(no_listener);
		return false;
	}
	return assign(skb, sk);
}

/* A held SYN whose remote has accepted. */
static __always_inline int reinjected_syn(struct __sk_buff *skb, const struct packet *packet)
{
	struct half_open_value *known = bpf_map_lookup_elem(&half_open, &packet->tuple);

	if (!known) { /* the relay died meanwhile; let the client reach the remote itself */
		count(no_listener);
		return pass();
	}
	if (!to_listener(skb, packet, known->relay))
		return pass();
	count(syn_reinjected);
	return TC_ACT_OK;
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

/* A SYN that a relay has already, from a client that hears nothing. The relay
 * keeps it whatever has changed since: to pass it now would connect it twice. */
static __always_inline int known_syn(struct __sk_buff *skb, const struct packet *packet,
				     const struct port_value *port, __u32 relay)
{
	if (!(port->flags & PORT_EARLY)) {
		count(syn_retransmit);
		return TC_ACT_SHOT;
	}
	/* The listener lost the first one, give it the second. */
	if (!to_listener(skb, packet, relay))
		return pass();
	count(syn_early);
	return TC_ACT_OK;
}

/*
 * The client's answer to a SYN cookie: the listener keeps no request for one,
 * so there is no socket to be found, but the SYN is known. Passed on, it would
 * meet a remote that never heard of it.
 */
static __always_inline bool cookie_answer(struct __sk_buff *skb, const struct packet *packet)
{
	const struct half_open_value *known = bpf_map_lookup_elem(&half_open, &packet->tuple);

	if (!known || !to_listener(skb, packet, known->relay))
		return false;
	count(to_leg);
	return true;
}

/* A client opens a connection to a registered port. */
static __always_inline int fresh_syn(struct __sk_buff *skb, const struct packet *packet,
				     const struct port_value *port)
{
	struct half_open_value *known = bpf_map_lookup_elem(&half_open, &packet->tuple);
	/* The hash is no name for a tuple: an IPv6 client changes the flow label,
	 * which is part of it, when it sends a SYN again. */
	__u32 relay = known ? known->relay : bpf_get_hash_recalc(skb) % relay_count;
	bool early = port->flags & PORT_EARLY;
	__u64 now = bpf_ktime_get_ns();
	bool serves = relay_serves(relay, now);

	if (known && serves && half_open_same(known, packet, now))
		return known_syn(skb, packet, port, relay);
	if (known && !serves)
		half_open_give_up(known, packet);
	if (!accepting || port->flags & PORT_DRAINING) {
		count(draining);
		return pass();
	}
	/* A SYN that is held already stays with its relay. */
	if (port->flags & PORT_FULL && !bpf_map_lookup_elem(&half_open, &packet->tuple)) {
		count(identity_full);
		return pass();
	}
	if (!serves) {
		count(relay_stale);
		return pass();
	}
	/* Asked first: a SYN that passes must not be the relay's as well. */
	if (early && !has_listener(packet, relay)) {
		count(no_listener);
		return pass();
	}
	switch (syn_take(skb, packet, port, !early, relay, now)) {
	case TAKE_REFUSED:
		return pass();
	case TAKE_KNOWN:
		return known_syn(skb, packet, port, relay);
	case TAKE_DONE:
		break;
	}
	if (!early) {
		count(syn_held);
		return TC_ACT_SHOT;
	}
	if (!to_listener(skb, packet, relay))
		return pass();
	count(syn_early);
	return TC_ACT_OK;
}

/*
 * A packet that no entry stands for any more: a next-hop entry is found by the
 * route, and the route may have changed under a flow that runs.
 */
static __always_inline bool to_rerouted_leg(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock *sk;

	if (!nexthop_entries || packet->syn)
		return false;
	sk = leg_lookup(skb, packet);
	if (!sk || !assign(skb, sk))
		return false;
	count(to_leg);
	return true;
}

/* The steps for a TCP packet, in the order of docs/design.md. */
static __always_inline int lan_tcp(struct __sk_buff *skb, const struct packet *packet,
				   bool reinjected)
{
	struct port_key port_key = { .service_port = packet->tuple.service_port };
	struct proxy_value *proxy;
	struct port_value *port;
	struct bpf_sock *sk;

	proxy = proxy_lookup(skb, packet);
	if (!proxy) {
		if (to_rerouted_leg(skb, packet))
			return TC_ACT_OK;
		count(no_proxy);
		return pass();
	}
	port_key.proxy_id = proxy->proxy_id;
	port = bpf_map_lookup_elem(&port_table, &port_key);
	if (!port) {
		if (to_rerouted_leg(skb, packet))
			return TC_ACT_OK;
		count(no_port);
		return pass();
	}
	sk = leg_lookup(skb, packet);
	if (sk) {
		if (sk->state == BPF_TCP_NEW_SYN_RECV)
			note_delivered(packet);
		if (!assign(skb, sk))
			return pass();
		count(to_leg);
		return TC_ACT_OK;
	}
	if (!packet->syn) {
		if (cookie_answer(skb, packet))
			return TC_ACT_OK;
		count(older_flow);
		return pass();
	}
	if (reinjected)
		return reinjected_syn(skb, packet);
	return fresh_syn(skb, packet, port);
}

static __always_inline int lan_ingress(struct __sk_buff *skb, bool has_ethernet)
{
	__u32 mark = skb->mark & MARK_MASK;
	struct packet packet = {};
	enum parse_result result;

	/* A bridge or a sniffer shows us frames that the stack would not take. */
	if (skb->pkt_type != 0 /* PACKET_HOST */) {
		count(other_host);
		return pass();
	}
	/* A mark that has done its work must go: a SYN that passes with it would be
	 * turned around by the next LAN interface it is forwarded to. */
	if (mark == MARK_FORWARD || mark == MARK_REINJECT)
		set_mark(skb, 0);
	if (mark == MARK_FORWARD) {
		count(forward_again);
		return pass();
	}
	result = parse_skb(skb, has_ethernet, &packet);
	if (result == PARSE_TCP)
		return lan_tcp(skb, &packet, mark == MARK_REINJECT);
	if (result == PARSE_ICMP_ERROR)
		return icmp_error(skb, &packet);
	return pass_unparsed(result);
}

/* What comes back to a WAN leg that carries its client's address: only that.
 * Nothing else on a WAN interface is looked at twice, nor counted. */
static __always_inline int wan_ingress(struct __sk_buff *skb, bool has_ethernet)
{
	struct packet packet = {};
	enum parse_result result;
	struct bpf_sock *sk;

	if (skb->pkt_type != 0 /* PACKET_HOST */)
		return pass();
	result = parse_skb(skb, has_ethernet, &packet);
	if (result != PARSE_TCP && result != PARSE_ICMP_ERROR)
		return pass();
	sk = leg_lookup(skb, &packet);
	if (!sk)
		return pass();
	if (result == PARSE_ICMP_ERROR) {
		bpf_sk_release(sk);
		set_mark(skb, MARK_STEAL);
		count(icmp_to_leg);
		return TC_ACT_OK;
	}
	if (!assign(skb, sk))
		return pass();
	count(wan_to_leg);
	return TC_ACT_OK;
}

/* The kernel looks for a listener by itself when a SYN of ours has met a leg in
 * TIME_WAIT: it is the relay's that the SYN is for. */
SEC("sk_lookup")
int listener_lookup(struct bpf_sk_lookup *lookup)
{
	struct half_open_value *known;
	struct half_open_key tuple;
	struct bpf_sock *sk;
	__u32 index;

	if (lookup->protocol != IPPROTO_TCP)
		return SK_PASS;
	if (lookup->family == AF_INET) {
		address_from_ipv4(tuple.client, lookup->remote_ip4);
		address_from_ipv4(tuple.remote, lookup->local_ip4);
	} else {
		__u32 *client = (__u32 *)tuple.client, *remote = (__u32 *)tuple.remote;

		for (int i = 0; i < 4; i++) {
			client[i] = lookup->remote_ip6[i];
			remote[i] = lookup->local_ip6[i];
		}
	}
	tuple.client_port = bpf_ntohs(lookup->remote_port);
	tuple.service_port = lookup->local_port;
	known = bpf_map_lookup_elem(&half_open, &tuple);
	if (!known)
		return SK_PASS;
	index = LISTENER_INDEX(known->relay, lookup->family == AF_INET6);
	sk = bpf_map_lookup_elem(&listeners, &index);
	if (!sk)
		return SK_PASS;
	bpf_sk_assign(lookup, sk, 0);
	bpf_sk_release(sk);
	return SK_PASS;
}

SEC("tc")
int lan_ingress_ethernet(struct __sk_buff *skb)
{
	return lan_ingress(skb, true);
}

SEC("tc")
int lan_ingress_raw(struct __sk_buff *skb)
{
	return lan_ingress(skb, false);
}

SEC("tc")
int wan_ingress_ethernet(struct __sk_buff *skb)
{
	return wan_ingress(skb, true);
}

SEC("tc")
int wan_ingress_raw(struct __sk_buff *skb)
{
	return wan_ingress(skb, false);
}

/* Turns a held SYN around that the relay sends out of the LAN interface: it
 * comes back in by the same interface, with its mark. */
SEC("tc")
int lan_egress(struct __sk_buff *skb)
{
	__u32 mark = skb->mark & MARK_MASK;

	if (mark != MARK_REINJECT && mark != MARK_FORWARD)
		return pass();
	return (int)bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}
