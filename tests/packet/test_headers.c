// SPDX-License-Identifier: GPL-2.0
/* Which packets are looked into: link header, VLAN tags, IP and TCP headers of every shape. */
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "rig.h"

#define MORE_FRAGMENTS 0x2000
#define DONT_FRAGMENT 0x4000

/* Lengths of an extension header that is just walked, and that is too long. */
#define WORDS_OF_64_BYTES 7
#define WORDS_OF_72_BYTES 8

static const struct row not_tcp_rows[] = {
	{ "ARP", IPV4_ONLY, { .ethertype = ETH_P_ARP }, PASS, .counter = COUNTED_not_ip },
	{ "PPPoE", BOTH_FAMILIES, { .ethertype = ETH_P_PPP_SES }, PASS, .counter = COUNTED_not_ip },
	{ "802.3 length", BOTH_FAMILIES, { .ethertype = 46 }, PASS, .counter = COUNTED_not_ip },
	{ "UDP", BOTH_FAMILIES, { .protocol = IPPROTO_UDP }, PASS, .counter = COUNTED_not_tcp },
	{ "SCTP", BOTH_FAMILIES, { .protocol = IPPROTO_SCTP }, PASS, .counter = COUNTED_not_tcp },
	{ "GRE", BOTH_FAMILIES, { .protocol = IPPROTO_GRE }, PASS, .counter = COUNTED_not_tcp },
	{ "echo request",
	  IPV4_ONLY,
	  { .protocol = IPPROTO_ICMP, .icmp_type = 8 },
	  PASS,
	  .counter = COUNTED_not_tcp },
	{ "redirect",
	  IPV4_ONLY,
	  { .protocol = IPPROTO_ICMP, .icmp_type = 5 },
	  PASS,
	  .counter = COUNTED_not_tcp },
	{ "echo request",
	  IPV6_ONLY,
	  { .protocol = IPPROTO_ICMPV6, .icmp_type = 128 },
	  PASS,
	  .counter = COUNTED_not_tcp },
	{ "neighbour solicitation",
	  IPV6_ONLY,
	  { .protocol = IPPROTO_ICMPV6, .icmp_type = 135 },
	  PASS,
	  .counter = COUNTED_not_tcp },
	{ "IPv4 with ICMPv6",
	  IPV4_ONLY,
	  { .protocol = IPPROTO_ICMPV6, .icmp_type = 1 },
	  PASS,
	  .counter = COUNTED_not_tcp },
	{ "IPv6 with ICMP",
	  IPV6_ONLY,
	  { .protocol = IPPROTO_ICMP, .icmp_type = 3 },
	  PASS,
	  .counter = COUNTED_not_tcp },
};

Test(headers, what_is_not_tcp_over_ip_passes)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, not_tcp_rows);
}

static const struct row fragment_rows[] = {
	{ "first", IPV4_ONLY, { .fragment = MORE_FRAGMENTS }, PASS, .counter = COUNTED_fragment },
	{ "middle",
	  IPV4_ONLY,
	  { .fragment = MORE_FRAGMENTS | 185 },
	  PASS,
	  .counter = COUNTED_fragment },
	{ "last", IPV4_ONLY, { .fragment = 185 }, PASS, .counter = COUNTED_fragment },
	{ "greatest offset", IPV4_ONLY, { .fragment = 0x1fff }, PASS, .counter = COUNTED_fragment },
	{ "of an ICMP error",
	  IPV4_ONLY,
	  { .protocol = IPPROTO_ICMP, .icmp_type = 3, .fragment = MORE_FRAGMENTS },
	  PASS,
	  .counter = COUNTED_fragment },
	{ "of UDP",
	  IPV4_ONLY,
	  { .protocol = IPPROTO_UDP, .fragment = MORE_FRAGMENTS },
	  PASS,
	  .counter = COUNTED_not_tcp },
	{ "not to be fragmented",
	  IPV4_ONLY,
	  { .fragment = DONT_FRAGMENT },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "fragment header",
	  IPV6_ONLY,
	  { .extensions = { FRAGMENT } },
	  PASS,
	  .counter = COUNTED_fragment },
	{ "fragment header behind another",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP, FRAGMENT } },
	  PASS,
	  .counter = COUNTED_fragment },
	{ "fragment header of UDP",
	  IPV6_ONLY,
	  { .extensions = { FRAGMENT }, .protocol = IPPROTO_UDP },
	  PASS,
	  .counter = COUNTED_fragment },
};

Test(headers, fragments_pass)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, fragment_rows);
}

static const struct row ipv4_rows[] = {
	{ "version 6 in an IPv4 frame",
	  IPV4_ONLY,
	  { .version = 6 },
	  PASS,
	  .counter = COUNTED_unparsed },
	{ "IHL 1", IPV4_ONLY, { .ihl = 1 }, PASS, .counter = COUNTED_unparsed },
	{ "IHL 4", IPV4_ONLY, { .ihl = 4 }, PASS, .counter = COUNTED_unparsed },
	{ "IHL 5", IPV4_ONLY, { .ihl = 5 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 6", IPV4_ONLY, { .ip_options = 4 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 7", IPV4_ONLY, { .ip_options = 8 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 8", IPV4_ONLY, { .ip_options = 12 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 9", IPV4_ONLY, { .ip_options = 16 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 10", IPV4_ONLY, { .ip_options = 20 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 11", IPV4_ONLY, { .ip_options = 24 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 12", IPV4_ONLY, { .ip_options = 28 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 13", IPV4_ONLY, { .ip_options = 32 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 14", IPV4_ONLY, { .ip_options = 36 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 15", IPV4_ONLY, { .ip_options = 40 }, HOLD, .counter = COUNTED_syn_held },
	{ "IHL 15, all TCP options",
	  IPV4_ONLY,
	  { .ip_options = 40, .tcp_options = 40 },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "IHL beyond the end", IPV4_ONLY, { .ihl = 15 }, PASS, .counter = COUNTED_unparsed },
};

Test(headers, ipv4_options_are_stepped_over)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, ipv4_rows);
}

static const struct row ipv6_rows[] = {
	{ "version 4 in an IPv6 frame",
	  IPV6_ONLY,
	  { .version = 4 },
	  PASS,
	  .counter = COUNTED_unparsed },
	{ "hop-by-hop",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP } },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "routing", IPV6_ONLY, { .extensions = { ROUTING } }, HOLD, .counter = COUNTED_syn_held },
	{ "routing with segments left",
	  IPV6_ONLY,
	  { .extensions = { ROUTING }, .segments_left = 1 },
	  PASS,
	  .counter = COUNTED_unparsed },
	{ "destination options",
	  IPV6_ONLY,
	  { .extensions = { DESTINATION } },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "two",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP, DESTINATION } },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "three",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP, DESTINATION, ROUTING } },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "four",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP, DESTINATION, ROUTING, DESTINATION } },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "four and all TCP options",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP, DESTINATION, ROUTING, DESTINATION }, .tcp_options = 40 },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "five",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP, DESTINATION, ROUTING, DESTINATION, DESTINATION } },
	  PASS,
	  .counter = COUNTED_unparsed },
	{ "64 bytes",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP }, .extension_words = WORDS_OF_64_BYTES },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "64 bytes and all TCP options",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP }, .extension_words = WORDS_OF_64_BYTES, .tcp_options = 40 },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "72 bytes",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP }, .extension_words = WORDS_OF_72_BYTES },
	  PASS,
	  .counter = COUNTED_unparsed },
	{ "authentication header",
	  IPV6_ONLY,
	  { .extensions = { AUTHENTICATION } },
	  PASS,
	  .counter = COUNTED_not_tcp },
	{ "UDP behind one",
	  IPV6_ONLY,
	  { .extensions = { HOP_BY_HOP }, .protocol = IPPROTO_UDP },
	  PASS,
	  .counter = COUNTED_not_tcp },
	{ "no next header",
	  IPV6_ONLY,
	  { .protocol = IPPROTO_NONE },
	  PASS,
	  .counter = COUNTED_not_tcp },
};

Test(headers, ipv6_extension_headers_are_walked_up_to_four_and_64_bytes)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, ipv6_rows);
}

/* The kernel takes the outermost tag off before the program sees the frame. */
static const struct row vlan_rows[] = {
	{ "one tag", BOTH_FAMILIES, { .tags = { ETH_P_8021Q } }, HOLD, .counter = COUNTED_syn_held },
	{ "two tags",
	  BOTH_FAMILIES,
	  { .tags = { ETH_P_8021Q, ETH_P_8021Q } },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "QinQ",
	  BOTH_FAMILIES,
	  { .tags = { ETH_P_8021AD, ETH_P_8021Q } },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "two tags and all TCP options",
	  BOTH_FAMILIES,
	  { .tags = { ETH_P_8021AD, ETH_P_8021Q }, .tcp_options = 40 },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "three tags",
	  BOTH_FAMILIES,
	  { .tags = { ETH_P_8021AD, ETH_P_8021Q, ETH_P_8021Q } },
	  PASS,
	  .counter = COUNTED_not_ip },
	{ "MPLS behind a tag",
	  BOTH_FAMILIES,
	  { .tags = { ETH_P_8021Q }, .ethertype = ETH_P_MPLS_UC },
	  PASS,
	  .counter = COUNTED_not_ip },
};

Test(headers, two_vlan_tags_in_the_frame_are_stepped_over)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, vlan_rows);
}

static const struct row tcp_rows[] = {
	{ "data offset 1", BOTH_FAMILIES, { .doff = 1 }, PASS, .counter = COUNTED_unparsed },
	{ "data offset 4", BOTH_FAMILIES, { .doff = 4 }, PASS, .counter = COUNTED_unparsed },
	{ "data offset 6 in a packet of 5",
	  BOTH_FAMILIES,
	  { .doff = 6 },
	  PASS,
	  .counter = COUNTED_unparsed },
	{ "data offset 15 in a packet of 14",
	  BOTH_FAMILIES,
	  { .doff = 15, .tcp_options = 36 },
	  PASS,
	  .counter = COUNTED_unparsed },
	{ "four bytes of options",
	  BOTH_FAMILIES,
	  { .tcp_options = 4 },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "20 bytes of options",
	  BOTH_FAMILIES,
	  { .tcp_options = 20 },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "40 bytes of options",
	  BOTH_FAMILIES,
	  { .tcp_options = 40 },
	  HOLD,
	  .counter = COUNTED_syn_held },
};

Test(headers, tcp_options_of_every_length_are_kept)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, tcp_rows);
}

static const struct row other_host_rows[] = {
	{ "another host's address",
	  BOTH_FAMILIES,
	  { .to_mac = "\x02\0\0\0\0\x0b" },
	  PASS,
	  .counter = COUNTED_other_host },
	{ "multicast",
	  BOTH_FAMILIES,
	  { .to_mac = "\x01\0\x5e\0\0\x01" },
	  PASS,
	  .counter = COUNTED_other_host },
	{ "broadcast",
	  BOTH_FAMILIES,
	  { .to_mac = "\xff\xff\xff\xff\xff\xff" },
	  PASS,
	  .counter = COUNTED_other_host },
	{ "ARP to another host",
	  IPV4_ONLY,
	  { .to_mac = "\x02\0\0\0\0\x0b", .ethertype = ETH_P_ARP },
	  PASS,
	  .counter = COUNTED_other_host },
};

Test(headers, frames_for_another_host_pass)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, other_host_rows);
}

/* BPF_PROG_TEST_RUN wants the link header whole, and the IP header too unless a
 * tag hides it from the kernel. */
static size_t shortest_runnable(const struct packet_spec *spec)
{
	if (spec->tags[0])
		return ETH_HLEN;
	return ETH_HLEN + (spec->ipv6 ? 40 : 20);
}

static void check_cut(const struct packet_spec *spec, const char *description)
{
	struct packet packet;
	struct outcome outcome;

	packet_build(spec, &packet);
	for (packet.length = shortest_runnable(spec); packet.length < packet.headers_end;
	     packet.length++) {
		outcome = rig_run(rig.skeleton->progs.lan_ingress_ethernet, &packet, 0, LO_IFINDEX);
		cr_expect_eq(outcome.verdict, PASS, "%s: %zu bytes", description, packet.length);
		rig_expect_counter(outcome.moved, COUNTED_unparsed, family_name(spec->ipv6),
				   description);
	}
	rig_consume();
	cr_expect_eq(rig.events, 0, "%s", description);
	rig_expect(spec, HOLD, COUNTED_syn_held, description);
	rig_reset();
}

Test(headers, packets_cut_short_anywhere_pass)
{
	static const struct packet_spec specs[] = {
		{ .ipv6 = false },
		{ .ip_options = 8, .tcp_options = 12 },
		{ .tags = { ETH_P_8021AD, ETH_P_8021Q }, .tcp_options = 40 },
		{ .ipv6 = true },
		{ .ipv6 = true, .extensions = { HOP_BY_HOP, DESTINATION }, .tcp_options = 12 },
		{ .ipv6 = true, .tags = { ETH_P_8021Q } },
	};
	static const char *const descriptions[] = {
		"IPv4", "IPv4 with options",	       "IPv4 in QinQ",
		"IPv6", "IPv6 with extension headers", "IPv6 with a tag"
	};

	rig_open(NULL);
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++)
		check_cut(&specs[i], descriptions[i]);
}
