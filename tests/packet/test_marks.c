// SPDX-License-Identifier: GPL-2.0
/*
 * The bits of skb->mark that are ours: how a held SYN comes back, and that
 * other software's bits stay. As in test_leg.c, a socket that was found shows
 * as assign_failed in a test run.
 */
#include "rig.h"

#define OTHER_BITS 0x0abcdef1U

static const struct row egress_rows[] = {
	{ "no mark", BOTH_FAMILIES, { 0 }, PASS, .counter = COUNTED_NOTHING },
	{ "other software's mark",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  .mark = OTHER_BITS,
	  .mark_out = OTHER_BITS },
	{ "stolen packet's mark",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  .mark = MARK_STEAL,
	  .mark_out = MARK_STEAL },
	{ "all our bits", BOTH_FAMILIES, { 0 }, PASS, .mark = MARK_MASK, .mark_out = MARK_MASK },
	{ "SYN for the listener",
	  BOTH_FAMILIES,
	  { 0 },
	  TC_ACT_REDIRECT,
	  .mark = MARK_REINJECT,
	  .mark_out = MARK_REINJECT },
	{ "SYN to be forwarded",
	  BOTH_FAMILIES,
	  { 0 },
	  TC_ACT_REDIRECT,
	  .mark = MARK_FORWARD,
	  .mark_out = MARK_FORWARD },
	{ "SYN for the listener, other bits",
	  BOTH_FAMILIES,
	  { 0 },
	  TC_ACT_REDIRECT,
	  .mark = MARK_REINJECT | OTHER_BITS,
	  .mark_out = MARK_REINJECT | OTHER_BITS },
	{ "SYN to be forwarded, other bits",
	  BOTH_FAMILIES,
	  { 0 },
	  TC_ACT_REDIRECT,
	  .mark = MARK_FORWARD | OTHER_BITS,
	  .mark_out = MARK_FORWARD | OTHER_BITS },
};

Test(marks, egress_turns_held_syns_around_and_nothing_else)
{
	rig_open(NULL);
	CHECK_ROWS(lan_egress_ethernet, egress_rows);
}

static const struct row forward_rows[] = {
	{ "SYN",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  COUNTED_forward_again,
	  .mark = MARK_FORWARD,
	  .mark_out = 0 },
	{ "SYN, other bits",
	  BOTH_FAMILIES,
	  { 0 },
	  PASS,
	  COUNTED_forward_again,
	  .mark = MARK_FORWARD | OTHER_BITS,
	  .mark_out = OTHER_BITS },
	{ "SYN in QinQ",
	  BOTH_FAMILIES,
	  { .tags = { 0x88a8, 0x8100 } },
	  PASS,
	  COUNTED_forward_again,
	  .mark = MARK_FORWARD,
	  .mark_out = 0 },
};

Test(marks, syn_given_back_by_the_relay_is_forwarded_without_its_mark)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, forward_rows);
}

static const struct row foreign_rows[] = {
	{ "SYN",
	  BOTH_FAMILIES,
	  { 0 },
	  HOLD,
	  COUNTED_syn_held,
	  .mark = OTHER_BITS,
	  .mark_out = OTHER_BITS },
	{ "ACK",
	  BOTH_FAMILIES,
	  { .flags = ACK },
	  PASS,
	  COUNTED_older_flow,
	  .mark = OTHER_BITS,
	  .mark_out = OTHER_BITS },
	{ "UDP",
	  BOTH_FAMILIES,
	  { .protocol = 17 },
	  PASS,
	  COUNTED_not_tcp,
	  .mark = OTHER_BITS,
	  .mark_out = OTHER_BITS },
	{ "another destination",
	  BOTH_FAMILIES,
	  { .to = STRANGER },
	  PASS,
	  COUNTED_no_proxy,
	  .mark = OTHER_BITS,
	  .mark_out = OTHER_BITS },
	{ "SYN, a value of our bits that we do not use",
	  BOTH_FAMILIES,
	  { 0 },
	  HOLD,
	  COUNTED_syn_held,
	  .mark = 0x10000000,
	  .mark_out = 0x10000000 },
};

Test(marks, bits_of_other_software_stay)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, foreign_rows);
}

static void reinject(const struct packet_spec *spec, enum counter counter, const char *description)
{
	struct outcome outcome;
	struct packet packet;

	packet_build(spec, &packet);
	outcome = rig_run(rig.skeleton->progs.lan_ingress_ethernet, &packet,
			  MARK_REINJECT | OTHER_BITS, LO_IFINDEX);
	cr_expect_eq(outcome.verdict, PASS, "%s, %s: verdict %d", family_name(spec->ipv6),
		     description, outcome.verdict);
	/* With its mark it would be turned around by the next LAN interface it leaves by. */
	cr_expect_eq(outcome.mark, OTHER_BITS, "%s, %s: mark 0x%08x", family_name(spec->ipv6),
		     description, outcome.mark);
	rig_expect_counter(outcome.moved, counter, family_name(spec->ipv6), description);
	rig_consume();
}

static void check_reinjected(bool ipv6)
{
	struct packet_spec spec = { .ipv6 = ipv6 };

	rig_reset();
	reinject(&spec, COUNTED_no_listener, "without a half-open entry");
	cr_expect_eq(rig.events, 0, "it is not held once more");
	rig_expect(&spec, HOLD, COUNTED_syn_held, "SYN");
	reinject(&spec, COUNTED_no_listener, "without a listener");
	rig_set_listener(!ipv6);
	reinject(&spec, COUNTED_no_listener, "without a listener of its family");
	rig_set_listener(ipv6);
	reinject(&spec, COUNTED_assign_failed, "with a listener");
	rig_set_heartbeat(0);
	reinject(&spec, COUNTED_assign_failed, "whatever the heartbeat says");
	cr_expect_eq(rig.events, 1, "the relay hears of it once");
	cr_expect_eq(rig_budgets_in_use(), 1);
}

Test(marks, reinjected_syn_goes_to_the_listener_of_the_relay_that_held_it)
{
	rig_open(NULL);
	check_reinjected(false);
	check_reinjected(true);
}
