// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that belong to a socket of this host. In a test run bpf_sk_assign()
 * says EOPNOTSUPP, as the packet is not at tc ingress: that a socket was found
 * shows as assign_failed, that there was none as something else. What happens
 * at tc ingress is in test_delivery.c.
 */
#include "leg.h"
#include "rig.h"

#define FOUND COUNTED_assign_failed

static void draining_port(bool ipv6)
{
	(void)ipv6;
	rig_set_port(PORT_DRAINING);
}

static void draining_gateway(bool ipv6)
{
	(void)ipv6;
	intercept_set_accepting(rig.intercept, false);
}

static void dead_relay(bool ipv6)
{
	(void)ipv6;
	rig_set_heartbeat(0);
}

static void no_proxy(bool ipv6)
{
	rig_delete_proxy(REMOTE, ipv6);
}

static const struct row established_rows[] = {
	{ "ACK", BOTH_FAMILIES, { .flags = ACK }, PASS, .counter = FOUND },
	{ "data", BOTH_FAMILIES, { .flags = ACK | PSH, .payload = 1000 }, PASS, .counter = FOUND },
	{ "FIN", BOTH_FAMILIES, { .flags = ACK | FIN }, PASS, .counter = FOUND },
	{ "RST", BOTH_FAMILIES, { .flags = RST }, PASS, .counter = FOUND },
	{ "SYN", BOTH_FAMILIES, { .flags = SYN }, PASS, .counter = FOUND },
	{ "ACK with IP options",
	  IPV4_ONLY,
	  { .ip_options = 40, .flags = ACK },
	  PASS,
	  .counter = FOUND },
	{ "ACK with extension headers",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP, DESTINATION }, .flags = ACK },
	  PASS,
	  .counter = FOUND },
	{ "ACK, port being withdrawn",
	  BOTH_FAMILIES,
	  { .flags = ACK },
	  PASS,
	  FOUND,
	  .arrange = draining_port },
	{ "ACK, gateway being stopped",
	  BOTH_FAMILIES,
	  { .flags = ACK },
	  PASS,
	  FOUND,
	  .arrange = draining_gateway },
	{ "ACK, relay not seen alive",
	  BOTH_FAMILIES,
	  { .flags = ACK },
	  PASS,
	  FOUND,
	  .arrange = dead_relay },
	{ "ACK, proxy withdrawn",
	  BOTH_FAMILIES,
	  { .flags = ACK },
	  PASS,
	  COUNTED_no_proxy,
	  .arrange = no_proxy },
	{ "ACK from another port",
	  BOTH_FAMILIES,
	  { .from_port = 40001, .flags = ACK },
	  PASS,
	  .counter = COUNTED_older_flow },
	{ "ACK from another client",
	  BOTH_FAMILIES,
	  { .from_last = 3, .flags = ACK },
	  PASS,
	  .counter = COUNTED_older_flow },
	{ "SYN that only a listener of this host would take",
	  BOTH_FAMILIES,
	  { .from_port = 40001 },
	  HOLD,
	  .counter = COUNTED_syn_held },
};

Test(leg, packets_of_a_leg_find_it)
{
	rig_open(NULL);
	leg_addresses();
	leg_open(false);
	leg_open(true);
	CHECK_ROWS(lan_ingress_ethernet, established_rows);
}

static const struct row time_wait_rows[] = {
	{ "SYN", BOTH_FAMILIES, { .flags = SYN }, HOLD, .counter = COUNTED_syn_held },
	{ "ACK", BOTH_FAMILIES, { .flags = ACK }, PASS, .counter = FOUND },
	{ "FIN", BOTH_FAMILIES, { .flags = ACK | FIN }, PASS, .counter = FOUND },
	{ "RST", BOTH_FAMILIES, { .flags = RST }, PASS, .counter = FOUND },
	{ "SYN+ACK", BOTH_FAMILIES, { .flags = SYN | ACK }, PASS, .counter = FOUND },
};

Test(leg, only_a_syn_overlooks_a_leg_in_time_wait)
{
	rig_open(NULL);
	leg_addresses();
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct leg leg = leg_open(ipv6);

		leg_close(&leg);
	}
	CHECK_ROWS(lan_ingress_ethernet, time_wait_rows);
}

static const struct row wan_rows[] = {
	{ "ACK of a leg", BOTH_FAMILIES, { .flags = ACK }, PASS, .counter = FOUND },
	{ "SYN+ACK of a leg", BOTH_FAMILIES, { .flags = SYN | ACK }, PASS, .counter = FOUND },
	{ "ACK of a leg, proxy withdrawn",
	  BOTH_FAMILIES,
	  { .flags = ACK },
	  PASS,
	  FOUND,
	  .arrange = no_proxy },
	{ "ACK of nobody",
	  BOTH_FAMILIES,
	  { .from_port = 40001, .flags = ACK },
	  PASS,
	  .counter = COUNTED_NOTHING },
	{ "SYN to a registered port",
	  BOTH_FAMILIES,
	  { .from_port = 40001 },
	  PASS,
	  .counter = COUNTED_NOTHING },
	{ "UDP", BOTH_FAMILIES, { .protocol = 17 }, PASS, .counter = COUNTED_NOTHING },
	{ "ARP", IPV4_ONLY, { .ethertype = 0x0806 }, PASS, .counter = COUNTED_NOTHING },
	{ "fragment of a leg",
	  IPV4_ONLY,
	  { .flags = ACK, .fragment = 0x2000 },
	  PASS,
	  .counter = COUNTED_NOTHING },
	{ "TCP header cut short",
	  BOTH_FAMILIES,
	  { .flags = ACK, .cut = 1 },
	  PASS,
	  .counter = COUNTED_NOTHING },
	{ "ACK of a leg, frame for another host",
	  BOTH_FAMILIES,
	  { .to_mac = "\x02\0\0\0\0\x0b", .flags = ACK },
	  PASS,
	  .counter = COUNTED_NOTHING },
};

Test(leg, wan_interface_looks_for_legs_and_counts_nothing_else)
{
	rig_open(NULL);
	leg_addresses();
	leg_open(false);
	leg_open(true);
	CHECK_ROWS(wan_ingress_ethernet, wan_rows);
}
