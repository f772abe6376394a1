// SPDX-License-Identifier: GPL-2.0
/* connect = early: the SYN goes to the listener at once, and the relay hears of
 * it. As in test_leg.c, a listener that was found shows as assign_failed. */
#include "rig.h"

static void check_early(bool ipv6)
{
	struct packet_spec spec = { .ipv6 = ipv6, .tcp_options = 20, .payload = 100 };
	struct half_open_value value;

	rig_reset();
	rig_set_port(PORT_EARLY);
	rig_set_listener(ipv6);
	rig_expect(&spec, PASS, COUNTED_assign_failed, "SYN");
	cr_assert_eq(rig.events, 1);
	cr_expect_eq(rig.event.held, 0, "the frame does not wait for the relay");
	cr_expect_eq(rig.event.isn, ISN);
	cr_expect_eq(rig.event.port.flags, PORT_EARLY);
	cr_assert(rig_half_open(&spec, &value));
	cr_expect_eq(value.isn, ISN);
	cr_expect_eq(rig_budgets_in_use(), 1);
}

Test(early, syn_goes_to_the_listener_and_the_relay_is_told)
{
	rig_open(NULL);
	check_early(false);
	check_early(true);
}

static void early_port(bool ipv6)
{
	(void)ipv6;
	rig_set_port(PORT_EARLY);
}

static void early_dead_relay(bool ipv6)
{
	early_port(ipv6);
	rig_set_listener(ipv6);
	rig_set_heartbeat(0);
}

static void early_no_ring(bool ipv6)
{
	early_port(ipv6);
	rig_set_listener(ipv6);
	rig_delete_ring();
}

static const struct row rows[] = {
	{ "relay not seen alive",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  COUNTED_relay_stale,
	  .arrange = early_dead_relay },
	{ "no ring buffer", BOTH_FAMILIES, { 0 }, PASS, COUNTED_ring_full, .arrange = early_no_ring },
	{ "ACK without a leg",
	  BOTH_FAMILIES,
	  { .flags = ACK },
	  PASS,
	  COUNTED_older_flow,
	  .arrange = early_port },
};

Test(early, syn_that_nobody_can_serve_passes)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, rows);
}

static void check_no_listener(bool ipv6)
{
	struct packet_spec spec = { .ipv6 = ipv6 };

	rig_reset();
	rig_set_port(PORT_EARLY);
	rig_expect(&spec, PASS, COUNTED_no_listener, "SYN without a listener");
	rig_expect(&spec, PASS, COUNTED_no_listener, "the same again");
	cr_expect_eq(rig.events, 0, "what passes is not the relay's as well");
	cr_expect_eq(rig_budgets_in_use(), 0);
}

Test(early, syn_without_a_listener_passes)
{
	rig_open(NULL);
	check_no_listener(false);
	check_no_listener(true);
}
