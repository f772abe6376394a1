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
#include "lan.bpf.h"
#include "listen.bpf.h"
#include "reply.bpf.h"

#include <linux/pkt_cls.h>

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
	enum parse_result result;

	if (linear < PULL_BYTES && linear < skb->len)
		bpf_skb_pull_data(skb, skb->len < PULL_BYTES ? skb->len : PULL_BYTES);
	packet->ifindex = skb->ifindex;
	if (skb->vlan_present) {
		packet->vlan_tci = skb->vlan_tci;
		packet->vlan_proto = skb->vlan_proto;
	}
	result = parse_packet((void *)(long)skb->data, (void *)(long)skb->data_end,
			      has_ethernet ? VLAN_TAGS_MAX : NO_ETHERNET, (__be16)skb->protocol,
			      packet);
	packet->landing = packet->tuple;
	return result;
}

static __always_inline enum way_in this_way(void)
{
	return WAY_TC;
}

static __always_inline __u32 flow_hash(void *ctx, const struct packet *packet)
{
	return bpf_get_hash_recalc(ctx);
}

static __always_inline long load_frame(void *ctx, void *to, __u32 length)
{
	return bpf_skb_load_bytes(ctx, 0, to, length);
}

/* By tc the leg has the remote's address itself. */
static __always_inline bool find_landing(void *ctx, struct packet *packet,
					 const struct proxy_value *proxy,
					 const struct port_value *port)
{
	return true; /* as parse_skb() has left it */
}

static __always_inline bool find_rerouted_landing(struct packet *packet)
{
	return true; /* as parse_skb() has left it */
}

static __always_inline bool keep_landing(const struct packet *packet, __u32 relay)
{
	return true;
}

/* Nobody else has a remote's address here. */
static __always_inline bool is_landing_free(void *ctx, const struct packet *packet)
{
	return true;
}

static __always_inline bool is_leg_socket(struct bpf_sock *sk)
{
	return true;
}

/* Gives the packet to sk and up the stack. */
static __always_inline bool to_leg(void *ctx, const struct packet *packet, struct bpf_sock *sk)
{
	long error = bpf_sk_assign(ctx, sk, 0);

	bpf_sk_release(sk);
	if (error) {
		/* The socket is just being unhashed: this packet is nobody's. */
		count(assign_failed);
		return false;
	}
	set_mark(ctx, MARK_STEAL);
	return true;
}

/*
 * When an old leg of the same tuple is in TIME_WAIT, the SYN goes there instead:
 * the kernel judges whether it may follow (RFC 6191), removes the old socket,
 * which a new one could not stand beside, and asks for a listener: see
 * listener_lookup.
 */
static __always_inline bool to_listener(void *ctx, const struct packet *packet, __u32 relay)
{
	__u32 index = LISTENER_INDEX(relay, packet->ipv6);
	struct bpf_sock *sk = socket_lookup(ctx, &packet->landing, packet->ipv6);

	if (sk) {
		if (sk->state == BPF_TCP_TIME_WAIT)
			return to_leg(ctx, packet, sk);
		bpf_sk_release(sk);
	}
	sk = bpf_map_lookup_elem(&listeners, &index);
	if (!sk) {
		count(no_listener);
		return false;
	}
	return to_leg(ctx, packet, sk);
}

static __always_inline void note_passed(void *ctx, const struct packet *packet)
{
	struct bpf_sock *sk = socket_lookup(ctx, &packet->landing, packet->ipv6);

	if (!sk)
		return;
	if (sk->state == BPF_TCP_TIME_WAIT)
		old_legs_met++;
	bpf_sk_release(sk);
}

/* An ICMP error about a leg of ours carries the leg's address, which is not
 * the gateway's: without help it would be forwarded to the real owner, and
 * path MTU discovery on the leg would be blind. */
static __always_inline enum verdict icmp_error(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock *sk = leg_lookup(skb, packet);

	if (!sk) {
		count_pass(not_tcp);
		return PASS;
	}
	bpf_sk_release(sk);
	set_mark(skb, MARK_STEAL);
	count(icmp_to_leg);
	return TAKE;
}

/* The verdict in the words of tc. */
static __always_inline int conclude(enum verdict verdict)
{
	if (verdict == HOLD)
		return TC_ACT_SHOT;
	return verdict == TAKE ? TC_ACT_OK : pass();
}

static __always_inline int lan_ingress(struct __sk_buff *skb, bool has_ethernet)
{
	__u32 mark = skb->mark & MARK_MASK;
	struct packet packet = {};
	enum parse_result result;

	/* XDP takes connections, and none of tc's runs. */
	if (!is_taking() && !other_way_runs && !mark)
		return pass();
	/* A bridge or a sniffer shows us frames that the stack would not take. */
	if (skb->pkt_type != 0 /* PACKET_HOST */) {
		count_pass(other_host);
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
	if (result == PARSE_TCP && mark == MARK_REINJECT && is_to_listen_port(&packet)) {
		/* The relay has rewritten it; listener_lookup does the rest. */
		count(syn_reinjected);
		return pass();
	}
	if (result == PARSE_TCP)
		return conclude(lan_tcp(skb, &packet, mark == MARK_REINJECT));
	if (result == PARSE_ICMP_ERROR)
		return conclude(icmp_error(skb, &packet));
	return conclude(pass_unparsed(result));
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
	if (!to_leg(skb, &packet, sk))
		return pass();
	count(wan_to_leg);
	return TC_ACT_OK;
}

static __always_inline void note_forwarded(struct __sk_buff *skb, bool has_ethernet)
{
	struct packet packet = {};

	if (parse_skb(skb, has_ethernet, &packet) == PARSE_TCP)
		bpf_map_update_elem(&forwarded_syns, &packet.tuple, &packet.seq, BPF_ANY);
}

static __always_inline int lan_egress(struct __sk_buff *skb, bool has_ethernet)
{
	__u32 mark = skb->mark & MARK_MASK;
	struct half_open_key tuple = {};
	struct packet packet = {};
	enum parse_result result;

	if (mark == MARK_FORWARD && listen_ports)
		note_forwarded(skb, has_ethernet);
	if (mark == MARK_REINJECT || mark == MARK_FORWARD)
		return (int)bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	/* What is forwarded is not ours, nor is anything before XDP took a connection. */
	if (skb->ingress_ifindex || !listen_ports)
		return pass();
	result = parse_skb(skb, has_ethernet, &packet);
	if ((result != PARSE_TCP && result != PARSE_ICMP_ERROR) ||
	    !find_sender(skb, &packet, &tuple))
		return pass();
	if (result == PARSE_TCP ? rewrite_source(skb, &packet, &tuple)
				: rewrite_quoted_destination(skb, &packet, &tuple))
		count(reply_rewritten);
	return pass();
}

/* The kernel looks for a listener by itself when a SYN of ours has met a leg in
 * TIME_WAIT, and for every SYN that XDP or a relay has rewritten: it is the
 * relay's that the SYN is for. Who comes to a listen port by himself finds what
 * would be there without us: nothing, or another service. */
SEC("sk_lookup")
int listener_lookup(struct bpf_sk_lookup *lookup)
{
	struct half_open_value *known;
	struct half_open_key tuple = {};
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
	if (!known) {
		if (!remote_of_landing(&tuple))
			return SK_PASS;
		known = bpf_map_lookup_elem(&half_open, &tuple);
	}
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

/*
 * Turns a held SYN around that the relay sends out of the LAN interface: it
 * comes back in by the same interface, with its mark. And gives what LAN legs of
 * XDP send the remote's address and port back.
 */
SEC("tc")
int lan_egress_ethernet(struct __sk_buff *skb)
{
	return lan_egress(skb, true);
}

SEC("tc")
int lan_egress_raw(struct __sk_buff *skb)
{
	return lan_egress(skb, false);
}
