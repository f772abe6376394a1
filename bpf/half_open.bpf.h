/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Taking a fresh SYN: the budgets, the half_open entry and the event for the
 * relay. Everything that can fail is tried before anything is kept, so that a
 * SYN either is owned by a relay or goes on as if we were not here.
 */
#ifndef SLUICE_HALF_OPEN_BPF_H
#define SLUICE_HALF_OPEN_BPF_H

#include "hash.bpf.h"
#include "maps.bpf.h"
#include "parse.bpf.h"

/* Set before loading. */
const volatile __u32 relay_count = 1;
const volatile __u32 client_hash_key = 0;
const volatile __u32 half_open_per_client = 1024;
const volatile __u32 syn_rate = 0; /* SYNs a second of one client that are taken; 0: any */

#define EEXIST 17
#define SECOND_NS 1000000000ULL

/* An entry this old has lost its relay's attention, which gives up sooner. */
#define HALF_OPEN_STALE_NS (600 * 1000000000ULL)

enum take_result { TAKE_DONE, TAKE_KNOWN, TAKE_REFUSED };

/* True when the relay may be given work; counts why not. */
static __always_inline bool relay_serves(__u32 relay, __u64 now)
{
	struct relay_state *state = bpf_map_lookup_elem(&relays, &relay);
	__u64 heartbeat;

	if (!state)
		return false;
	heartbeat = *(volatile __u64 *)&state->heartbeat_ns;
	/* The relay may have written it after our clock was read. */
	return heartbeat && (heartbeat >= now || now - heartbeat < RELAY_STALE_NS);
}

/* True when the SYN is a retransmission of the one that was entered. */
static __always_inline bool half_open_same(const struct half_open_value *known,
					   const struct packet *packet, __u64 now)
{
	/* Signed: another CPU may have entered it after our clock was read. */
	__s64 age = (__s64)(now - known->since_ns);

	return known->isn == packet->seq && age < (__s64)HALF_OPEN_STALE_NS;
}

/* The SYN goes on without us: the relay, should it come back, must find that it
 * is not its own any more. */
static __always_inline void half_open_give_up(const struct half_open_value *known,
					      const struct packet *packet)
{
	__u32 bucket = known->client_bucket;
	__u64 *in_bucket;

	if (bpf_map_delete_elem(&half_open, &packet->tuple))
		return;
	in_bucket = bpf_map_lookup_elem(&half_open_by_client, &bucket);
	if (in_bucket)
		__sync_fetch_and_add(in_bucket, -1);
}

/* True when the leg's socket has the gateway's address instead of the remote's. */
static __always_inline bool is_rewritten(const struct packet *packet)
{
	return packet->landing.service_port != packet->tuple.service_port ||
	       !same_address(packet->landing.remote, packet->tuple.remote);
}

/* Enters the SYN into half_open within both budgets. */
static __always_inline enum take_result half_open_enter(const struct packet *packet,
							struct half_open_value *value)
{
	struct half_open_value *known = bpf_map_lookup_elem(&half_open, &packet->tuple);
	__u64 *in_bucket;
	long error;

	if (known && known->relay == value->relay) {
		if (half_open_same(known, packet, value->since_ns))
			return TAKE_KNOWN;
		/* The client gave up and tries anew from the same port: the entry, and
		 * its place in the budgets, pass to the new SYN. */
		known->isn = value->isn;
		known->since_ns = value->since_ns;
		known->delivered = 0;
		known->rewritten = value->rewritten;
		return TAKE_DONE;
	}
	in_bucket = bpf_map_lookup_elem(&half_open_by_client, &value->client_bucket);
	if (!in_bucket)
		return TAKE_REFUSED;
	if (__sync_fetch_and_add(in_bucket, 1) >= half_open_per_client) {
		__sync_fetch_and_add(in_bucket, -1);
		count(client_over_budget);
		return TAKE_REFUSED;
	}
	error = bpf_map_update_elem(&half_open, &packet->tuple, value, BPF_NOEXIST);
	if (!error)
		return TAKE_DONE;
	__sync_fetch_and_add(in_bucket, -1);
	if (error == -EEXIST) /* its twin, on another CPU, was faster */
		return TAKE_KNOWN;
	count(half_open_full);
	return TAKE_REFUSED;
}

/* Token bucket of a client: one second's worth of SYNs at most. False beyond. */
static __always_inline bool is_within_rate(const struct packet *packet, __u64 now)
{
	struct syn_bucket first = { .nanoseconds = SECOND_NS, .filled_ns = now }, *bucket;
	__u64 price, elapsed;

	if (!syn_rate)
		return true;
	price = SECOND_NS / syn_rate;
	bucket = bpf_map_lookup_elem(&syn_rates, packet->tuple.client);
	if (!bucket) {
		bpf_map_update_elem(&syn_rates, packet->tuple.client, &first, BPF_NOEXIST);
		return true;
	}
	/* CPUs may race here: that costs or gives a SYN. */
	elapsed = now > bucket->filled_ns ? now - bucket->filled_ns : 0;
	if (elapsed) {
		bucket->filled_ns = now;
		bucket->nanoseconds += elapsed;
		if (bucket->nanoseconds > SECOND_NS)
			bucket->nanoseconds = SECOND_NS;
	}
	if (bucket->nanoseconds < price)
		return false;
	bucket->nanoseconds -= price;
	return true;
}

/* Provided by each way in: copies the first bytes of the frame. 0 on success. */
static long load_frame(void *ctx, void *to, __u32 length);

/* Provided by each way in: notes what it needs to find the landing of the
 * connection's other packets. False: counted why. */
static bool keep_landing(const struct packet *packet, __u32 relay);

/* Copies the headers of the SYN into the event. */
static __always_inline long event_copy_frame(void *ctx, const struct packet *packet,
					     struct syn_event *event)
{
	__u32 length = packet->headers_end;

	if (length < 40 || length > SYN_FRAME_MAX)
		return -1;
	event->frame_len = length;
	event->l3_offset = packet->l3_offset;
	event->l4_offset = packet->l4_offset;
	return load_frame(ctx, event->frame, length);
}

/*
 * Takes a fresh SYN for the relay. On TAKE_DONE the relay has the event and
 * owns the connection; on TAKE_KNOWN it is a retransmission of a SYN the relay
 * has; on TAKE_REFUSED the reason is counted.
 */
static __always_inline enum take_result syn_take(void *ctx, const struct packet *packet,
						 const struct port_value *port, bool held,
						 __u32 relay, __u64 now)
{
	struct half_open_value value = {
		.since_ns = now,
		.isn = packet->seq,
		.relay = relay,
		.client_bucket = address_hash(packet->tuple.client, client_hash_key) %
				 HALF_OPEN_BUCKETS,
		.rewritten = is_rewritten(packet),
	};
	struct syn_event *event;
	enum take_result result;
	void *ring;

	ring = bpf_map_lookup_elem(&held_syns, &relay);
	event = ring ? bpf_ringbuf_reserve(ring, sizeof(*event), 0) : NULL;
	if (!event) {
		count(ring_full);
		return TAKE_REFUSED;
	}
	if (event_copy_frame(ctx, packet, event)) {
		bpf_ringbuf_discard(event, 0);
		count(unparsed);
		return TAKE_REFUSED;
	}
	result = half_open_enter(packet, &value);
	if (result != TAKE_DONE) {
		bpf_ringbuf_discard(event, 0);
		return result;
	}
	/* Last, as a flood must not fill that table with what is not taken, and before
	 * the relay knows, as it takes that away with the flow. */
	if (!keep_landing(packet, relay)) {
		half_open_give_up(&value, packet);
		bpf_ringbuf_discard(event, 0);
		return TAKE_REFUSED;
	}
	event->tuple = packet->tuple;
	event->landing = packet->landing;
	event->isn = packet->seq;
	event->port = *port;
	event->client_bucket = value.client_bucket;
	event->ifindex = packet->ifindex;
	event->vlan_tci = packet->vlan_tci;
	event->vlan_proto = packet->vlan_proto;
	event->held = held;
	event->shared_landing = packet->shared_landing;
	bpf_ringbuf_submit(event, 0);
	return TAKE_DONE;
}

#endif
