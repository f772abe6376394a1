// SPDX-License-Identifier: GPL-2.0
/* XDP and ICMP errors: what they are about is rewritten as well, both ways. */
#include <netinet/in.h>
#include <string.h>

#include "checksum.h"
#include "leg.h"
#include "rewrite.h"

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

Test(xdp_icmp, icmp_errors_are_about_what_their_receiver_knows)
{
	rewrite_open_legs();
	for (size_t i = 0; i < sizeof(icmp_rows) / sizeof(icmp_rows[0]); i++) {
		if (icmp_rows[i].families != IPV6_ONLY)
			check_icmp_row(&icmp_rows[i], false);
		if (icmp_rows[i].families != IPV4_ONLY)
			check_icmp_row(&icmp_rows[i], true);
	}
}
