// SPDX-License-Identifier: GPL-2.0
/*
 * The XDP way in: what it rewrites on the way in, to the gateway's address and
 * the listen port, and what it leaves as it is. Every byte is compared, so all
 * checksums verify.
 */
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "leg.h"
#include "rewrite.h"

static void early(bool ipv6)
{
	rig_set_port(PORT_EARLY);
	rig_set_listener(ipv6);
}

static void early_without_listener(bool ipv6)
{
	(void)ipv6;
	rig_set_port(PORT_EARLY);
}

static void draining_port(bool ipv6)
{
	(void)ipv6;
	rig_set_port(PORT_DRAINING);
}

static void dead_relay(bool ipv6)
{
	(void)ipv6;
	rig_set_heartbeat(0);
}

static void no_ring(bool ipv6)
{
	(void)ipv6;
	rig_delete_ring();
}

static const struct rewrite_row leg_rows[] = {
	{ "ACK", BOTH_FAMILIES, { .flags = ACK }, { LANDED, .flags = ACK }, false, TAKEN },
	{ "FIN",
	  BOTH_FAMILIES,
	  { .flags = ACK | FIN },
	  { LANDED, .flags = ACK | FIN },
	  false,
	  TAKEN },
	{ "RST", BOTH_FAMILIES, { .flags = RST }, { LANDED, .flags = RST }, false, TAKEN },
	{ "SYN", BOTH_FAMILIES, { 0 }, { LANDED }, false, TAKEN },
	{ "data",
	  BOTH_FAMILIES,
	  { .flags = ACK, .payload = 1000 },
	  { LANDED, .flags = ACK, .payload = 1000 },
	  false,
	  TAKEN },
	{ "an odd number of bytes",
	  BOTH_FAMILIES,
	  { .flags = ACK | PSH, .payload = 1399 },
	  { LANDED, .flags = ACK | PSH, .payload = 1399 },
	  false,
	  TAKEN },
	{ "TCP options",
	  BOTH_FAMILIES,
	  { .flags = ACK, .tcp_options = 40 },
	  { LANDED, .flags = ACK, .tcp_options = 40 },
	  false,
	  TAKEN },
	{ "IP options",
	  IPV4_ONLY,
	  { .flags = ACK, .ip_options = 40 },
	  { LANDED, .flags = ACK, .ip_options = 40 },
	  false,
	  TAKEN },
	{ "extension headers",
	  IPV6_ONLY,
	  { .flags = ACK, .extensions = { HOP_BY_HOP, DESTINATION } },
	  { LANDED, .flags = ACK, .extensions = { HOP_BY_HOP, DESTINATION } },
	  false,
	  TAKEN },
	{ "a VLAN tag",
	  BOTH_FAMILIES,
	  { .flags = ACK, .tags = { ETH_P_8021Q } },
	  { LANDED, .flags = ACK, .tags = { ETH_P_8021Q } },
	  false,
	  TAKEN },
	{ "three VLAN tags",
	  BOTH_FAMILIES,
	  { .flags = ACK, .tags = { ETH_P_8021AD, ETH_P_8021Q, ETH_P_8021Q } },
	  { LANDED, .flags = ACK, .tags = { ETH_P_8021AD, ETH_P_8021Q, ETH_P_8021Q } },
	  false,
	  TAKEN },
	{ "being withdrawn",
	  BOTH_FAMILIES,
	  { .flags = ACK },
	  { LANDED, .flags = ACK },
	  false,
	  TAKEN,
	  .arrange = draining_port },
	{ "relay not seen alive",
	  BOTH_FAMILIES,
	  { .flags = ACK },
	  { LANDED, .flags = ACK },
	  false,
	  TAKEN,
	  .arrange = dead_relay },
	{ "another client's",
	  BOTH_FAMILIES,
	  { .from_last = 3, .flags = ACK },
	  .unchanged = true,
	  .counter = COUNTED_older_flow,
	  .verdict = XDP_PASS },
	{ "a fragment",
	  IPV4_ONLY,
	  { .flags = ACK, .fragment = 0x2000 },
	  .unchanged = true,
	  .counter = COUNTED_fragment,
	  .verdict = XDP_PASS },
	{ "a fragment",
	  IPV6_ONLY,
	  { .flags = ACK, .extensions = { FRAGMENT } },
	  .unchanged = true,
	  .counter = COUNTED_fragment,
	  .verdict = XDP_PASS },
	{ "for another host",
	  BOTH_FAMILIES,
	  { .flags = ACK, .to_mac = "\x02\0\0\0\0\x0b" },
	  .unchanged = true,
	  .counter = COUNTED_other_host,
	  .verdict = XDP_PASS },
	{ "header cut short",
	  BOTH_FAMILIES,
	  { .flags = ACK, .cut = 1 },
	  .unchanged = true,
	  .counter = COUNTED_unparsed,
	  .verdict = XDP_PASS },
};

Test(xdp, packets_of_a_leg_land_at_it)
{
	rewrite_open_legs();
	CHECK_REWRITES(HOOK_XDP, leg_rows);
}

static const struct rewrite_row other_rows[] = {
	{ "SYN to be accepted early",
	  BOTH_FAMILIES,
	  { .tcp_options = 20 },
	  { LANDED, .tcp_options = 20 },
	  false,
	  COUNTED_syn_early,
	  XDP_PASS,
	  .arrange = early },
	{ "the same without a listener",
	  BOTH_FAMILIES,
	  { 0 },
	  .unchanged = true,
	  .counter = COUNTED_no_listener,
	  .verdict = XDP_PASS,
	  .arrange = early_without_listener },
	{ "SYN to be held",
	  BOTH_FAMILIES,
	  { 0 },
	  .unchanged = true,
	  .counter = COUNTED_syn_held,
	  .verdict = XDP_DROP },
	{ "SYN, port being withdrawn",
	  BOTH_FAMILIES,
	  { 0 },
	  .unchanged = true,
	  .counter = COUNTED_draining,
	  .verdict = XDP_PASS,
	  .arrange = draining_port },
	{ "SYN, relay not seen alive",
	  BOTH_FAMILIES,
	  { 0 },
	  .unchanged = true,
	  .counter = COUNTED_relay_stale,
	  .verdict = XDP_PASS,
	  .arrange = dead_relay },
	{ "SYN, no room in the ring",
	  BOTH_FAMILIES,
	  { 0 },
	  .unchanged = true,
	  .counter = COUNTED_ring_full,
	  .verdict = XDP_PASS,
	  .arrange = no_ring },
	{ "of an older flow",
	  BOTH_FAMILIES,
	  { .flags = ACK, .payload = 100 },
	  .unchanged = true,
	  .counter = COUNTED_older_flow,
	  .verdict = XDP_PASS },
	{ "to a port that is not served",
	  BOTH_FAMILIES,
	  { .to_port = 81 },
	  .unchanged = true,
	  .counter = COUNTED_no_port,
	  .verdict = XDP_PASS },
	{ "to nobody's remote",
	  BOTH_FAMILIES,
	  { .to = STRANGER },
	  .unchanged = true,
	  .counter = COUNTED_no_proxy,
	  .verdict = XDP_PASS },
	{ "to the listen port itself",
	  BOTH_FAMILIES,
	  { .to = GATEWAY, .to_port = LISTEN_PORT },
	  .unchanged = true,
	  .counter = COUNTED_no_proxy,
	  .verdict = XDP_PASS },
	{ "UDP",
	  BOTH_FAMILIES,
	  { .protocol = IPPROTO_UDP },
	  .unchanged = true,
	  .counter = COUNTED_not_tcp,
	  .verdict = XDP_PASS },
	{ "ARP",
	  IPV4_ONLY,
	  { .ethertype = ETH_P_ARP },
	  .unchanged = true,
	  .counter = COUNTED_not_ip,
	  .verdict = XDP_PASS },
};

Test(xdp, what_belongs_to_no_leg_is_left_as_it_is)
{
	rig_open(NULL);
	rewrite_open();
	CHECK_REWRITES(HOOK_XDP, other_rows);
}

Test(xdp, without_an_address_of_the_family_nothing_is_taken)
{
	static const struct rewrite_row rows[] = {
		{ "SYN",
		  BOTH_FAMILIES,
		  { 0 },
		  .unchanged = true,
		  .counter = COUNTED_no_listen_port,
		  .verdict = XDP_PASS },
	};

	rig_open(NULL);
	rewrite_open();
	rewrite_delete_addresses();
	CHECK_REWRITES(HOOK_XDP, rows);
}

Test(xdp, relay_is_told_where_the_leg_will_land)
{
	rig_open(NULL);
	rewrite_open();
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct packet_spec spec = { .ipv6 = ipv6, .tags = { ETH_P_8021Q }, .payload = 9 };
		struct packet_spec landed = { .ipv6 = ipv6, LANDED };
		struct half_open_key tuple = rig_tuple(&spec), landing = rig_tuple(&landed);
		struct packet packet, out;

		rig_reset();
		rewrite_set_listen_port(ipv6);
		packet_build(&spec, &packet);
		cr_assert_eq(rewrite_run(HOOK_XDP, &packet, 0, &out), XDP_DROP);
		rig_consume();
		cr_assert_eq(rig.events, 1);
		cr_expect_arr_eq(&rig.event.tuple, &tuple, sizeof(tuple), "tuple");
		cr_expect_arr_eq(&rig.event.landing, &landing, sizeof(landing), "landing");
		cr_expect_eq(rig.event.frame_len, packet.headers_end);
		cr_expect_arr_eq(rig.event.frame, packet.bytes, packet.headers_end, "frame");
		/* Again: it is known. */
		cr_assert_eq(rewrite_run(HOOK_XDP, &packet, 0, &out), XDP_DROP);
		rig_consume();
		cr_expect_eq(rig.events, 1);
	}
}

/* While XDP takes connections, and none of tc's runs, tc looks at nothing. */
Test(xdp, tc_counts_nothing_of_what_xdp_has_seen)
{
	static const struct rewrite_row rows[] = {
		{ "SYN", BOTH_FAMILIES, { 0 }, .unchanged = true, .verdict = PASS },
		{ "ACK", BOTH_FAMILIES, { .flags = ACK }, .unchanged = true, .verdict = PASS },
		{ "landed",
		  BOTH_FAMILIES,
		  { LANDED, .flags = ACK },
		  .unchanged = true,
		  .verdict = PASS },
		{ "held SYN on its way back",
		  BOTH_FAMILIES,
		  { LANDED },
		  .unchanged = true,
		  .counter = COUNTED_syn_reinjected,
		  .verdict = PASS,
		  .mark = MARK_REINJECT },
	};

	rig_open(NULL);
	rewrite_open();
	CHECK_REWRITES(HOOK_TC_INGRESS, rows);
}
