// SPDX-License-Identifier: GPL-2.0
/* XDP, on the way out: answers of LAN legs have the remote's address back. */
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "leg.h"
#include "rewrite.h"

static void half_open(bool ipv6)
{
	struct packet_spec syn = { .ipv6 = ipv6 };
	struct packet packet, out;

	packet_build(&syn, &packet);
	cr_assert_eq(rewrite_run(HOOK_XDP, &packet, 0, &out), XDP_DROP);
}

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

Test(xdp_reply, answers_have_the_remotes_address_back)
{
	rig_open(NULL);
	rewrite_open();
	CHECK_REWRITES(HOOK_TC_EGRESS, reply_rows);
}

Test(xdp_reply, a_leg_is_known_by_its_socket_when_its_mark_is_lost)
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

	rewrite_open_legs();
	CHECK_REWRITES(HOOK_TC_EGRESS, rows);
}

static void landing_of_stranger(bool ipv6)
{
	rewrite_set_nexthop(ipv6);
	rewrite_keep_landing(STRANGER, ipv6, false);
}

Test(xdp_reply, a_service_of_the_gateways_own_at_a_listen_port_is_left_alone)
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
Test(xdp_reply, a_listener_at_a_listen_port_is_not_in_the_way)
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
