// SPDX-License-Identifier: GPL-2.0
/* Held SYNs: what the relay is told, what is remembered, and what a second SYN does. */
#include <linux/if_ether.h>
#include <string.h>

#include "rig.h"

/* Buckets of the two clients with hash key 0: the kernel's jhash2() of their
 * addresses on a little-endian machine, modulo HALF_OPEN_BUCKETS. */
#define BUCKET4 5604
#define BUCKET6 2030

static void check_event(const struct packet_spec *spec, const char *description)
{
	const struct syn_event *event = &rig.event;
	struct half_open_key key = rig_tuple(spec);
	struct half_open_value value = { 0 };
	struct packet packet;

	rig_reset();
	packet_build(spec, &packet);
	rig_expect(spec, HOLD, COUNTED_syn_held, description);
	cr_assert_eq(rig.events, 1, "%s", description);
	cr_expect_arr_eq(&event->tuple, &key, sizeof(key), "%s: tuple", description);
	cr_expect_eq(event->isn, spec->seq ?: ISN, "%s: ISN", description);
	cr_expect_eq(event->port.port_id, PORT_ID, "%s: port id", description);
	cr_expect_eq(event->port.params_id, PARAMS_ID, "%s: parameters", description);
	cr_expect_eq(event->port.listen_port, LISTEN_PORT, "%s: listen port", description);
	cr_expect_eq(event->port.trunk_port, TRUNK_PORT, "%s: trunk port", description);
	cr_expect_eq(event->ifindex, LO_IFINDEX, "%s: interface", description);
	cr_expect_eq(event->vlan_proto, 0, "%s: no tag was taken off", description);
	cr_expect_eq(event->vlan_tci, 0, "%s: no tag was taken off", description);
	cr_expect_eq(event->held, 1, "%s: held", description);
	cr_expect_eq(event->l3_offset, packet.l3_offset, "%s: IP header", description);
	cr_expect_eq(event->l4_offset, packet.l4_offset, "%s: TCP header", description);
	cr_expect_eq(event->frame_len, packet.headers_end, "%s: no more than the headers",
		     description);
	cr_expect_arr_eq(event->frame, packet.bytes, packet.headers_end, "%s: frame", description);

	cr_assert(rig_half_open(spec, &value), "%s: no half-open entry", description);
	cr_expect_eq(value.isn, event->isn, "%s: ISN of the entry", description);
	cr_expect_eq(value.relay, 0, "%s: relay of the entry", description);
	cr_expect_neq(value.since_ns, 0, "%s: time of the entry", description);
	cr_expect_eq(value.client_bucket, event->client_bucket, "%s: bucket", description);
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		cr_expect_eq(value.client_bucket, spec->ipv6 ? BUCKET6 : BUCKET4, "%s: bucket %u",
			     description, value.client_bucket);
	cr_expect_eq(rig.intercept->half_open_by_client[value.client_bucket], 1, "%s: count",
		     description);
	cr_expect_eq(rig_budgets_in_use(), 1, "%s: counted once", description);
}

static const struct {
	const char *description;
	struct packet_spec packet;
} shapes[] = {
	{ "plain", { 0 } },
	{ "other ports and ISN", { .from_port = 1, .seq = 1 } },
	{ "TCP options", { .tcp_options = 20 } },
	{ "data", { .tcp_options = 12, .payload = 1000 } },
	{ "one byte of data", { .payload = 1 } },
	{ "a tag", { .tags = { ETH_P_8021Q }, .tcp_options = 40 } },
	{ "QinQ", { .tags = { ETH_P_8021AD, ETH_P_8021Q }, .payload = 10 } },
};

Test(syn, relay_is_told_all_about_a_held_syn)
{
	rig_open(NULL);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct packet_spec spec = shapes[i].packet;

		check_event(&spec, shapes[i].description);
		spec.ipv6 = true;
		check_event(&spec, shapes[i].description);
	}
}

Test(syn, relay_is_told_of_every_ip_header)
{
	struct packet_spec longest4 = { .ip_options = 40, .tcp_options = 40, .payload = 100 };
	struct packet_spec longest6 = { .ipv6 = true,
					.tags = { ETH_P_8021AD, ETH_P_8021Q },
					.extensions = { HOP_BY_HOP, ROUTING, DESTINATION },
					.extension_words = 5,
					.tcp_options = 40,
					.payload = 100 };

	rig_open(NULL);
	check_event(&longest4, "IPv4 header of 60 bytes");
	check_event(&longest6, "the longest that is walked");
	cr_expect_eq(rig.event.frame_len, 14 + 8 + 40 + 64 + 60);
}

static void check_second_syn(bool ipv6)
{
	struct packet_spec spec = { .ipv6 = ipv6 };
	struct half_open_value first, second;

	rig_reset();
	rig_expect(&spec, HOLD, COUNTED_syn_held, "first SYN");
	cr_assert(rig_half_open(&spec, &first));

	rig_expect(&spec, HOLD, COUNTED_syn_retransmit, "same ISN");
	cr_expect_eq(rig.events, 1, "a retransmission is no news for the relay");
	cr_assert(rig_half_open(&spec, &second));
	cr_expect_arr_eq(&first, &second, sizeof(first), "the entry has changed");
	cr_expect_eq(rig_budgets_in_use(), 1);

	spec.seq = ISN + 1;
	rig_expect(&spec, HOLD, COUNTED_syn_held, "another ISN");
	cr_expect_eq(rig.events, 2, "a new try is");
	cr_expect_eq(rig.event.isn, ISN + 1);
	cr_assert(rig_half_open(&spec, &second));
	cr_expect_eq(second.isn, ISN + 1);
	cr_expect_gt(second.since_ns, first.since_ns);
	cr_expect_eq(second.client_bucket, first.client_bucket);
	cr_expect_eq(rig_budgets_in_use(), 1, "it takes over the place of the first");
	cr_expect_eq(intercept_half_open_count(rig.intercept), 1);

	spec.from_port = CLIENT_PORT + 1;
	rig_expect(&spec, HOLD, COUNTED_syn_held, "another port");
	cr_expect_eq(rig_budgets_in_use(), 2);
	cr_expect_eq(intercept_half_open_count(rig.intercept), 2);
}

Test(syn, retransmission_is_dropped_and_a_new_try_is_held)
{
	rig_open(NULL);
	check_second_syn(false);
	check_second_syn(true);
}

/* Ten minutes: the relay has given up long since, and the entry is a leftover. */
static void check_leftover(bool ipv6)
{
	struct packet_spec spec = { .ipv6 = ipv6 };
	struct half_open_key key = rig_tuple(&spec);
	struct half_open_value value;

	rig_reset();
	rig_expect(&spec, HOLD, COUNTED_syn_held, "first SYN");
	cr_assert(rig_half_open(&spec, &value));
	value.since_ns -= 600 * 1000000000ULL;
	cr_assert_eq(bpf_map__update_elem(rig.skeleton->maps.half_open, &key, sizeof(key), &value,
					  sizeof(value), BPF_EXIST),
		     0);
	rig_expect(&spec, HOLD, COUNTED_syn_held, "same ISN, ten minutes later");
	cr_expect_eq(rig.events, 2);
	cr_expect_eq(rig_budgets_in_use(), 1);
}

Test(syn, leftover_entry_does_not_swallow_a_syn)
{
	rig_open(NULL);
	check_leftover(false);
	check_leftover(true);
}

static void check_relays(bool ipv6, unsigned seen[4])
{
	struct packet_spec spec = { .ipv6 = ipv6 };

	for (uint16_t port = 1024; port < 1088; port++) {
		struct half_open_value value;

		spec.from_port = port;
		rig_expect(&spec, HOLD, COUNTED_syn_held, "SYN");
		cr_assert(rig_half_open(&spec, &value));
		cr_assert_lt(value.relay, 4);
		cr_expect_eq(value.relay, rig.event_relay, "the entry names the relay that knows");
		seen[value.relay]++;
		rig_expect(&spec, HOLD, COUNTED_syn_retransmit, "same relay for the same tuple");
	}
}

Test(syn, syns_are_spread_over_the_relays_by_tuple)
{
	unsigned seen[4] = { 0 };

	rig_open(&(struct rig_options){ .relays = 4 });
	check_relays(false, seen);
	check_relays(true, seen);
	for (unsigned relay = 0; relay < 4; relay++)
		cr_expect_gt(seen[relay], 0, "relay %u of 4 got none of 128 SYNs", relay);
}

/* A client that hears nothing sends its SYN again with another flow label
 * (RFC 6438, 3), which is part of the packet's hash. */
Test(syn, retransmission_with_another_flow_label_is_recognised)
{
	struct packet_spec spec = { .ipv6 = true };

	rig_open(&(struct rig_options){ .relays = 4 });
	rig_expect(&spec, HOLD, COUNTED_syn_held, "SYN");
	for (spec.flow_label = 1; spec.flow_label < 32; spec.flow_label++)
		rig_expect(&spec, HOLD, COUNTED_syn_retransmit, "SYN with another flow label");
	cr_expect_eq(rig.events, 1);
	cr_expect_eq(rig_budgets_in_use(), 1);
}

Test(syn, new_try_with_another_flow_label_goes_to_the_same_relay)
{
	struct packet_spec spec = { .ipv6 = true };
	unsigned relay;

	rig_open(&(struct rig_options){ .relays = 4 });
	rig_expect(&spec, HOLD, COUNTED_syn_held, "SYN");
	relay = rig.event_relay;
	for (spec.flow_label = 1; spec.flow_label < 32; spec.flow_label++) {
		spec.seq = 1000 + spec.flow_label;
		rig_expect(&spec, HOLD, COUNTED_syn_held, "another SYN");
		cr_expect_eq(rig.event.isn, spec.seq);
		cr_expect_eq(rig.event_relay, relay);
	}
	cr_expect_eq(rig.events, 32);
	cr_expect_eq(rig_budgets_in_use(), 1);
}

/* The relay has the SYN: were its retransmission to pass, the client would be
 * connected both ways. */
static void check_kept(bool ipv6)
{
	struct packet_spec spec = { .ipv6 = ipv6 };

	rig_reset();
	rig_expect(&spec, HOLD, COUNTED_syn_held, "SYN");
	rig_delete_ring();
	rig_expect(&spec, HOLD, COUNTED_syn_retransmit, "SYN again, ring buffer full");
	rig_set_port(PORT_DRAINING);
	rig_expect(&spec, HOLD, COUNTED_syn_retransmit, "SYN again, port being withdrawn");
	intercept_set_accepting(rig.intercept, false);
	rig_expect(&spec, HOLD, COUNTED_syn_retransmit, "SYN again, gateway being stopped");
	rig_set_heartbeat(0);
	rig_set_port(0);
	intercept_set_accepting(rig.intercept, true);
	rig_expect(&spec, PASS, COUNTED_relay_stale, "SYN again, relay dead");
	cr_expect_eq(rig.events, 1);
}

Test(syn, retransmission_is_dropped_as_long_as_the_relay_lives)
{
	rig_open(NULL);
	check_kept(false);
	check_kept(true);
}

static void check_dead_relay(bool ipv6)
{
	struct packet_spec spec = { .ipv6 = ipv6 };
	struct half_open_value value;

	rig_reset();
	rig_expect(&spec, HOLD, COUNTED_syn_held, "SYN");
	cr_assert(rig_half_open(&spec, &value));
	intercept_forget_relay(rig.intercept, value.relay);
	cr_expect_eq(rig_budgets_in_use(), 0, "budgets after the relay's death");
	cr_expect_not(rig_half_open(&spec, &value));
	rig_expect(&spec, PASS, COUNTED_relay_stale, "its retransmission finds the way itself");
}

Test(syn, syn_of_a_relay_that_died_passes_when_it_comes_again)
{
	rig_open(&(struct rig_options){ .relays = 2 });
	check_dead_relay(false);
	check_dead_relay(true);
}
