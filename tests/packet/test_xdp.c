// SPDX-License-Identifier: GPL-2.0
/*
 * The XDP way in: what it rewrites on the way in, to the gateway's address and
 * the listen port, and what it leaves as it is. Every byte is compared, so all
 * checksums verify.
 */
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "checksum.h"
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

/* What a landed packet differs in from the one that arrived. */
#define LANDED .to = GATEWAY, .to_port = LISTEN_PORT
#define TAKEN .counter = COUNTED_to_leg, .verdict = XDP_PASS

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

static void open_legs(void)
{
	rig_open(NULL);
	leg_addresses();
	rewrite_open();
	leg_open_landed(false);
	leg_open_landed(true);
}

Test(xdp, packets_of_a_leg_land_at_it)
{
	open_legs();
	CHECK_REWRITES(HOOK_XDP, leg_rows);
}

/* ---- remotes behind one router, which share a listen port ---- */

static const struct packet_spec by_stranger = { .from = STRANGER,
						.from_port = SERVICE_PORT,
						.to = CLIENT,
						.to_port = CLIENT_PORT,
						.flags = ACK };

static void leg_to_remote(bool ipv6)
{
	rewrite_set_nexthop(ipv6);
	rewrite_keep_landing(REMOTE, ipv6, false);
}

static void leg_to_remote_and_stale_entry(bool ipv6)
{
	leg_to_remote(ipv6);
	rewrite_keep_landing(STRANGER, ipv6, true);
}

static void landing_of_stranger(bool ipv6)
{
	rewrite_set_nexthop(ipv6);
	rewrite_keep_landing(STRANGER, ipv6, false);
}

static const struct rewrite_row shared_rows[] = {
	{ "of the leg",
	  BOTH_FAMILIES,
	  { .flags = ACK },
	  { LANDED, .flags = ACK },
	  false,
	  TAKEN,
	  .arrange = leg_to_remote },
	{ "of an older flow to the other remote",
	  BOTH_FAMILIES,
	  { .to = STRANGER, .flags = ACK },
	  .unchanged = true,
	  .counter = COUNTED_older_flow,
	  .verdict = XDP_PASS,
	  .arrange = leg_to_remote },
	{ "SYN to the other remote",
	  BOTH_FAMILIES,
	  { .to = STRANGER },
	  .unchanged = true,
	  .counter = COUNTED_listen_port_busy,
	  .verdict = XDP_PASS,
	  .arrange = leg_to_remote },
	{ "ACK to the other remote, which had the listen port before",
	  BOTH_FAMILIES,
	  { .to = STRANGER, .flags = ACK },
	  .unchanged = true,
	  .counter = COUNTED_older_flow,
	  .verdict = XDP_PASS,
	  .arrange = leg_to_remote_and_stale_entry },
	{ "SYN to the other remote, which had the listen port before",
	  BOTH_FAMILIES,
	  { .to = STRANGER },
	  .unchanged = true,
	  .counter = COUNTED_listen_port_busy,
	  .verdict = XDP_PASS,
	  .arrange = leg_to_remote_and_stale_entry },
	{ "ICMP error about a flow to the other remote",
	  IPV4_ONLY,
	  { .protocol = IPPROTO_ICMP,
	    .icmp_type = 3,
	    .icmp_code = 4,
	    .from = ROUTER,
	    .to = STRANGER,
	    .quoted = &by_stranger },
	  .unchanged = true,
	  .counter = COUNTED_not_tcp,
	  .verdict = XDP_PASS,
	  .arrange = leg_to_remote },
};

Test(xdp, a_leg_gets_nothing_that_is_for_another_remote_behind_the_same_router)
{
	open_legs();
	CHECK_REWRITES(HOOK_XDP, shared_rows);
}

/* Sends a SYN to the remote behind a router, expects that counter, and returns how
 * many entries it has left, all with its ISN. */
static unsigned entries_after_syn(bool ipv6, uint32_t isn, enum counter counter)
{
	struct packet_spec spec = { .ipv6 = ipv6, .seq = isn };
	unsigned moved[COUNTERS_END];
	struct packet packet, out;

	packet_build(&spec, &packet);
	rig_counters_moved(moved);
	rewrite_run(HOOK_XDP, &packet, 0, &out);
	rig_counters_moved(moved);
	rig_expect_counter(moved, counter, family_name(ipv6), "SYN to a remote behind a router");
	return rewrite_nexthop_flows(isn);
}

/* Entries are for connections that relays have: nobody takes away those of others. */
Test(xdp, only_a_syn_that_is_taken_is_kept_in_nexthop_flows)
{
	rig_open(&(struct rig_options){ .half_open_per_client = 1 });
	rewrite_open();
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct packet_spec other = { .ipv6 = ipv6, .from_port = 1 };
		struct packet packet, out;

		rig_reset();
		rewrite_set_nexthop(ipv6);
		rig_set_heartbeat(0);
		cr_expect_eq(entries_after_syn(ipv6, 1, COUNTED_relay_stale), 0);
		rig_set_heartbeat(UINT64_MAX);
		rig_delete_ring();
		cr_expect_eq(entries_after_syn(ipv6, 1, COUNTED_ring_full), 0);
		rig_reset();
		rewrite_set_listen_port(ipv6);
		packet_build(&other, &packet);
		cr_assert_eq(rewrite_run(HOOK_XDP, &packet, 0, &out), XDP_DROP);
		rewrite_set_nexthop(ipv6);
		cr_expect_eq(entries_after_syn(ipv6, 1, COUNTED_client_over_budget), 0);
		rig_reset();
		rewrite_set_nexthop(ipv6);
		cr_expect_eq(entries_after_syn(ipv6, 1, COUNTED_syn_held), 2);
		rig_consume();
		cr_expect_eq(rig.event.shared_landing, 1);
		/* The relay ends the flow of the SYN before, and must find that this is another's. */
		cr_expect_eq(entries_after_syn(ipv6, 2, COUNTED_syn_held), 2);
	}
}

Test(xdp, a_full_table_of_nexthop_flows_keeps_those_it_has)
{
	for (uint32_t room = 1; room <= 2; room++) {
		struct packet_spec other = { .from_port = 1, .seq = 1 };
		struct packet packet, out;

		rig_open(&(struct rig_options){ .nexthop_flows = room });
		rewrite_open();
		rewrite_set_nexthop(false);
		packet_build(&other, &packet);
		if (room == 2)
			cr_assert_eq(rewrite_run(HOOK_XDP, &packet, 0, &out), XDP_DROP);
		cr_expect_eq(entries_after_syn(false, 1, COUNTED_nexthop_full), room == 2 ? 2 : 0);
		cr_expect_eq(rig_budgets_in_use(), room == 2 ? 1 : 0);
		rig_consume();
		cr_expect_eq(rig.events, room == 2 ? 1 : 0);
	}
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

/* ---- on the way out ---- */

static void half_open(bool ipv6)
{
	struct packet_spec syn = { .ipv6 = ipv6 };
	struct packet packet, out;

	packet_build(&syn, &packet);
	cr_assert_eq(rewrite_run(HOOK_XDP, &packet, 0, &out), XDP_DROP);
}

#define SENT .from = GATEWAY, .from_port = LISTEN_PORT, .to = CLIENT, .to_port = CLIENT_PORT
#define AS_REMOTE .from = REMOTE, .from_port = SERVICE_PORT, .to = CLIENT, .to_port = CLIENT_PORT
#define REWRITTEN .counter = COUNTED_reply_rewritten, .verdict = PASS

static const struct rewrite_row reply_rows[] = {
	{ "SYN+ACK",
	  BOTH_FAMILIES,
	  { SENT, .flags = SYN | ACK, .tcp_options = 20 },
	  { AS_REMOTE, .flags = SYN | ACK, .tcp_options = 20 },
	  false,
	  REWRITTEN,
	  .mark = MARK_LAN_LEG },
	{ "data",
	  BOTH_FAMILIES,
	  { SENT, .flags = ACK, .payload = 1001 },
	  { AS_REMOTE, .flags = ACK, .payload = 1001 },
	  false,
	  REWRITTEN,
	  .mark = MARK_LAN_LEG },
	{ "reset",
	  BOTH_FAMILIES,
	  { SENT, .flags = RST },
	  { AS_REMOTE, .flags = RST },
	  false,
	  REWRITTEN,
	  .mark = MARK_LAN_LEG },
	{ "a VLAN tag",
	  BOTH_FAMILIES,
	  { SENT, .flags = ACK, .tags = { ETH_P_8021Q } },
	  { AS_REMOTE, .flags = ACK, .tags = { ETH_P_8021Q } },
	  false,
	  REWRITTEN,
	  .mark = MARK_LAN_LEG },
	{ "with other software's mark",
	  BOTH_FAMILIES,
	  { SENT, .flags = ACK },
	  { AS_REMOTE, .flags = ACK },
	  false,
	  REWRITTEN,
	  .mark = MARK_LAN_LEG | 0xabcdef },
	{ "the listener's, whose mark is lost",
	  BOTH_FAMILIES,
	  { SENT, .flags = SYN | ACK },
	  { AS_REMOTE, .flags = SYN | ACK },
	  false,
	  REWRITTEN,
	  .arrange = half_open },
	{ "a stranger's reset",
	  BOTH_FAMILIES,
	  { SENT, .flags = RST },
	  .unchanged = true,
	  .verdict = PASS },
	{ "from another port",
	  BOTH_FAMILIES,
	  { .from = GATEWAY, .from_port = 22, .to = CLIENT, .to_port = CLIENT_PORT, .flags = ACK },
	  .unchanged = true,
	  .verdict = PASS,
	  .mark = MARK_LAN_LEG },
	{ "from another address",
	  BOTH_FAMILIES,
	  { .from = STRANGER, .from_port = LISTEN_PORT, .to = CLIENT, .flags = ACK },
	  .unchanged = true,
	  .verdict = PASS,
	  .mark = MARK_LAN_LEG },
	{ "a fragment",
	  IPV4_ONLY,
	  { SENT, .flags = ACK, .fragment = 0x2000 },
	  .unchanged = true,
	  .verdict = PASS,
	  .mark = MARK_LAN_LEG },
	{ "UDP",
	  BOTH_FAMILIES,
	  { SENT, .protocol = IPPROTO_UDP },
	  .unchanged = true,
	  .verdict = PASS },
};

Test(xdp, answers_have_the_remotes_address_back)
{
	rig_open(NULL);
	rewrite_open();
	CHECK_REWRITES(HOOK_TC_EGRESS, reply_rows);
}

Test(xdp, a_leg_is_known_by_its_socket_when_its_mark_is_lost)
{
	static const struct rewrite_row rows[] = {
		{ "ACK",
		  BOTH_FAMILIES,
		  { SENT, .flags = ACK },
		  { AS_REMOTE, .flags = ACK },
		  false,
		  REWRITTEN },
		{ "reset in its name",
		  BOTH_FAMILIES,
		  { SENT, .flags = RST },
		  { AS_REMOTE, .flags = RST },
		  false,
		  REWRITTEN },
	};

	open_legs();
	CHECK_REWRITES(HOOK_TC_EGRESS, rows);
}

Test(xdp, a_service_of_the_gateways_own_at_a_listen_port_is_left_alone)
{
	static const struct rewrite_row rows[] = {
		{ "SYN+ACK",
		  BOTH_FAMILIES,
		  { SENT, .flags = SYN | ACK },
		  .unchanged = true,
		  .verdict = PASS },
		{ "data",
		  BOTH_FAMILIES,
		  { SENT, .flags = ACK, .payload = 100 },
		  .unchanged = true,
		  .verdict = PASS },
	};

	/* Nor does what its client sends to the remote end there. */
	static const struct rewrite_row swallowed[] = {
		{ "SYN to the remote",
		  BOTH_FAMILIES,
		  { 0 },
		  .unchanged = true,
		  .counter = COUNTED_listen_port_busy,
		  .verdict = XDP_PASS },
		{ "ACK to the remote",
		  BOTH_FAMILIES,
		  { .flags = ACK },
		  .unchanged = true,
		  .counter = COUNTED_older_flow,
		  .verdict = XDP_PASS },
	};

	rig_open(NULL);
	leg_addresses();
	rewrite_open();
	leg_open_own_service(false);
	leg_open_own_service(true);
	CHECK_REWRITES(HOOK_TC_EGRESS, rows);
	CHECK_REWRITES(HOOK_XDP, swallowed);
}

/* It listens to all addresses; SYNs that are known go to the relay's listener all the same. */
Test(xdp, a_listener_at_a_listen_port_is_not_in_the_way)
{
	static const struct rewrite_row rows[] = {
		{ "SYN",
		  BOTH_FAMILIES,
		  { 0 },
		  .unchanged = true,
		  .counter = COUNTED_syn_held,
		  .verdict = XDP_DROP },
		{ "SYN, a remote behind a router",
		  BOTH_FAMILIES,
		  { 0 },
		  .unchanged = true,
		  .counter = COUNTED_syn_held,
		  .verdict = XDP_DROP,
		  .arrange = landing_of_stranger },
	};

	rig_open(NULL);
	leg_addresses();
	rewrite_open();
	leg_listen_own_service(false);
	leg_listen_own_service(true);
	CHECK_REWRITES(HOOK_XDP, rows);
}

/* ---- ICMP errors ---- */

static const struct packet_spec by_leg = { AS_REMOTE, .flags = ACK };
static const struct packet_spec by_leg_with_options = { AS_REMOTE, .flags = ACK, .ip_options = 40 };
static const struct packet_spec by_landing = { SENT, .flags = ACK };
static const struct packet_spec by_landing_with_options = { SENT, .flags = ACK, .ip_options = 40 };
static const struct packet_spec to_landing = { LANDED, .flags = ACK };
static const struct packet_spec to_remote = { .flags = ACK };

struct icmp_row {
	const char *description;
	enum families families;
	enum rewrite_hook hook;
	uint8_t type;
	uint8_t code;
	const struct packet_spec *about; /* in the packet that arrives */
	const struct packet_spec *about_then; /* in the one that comes out */
	enum address_name from, to, to_then;
};

static const struct icmp_row icmp_rows[] = {
	{ "fragmentation needed", IPV4_ONLY, HOOK_XDP, 3, 4, &by_leg, &by_landing, STRANGER, REMOTE,
	  GATEWAY },
	{ "quoting IP options", IPV4_ONLY, HOOK_XDP, 3, 1, &by_leg_with_options,
	  &by_landing_with_options, STRANGER, REMOTE, GATEWAY },
	{ "packet too big", IPV6_ONLY, HOOK_XDP, 2, 0, &by_leg, &by_landing, STRANGER, REMOTE,
	  GATEWAY },
	{ "a firewall of the gateway's", IPV4_ONLY, HOOK_TC_EGRESS, 3, 13, &to_landing, &to_remote,
	  GATEWAY, CLIENT, CLIENT },
	{ "a firewall of the gateway's", IPV6_ONLY, HOOK_TC_EGRESS, 1, 1, &to_landing, &to_remote,
	  GATEWAY, CLIENT, CLIENT },
};

static struct packet_spec icmp_spec(const struct icmp_row *row, bool ipv6, bool then)
{
	return (struct packet_spec){ .ipv6 = ipv6,
				     .protocol = ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
				     .icmp_type = row->type,
				     .icmp_code = row->code,
				     .from = row->from,
				     .to = then ? row->to_then : row->to,
				     .quoted = then ? row->about_then : row->about };
}

/* The checksum of what is quoted is as it was: nobody looks at it. Puts it into
 * what is wanted, with the ICMP checksum that follows from it. */
static void quote_same_checksum(const struct packet_spec *spec, const struct packet *in,
				struct packet *wanted)
{
	size_t quoted_l3 = wanted->l4_offset + 8, icmp_length = wanted->length - wanted->l4_offset;
	size_t at = quoted_l3 + (spec->ipv6 ? 40U : (wanted->bytes[quoted_l3] & 15U) * 4) + 16;
	uint8_t *icmp = wanted->bytes + wanted->l4_offset, source[16], destination[16];
	uint16_t sum;

	memcpy(wanted->bytes + at, in->bytes + at, 2);
	memset(icmp + 2, 0, 2);
	packet_address(spec->from, spec->ipv6, source);
	packet_address(spec->to, spec->ipv6, destination);
	if (spec->ipv6)
		sum = checksum_transport(source, destination, IPPROTO_ICMPV6, icmp, icmp_length);
	else
		sum = checksum_finish(checksum_add(0, icmp, icmp_length));
	memcpy(icmp + 2, &sum, sizeof(sum));
}

static void check_icmp_row(const struct icmp_row *row, bool ipv6)
{
	struct packet_spec in_spec = icmp_spec(row, ipv6, false);
	struct packet_spec wanted_spec = icmp_spec(row, ipv6, true);
	struct packet in, wanted, out;
	unsigned moved[COUNTERS_END];
	int verdict;

	rig_reset();
	rewrite_set_listen_port(ipv6);
	packet_build(&in_spec, &in);
	packet_build(&wanted_spec, &wanted);
	quote_same_checksum(&wanted_spec, &in, &wanted);
	verdict = rewrite_run(row->hook, &in, 0, &out);
	cr_expect_eq(verdict, row->hook == HOOK_XDP ? (int)XDP_PASS : PASS, "%s, %s: verdict %d",
		     family_name(ipv6), row->description, verdict);
	rig_counters_moved(moved);
	rig_expect_counter(moved,
			   row->hook == HOOK_XDP ? COUNTED_icmp_to_leg : COUNTED_reply_rewritten,
			   family_name(ipv6), row->description);
	cr_expect_eq(out.length, wanted.length);
	cr_expect_arr_eq(out.bytes, wanted.bytes, wanted.length, "%s, %s: what came out",
			 family_name(ipv6), row->description);
}

Test(xdp, icmp_errors_are_about_what_their_receiver_knows)
{
	open_legs();
	for (size_t i = 0; i < sizeof(icmp_rows) / sizeof(icmp_rows[0]); i++) {
		if (icmp_rows[i].families != IPV6_ONLY)
			check_icmp_row(&icmp_rows[i], false);
		if (icmp_rows[i].families != IPV4_ONLY)
			check_icmp_row(&icmp_rows[i], true);
	}
}
