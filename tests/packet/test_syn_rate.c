// SPDX-License-Identifier: GPL-2.0
/* syn-rate: a client's SYNs beyond it pass, by either way in, and others' are still taken. */
#include <time.h>

#include "rewrite.h"

#define RATE 20
#define SYNS 200

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One SYN; from another port each. */
static void send_syn(enum rewrite_hook hook, bool ipv6, uint8_t client, unsigned number)
{
	struct packet_spec spec = { .ipv6 = ipv6,
				    .from_last = client,
				    .from_port = (uint16_t)(1024 + number) };
	struct packet packet, out;

	packet_build(&spec, &packet);
	rewrite_run(hook, &packet, 0, &out);
	rig_consume();
}

static void check_flood(enum rewrite_hook hook, bool ipv6)
{
	unsigned moved[COUNTERS_END], held = 0, over = 0;
	double began, took;

	rig_reset();
	rewrite_set_listen_port(ipv6);
	began = now_s();
	for (unsigned i = 0; i < SYNS; i++) {
		send_syn(hook, ipv6, 3, i);
		rig_counters_moved(moved);
		held += moved[COUNTED_syn_held];
		over += moved[COUNTED_over_rate];
	}
	took = now_s() - began;
	cr_expect_eq(held + over, SYNS, "%s: %u held, %u over", family_name(ipv6), held, over);
	cr_expect_geq(held, RATE, "%s: only %u were held", family_name(ipv6), held);
	/* A second's worth that is saved, the first one, and what has come meanwhile. */
	cr_expect_leq(held, RATE + 1 + (unsigned)(took * RATE) + 1, "%s: %u held in %.3f s",
		      family_name(ipv6), held, took);
	send_syn(hook, ipv6, 4, 0);
	rig_counters_moved(moved);
	rig_expect_counter(moved, COUNTED_syn_held, family_name(ipv6), "another client's SYN");
	/* What is held already is known, and costs nothing. */
	send_syn(hook, ipv6, 3, 0);
	rig_counters_moved(moved);
	rig_expect_counter(moved, COUNTED_syn_retransmit, family_name(ipv6), "a retransmission");
}

Test(syn_rate, xdp_passes_what_is_beyond_it)
{
	struct rig_options options = { .syn_rate = RATE };

	rig_open(&options);
	rewrite_open();
	check_flood(HOOK_XDP, false);
	check_flood(HOOK_XDP, true);
}

Test(syn_rate, tc_passes_what_is_beyond_it)
{
	struct rig_options options = { .syn_rate = RATE };

	rig_open(&options);
	rewrite_open();
	rig.skeleton->data_gateway->taking_way = WAY_TC;
	check_flood(HOOK_TC_INGRESS, false);
	check_flood(HOOK_TC_INGRESS, true);
}
