// SPDX-License-Identifier: GPL-2.0
/* XDP and next-hop entries: remotes behind one router share a listen port. */
#include <netinet/in.h>

#include "leg.h"
#include "rewrite.h"

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

Test(xdp_nexthop, a_leg_gets_nothing_that_is_for_another_remote_behind_the_same_router)
{
	rewrite_open_legs();
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
Test(xdp_nexthop, only_a_syn_that_is_taken_is_kept_in_nexthop_flows)
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

Test(xdp_nexthop, a_full_table_of_nexthop_flows_keeps_those_it_has)
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
