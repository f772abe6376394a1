// SPDX-License-Identifier: GPL-2.0
/* ICMP errors: those about a packet that a leg of ours sent are taken, all others pass. */
#include <netinet/in.h>

#include "leg.h"
#include "rig.h"

#define OTHER_BITS 0x00abcdefU

/* What the leg, REMOTE's end of the connection, and others have sent. */
#define SENT_BY_LEG .from = REMOTE, .to = CLIENT, .from_port = SERVICE_PORT, .to_port = CLIENT_PORT
static const struct packet_spec by_leg = { SENT_BY_LEG, .flags = ACK };
static const struct packet_spec by_leg_with_options = { SENT_BY_LEG, .flags = ACK,
							.ip_options = 40 };
static const struct packet_spec by_leg_first_fragment = { SENT_BY_LEG, .flags = ACK,
							  .fragment = 0x2000 };
static const struct packet_spec by_leg_later_fragment = { SENT_BY_LEG, .flags = ACK,
							  .fragment = 100 };
static const struct packet_spec by_leg_with_extension = { SENT_BY_LEG, .flags = ACK,
							  .extensions = { FRAGMENT } };
static const struct packet_spec by_stranger = { .from = STRANGER,
						.to = CLIENT,
						.from_port = SERVICE_PORT,
						.to_port = CLIENT_PORT,
						.flags = ACK };
static const struct packet_spec by_listener = { .from = REMOTE,
						.to = CLIENT,
						.from_port = SERVICE_PORT,
						.to_port = 40001,
						.flags = ACK };
static const struct packet_spec by_udp = { SENT_BY_LEG, .protocol = IPPROTO_UDP };

/* An error about a packet, from a router on the way. */
#define ERROR4(type, code, about)                                                \
	{                                                                        \
		.from = STRANGER, .protocol = IPPROTO_ICMP, .icmp_type = (type), \
		.icmp_code = (code), .quoted = &(about)                          \
	}
#define ERROR6(type, code, about)                                                  \
	{                                                                          \
		.from = STRANGER, .protocol = IPPROTO_ICMPV6, .icmp_type = (type), \
		.icmp_code = (code), .quoted = &(about)                            \
	}
/* The same with the last bytes missing. */
#define ERROR4_CUT(missing)                                                                    \
	{                                                                                      \
		.from = STRANGER, .protocol = IPPROTO_ICMP, .icmp_type = 3, .quoted = &by_leg, \
		.cut = (missing)                                                               \
	}
#define ERROR6_CUT(missing)                                                                      \
	{                                                                                        \
		.from = STRANGER, .protocol = IPPROTO_ICMPV6, .icmp_type = 1, .quoted = &by_leg, \
		.cut = (missing)                                                                 \
	}

/* The columns of an error that is taken. */
#define TAKEN TAKE, COUNTED_icmp_to_leg, .mark_out = MARK_STEAL

static const struct row taken_rows[] = {
	{ "host unreachable", IPV4_ONLY, ERROR4(3, 1, by_leg), TAKEN },
	{ "port unreachable", IPV4_ONLY, ERROR4(3, 3, by_leg), TAKEN },
	{ "fragmentation needed", IPV4_ONLY, ERROR4(3, 4, by_leg), TAKEN },
	{ "time exceeded", IPV4_ONLY, ERROR4(11, 0, by_leg), TAKEN },
	{ "parameter problem", IPV4_ONLY, ERROR4(12, 0, by_leg), TAKEN },
	{ "quoting IP options", IPV4_ONLY, ERROR4(3, 4, by_leg_with_options), TAKEN },
	{ "quoting a first fragment", IPV4_ONLY, ERROR4(3, 4, by_leg_first_fragment), TAKEN },
	{ "quoting eight bytes of TCP", IPV4_ONLY, ERROR4_CUT(12), TAKEN },
	{ "quoting just the ports", IPV4_ONLY, ERROR4_CUT(16), TAKEN },
	{ "destination unreachable", IPV6_ONLY, ERROR6(1, 4, by_leg), TAKEN },
	{ "packet too big", IPV6_ONLY, ERROR6(2, 0, by_leg), TAKEN },
	{ "time exceeded", IPV6_ONLY, ERROR6(3, 0, by_leg), TAKEN },
	{ "parameter problem", IPV6_ONLY, ERROR6(4, 1, by_leg), TAKEN },
	{ "quoting just the ports", IPV6_ONLY, ERROR6_CUT(16), TAKEN },
	{ "other software's bits in the mark", IPV4_ONLY, ERROR4(3, 4, by_leg), TAKE,
	  COUNTED_icmp_to_leg, .mark = OTHER_BITS, .mark_out = OTHER_BITS | MARK_STEAL },
	{ "other software's bits in the mark", IPV6_ONLY, ERROR6(2, 0, by_leg), TAKE,
	  COUNTED_icmp_to_leg, .mark = OTHER_BITS, .mark_out = OTHER_BITS | MARK_STEAL },
};

static const struct row passed_rows[] = {
	{ "about a stranger's packet", IPV4_ONLY, ERROR4(3, 1, by_stranger), PASS,
	  .counter = COUNTED_not_tcp },
	{ "about what only a listener could have sent", IPV4_ONLY, ERROR4(3, 1, by_listener), PASS,
	  .counter = COUNTED_not_tcp },
	{ "about UDP", IPV4_ONLY, ERROR4(3, 3, by_udp), PASS, .counter = COUNTED_not_tcp },
	{ "quoting a later fragment", IPV4_ONLY, ERROR4(3, 1, by_leg_later_fragment), PASS,
	  .counter = COUNTED_not_tcp },
	{ "redirect", IPV4_ONLY, ERROR4(5, 1, by_leg), PASS, .counter = COUNTED_not_tcp },
	{ "source quench", IPV4_ONLY, ERROR4(4, 0, by_leg), PASS, .counter = COUNTED_not_tcp },
	{ "quoting three bytes of TCP", IPV4_ONLY, ERROR4_CUT(17), PASS,
	  .counter = COUNTED_unparsed },
	{ "quoting half an IP header", IPV4_ONLY, ERROR4_CUT(30), PASS,
	  .counter = COUNTED_unparsed },
	{ "quoting nothing", IPV4_ONLY, ERROR4_CUT(40), PASS, .counter = COUNTED_unparsed },
	{ "header cut short", IPV4_ONLY, ERROR4_CUT(41), PASS, .counter = COUNTED_not_tcp },
	{ "about a stranger's packet", IPV6_ONLY, ERROR6(1, 0, by_stranger), PASS,
	  .counter = COUNTED_not_tcp },
	{ "about what only a listener could have sent", IPV6_ONLY, ERROR6(1, 0, by_listener), PASS,
	  .counter = COUNTED_not_tcp },
	{ "about UDP", IPV6_ONLY, ERROR6(1, 4, by_udp), PASS, .counter = COUNTED_not_tcp },
	{ "quoting a fragment", IPV6_ONLY, ERROR6(2, 0, by_leg_with_extension), PASS,
	  .counter = COUNTED_not_tcp },
	{ "information, not an error", IPV6_ONLY, ERROR6(129, 0, by_leg), PASS,
	  .counter = COUNTED_not_tcp },
	{ "quoting three bytes of TCP", IPV6_ONLY, ERROR6_CUT(17), PASS,
	  .counter = COUNTED_unparsed },
	{ "quoting half an IP header", IPV6_ONLY, ERROR6_CUT(40), PASS,
	  .counter = COUNTED_unparsed },
	{ "quoting nothing", IPV6_ONLY, ERROR6_CUT(60), PASS, .counter = COUNTED_unparsed },
	{ "header cut short", IPV6_ONLY, ERROR6_CUT(61), PASS, .counter = COUNTED_not_tcp },
};

static const struct row wan_rows[] = {
	{ "fragmentation needed", IPV4_ONLY, ERROR4(3, 4, by_leg), TAKEN },
	{ "packet too big", IPV6_ONLY, ERROR6(2, 0, by_leg), TAKEN },
	{ "about a stranger's packet", IPV4_ONLY, ERROR4(3, 1, by_stranger), PASS,
	  .counter = COUNTED_NOTHING },
	{ "about a stranger's packet", IPV6_ONLY, ERROR6(1, 0, by_stranger), PASS,
	  .counter = COUNTED_NOTHING },
};

static void open_legs(void)
{
	rig_open(NULL);
	leg_addresses();
	leg_open(false);
	leg_open(true);
}

Test(icmp, error_about_a_packet_of_a_leg_is_taken)
{
	open_legs();
	CHECK_ROWS(lan_ingress_ethernet, taken_rows);
}

Test(icmp, all_other_icmp_passes)
{
	open_legs();
	CHECK_ROWS(lan_ingress_ethernet, passed_rows);
}

Test(icmp, wan_interface_takes_the_same_errors)
{
	open_legs();
	CHECK_ROWS(wan_ingress_ethernet, wan_rows);
}
