// SPDX-License-Identifier: GPL-2.0
/* SYNs of a registered port that pass because nobody could serve them. */
#include <time.h>

#include "rig.h"

static uint64_t now_ns(void)
{
	struct timespec now;

	cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void never_served(bool ipv6)
{
	(void)ipv6;
	rig_set_heartbeat(0);
}

static void stale(bool ipv6)
{
	(void)ipv6;
	rig_set_heartbeat(now_ns() - RELAY_STALE_NS);
}

static void draining_port(bool ipv6)
{
	(void)ipv6;
	rig_set_port(PORT_DRAINING);
}

static void draining_early_port(bool ipv6)
{
	(void)ipv6;
	rig_set_port(PORT_DRAINING | PORT_EARLY);
}

static void draining_gateway(bool ipv6)
{
	(void)ipv6;
	intercept_set_accepting(rig.intercept, false);
}

static void no_ring(bool ipv6)
{
	(void)ipv6;
	rig_delete_ring();
}

static const struct row rows[] = {
	{ "relay that never served",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  COUNTED_relay_stale,
	  .arrange = never_served },
	{ "relay silent for a second",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  COUNTED_relay_stale,
	  .arrange = stale },
	{ "port that is being withdrawn",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  COUNTED_draining,
	  .arrange = draining_port },
	{ "early port that is being withdrawn",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  COUNTED_draining,
	  .arrange = draining_early_port },
	{ "gateway that is being stopped",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  COUNTED_draining,
	  .arrange = draining_gateway },
	{ "relay without a ring buffer",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  COUNTED_ring_full,
	  .arrange = no_ring },
};

Test(fail_open, syn_that_nobody_can_serve_passes)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, rows);
}

Test(fail_open, full_ring_buffer_passes_until_the_relay_has_read)
{
	struct packet_spec spec = { 0 };
	unsigned held = 0;
	struct outcome outcome;

	rig_open(&(struct rig_options){ .half_open_per_client = 8192 });
	do {
		struct packet packet;

		spec.from_port = (uint16_t)(1024 + held);
		packet_build(&spec, &packet);
		outcome = rig_run(rig.skeleton->progs.lan_ingress_ethernet, &packet, 0, LO_IFINDEX);
		held += outcome.moved[COUNTED_syn_held];
	} while (outcome.verdict == HOLD && held < 8192);
	cr_expect_eq(outcome.verdict, PASS);
	rig_expect_counter(outcome.moved, COUNTED_ring_full, "IPv4", "full ring buffer");
	cr_expect_geq(held, 900, "room for %u SYNs", held);
	cr_expect_eq(intercept_half_open_count(rig.intercept), held);
	cr_expect_eq(rig_budgets_in_use(), held);
	rig_consume();
	cr_expect_eq(rig.events, held);
	rig_expect(&spec, HOLD, COUNTED_syn_held, "after the relay has read");
}

static void check_client_budget(bool ipv6)
{
	struct packet_spec spec = { .ipv6 = ipv6 };
	struct half_open_key key;

	rig_reset();
	for (uint16_t port = 1024; port < 1027; port++) {
		spec.from_port = port;
		rig_expect(&spec, HOLD, COUNTED_syn_held, "within the client's budget");
	}
	spec.from_port = 1027;
	rig_expect(&spec, PASS, COUNTED_client_over_budget, "over the client's budget");
	cr_expect_eq(rig_budgets_in_use(), 3);
	cr_expect_eq(intercept_half_open_count(rig.intercept), 3);
	spec.from_port = 1024;
	rig_expect(&spec, HOLD, COUNTED_syn_retransmit, "retransmission within the budget");
	spec.from_port = 1027;
	spec.from_last = 3;
	rig_expect(&spec, HOLD, COUNTED_syn_held, "another client");
	/* The relay is done with one of the first client's. */
	spec.from_last = 0;
	spec.from_port = 1024;
	key = rig_tuple(&spec);
	cr_expect_eq(bpf_map__delete_elem(rig.skeleton->maps.half_open, &key, sizeof(key), 0), 0);
	rig_expect(&spec, PASS, COUNTED_client_over_budget, "before its place is given back");
}

Test(fail_open, client_over_its_budget_passes_and_others_are_served)
{
	rig_open(&(struct rig_options){ .half_open_per_client = 3 });
	check_client_budget(false);
	check_client_budget(true);
}

static void check_total_budget(bool ipv6)
{
	struct packet_spec spec = { .ipv6 = ipv6 };

	rig_reset();
	for (uint8_t client = 1; client <= 4; client++) {
		spec.from_last = client;
		rig_expect(&spec, HOLD, COUNTED_syn_held, "within the budget in all");
	}
	spec.from_last = 5;
	rig_expect(&spec, PASS, COUNTED_half_open_full, "over the budget in all");
	cr_expect_eq(rig_budgets_in_use(), 4, "the refused SYN is on nobody's budget");
	cr_expect_eq(intercept_half_open_count(rig.intercept), 4);
	cr_expect_eq(rig.events, 4);
	spec.from_last = 4;
	rig_expect(&spec, HOLD, COUNTED_syn_retransmit, "retransmission within the budget");
}

Test(fail_open, more_half_open_than_the_table_holds_pass)
{
	rig_open(&(struct rig_options){ .half_open = 4 });
	check_total_budget(false);
	check_total_budget(true);
}
