// SPDX-License-Identifier: GPL-2.0
/*
 * Frames that go to clients, made from SYNs of every shape that is held. What
 * comes out is taken apart with fixed offsets and a checksum written here, so
 * that the code under test does not judge itself.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "frame.h"

#define CLIENT_MAC "\x02\x00\x00\x00\x00\x0c"
#define GATEWAY_MAC "\x02\x00\x00\x00\x00\x0a"
#define CLIENT4 "\x0a\x01\x00\x02"
#define REMOTE4 "\x0a\x02\x00\x09"
#define ROUTER4 "\xc6\x33\x64\x01"
#define CLIENT6 "\x20\x01\x0d\xb8\0\x01\0\0\0\0\0\0\0\0\0\x02"
#define REMOTE6 "\x20\x01\x0d\xb8\0\x02\0\0\0\0\0\0\0\0\0\x09"
#define ROUTER6 "\x20\x01\x0d\xb8\0\x03\0\0\0\0\0\0\0\0\0\x01"
#define V4_MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff"
#define MSS_AND_SACK "\x02\x04\x05\xb4\x04\x02\x01\x01"

#define ISN 0xfffffff0U
#define CLIENT_PORT 40000
#define SERVICE_PORT 80

/* What the SYN looks like on the LAN interface. */
struct shape {
	const char *description;
	bool ipv6;
	bool raw; /* the interface has no link header */
	uint16_t vlan_proto; /* outer tag, taken off by the kernel; host byte order */
	uint16_t vlan_tci;
	const char *tags; /* inner tags, each as on the wire but for the leading TPID */
	size_t tags_length;
	const char *extra; /* IPv4 options or IPv6 extension headers */
	size_t extra_length;
	uint8_t next_header; /* IPv6: of the first extension header */
	const char *options; /* of TCP */
	size_t options_length;
	uint16_t data_length; /* bytes behind the TCP header; not in the event */
};

static const struct shape shapes[] = {
	{ .description = "IPv4" },
	{ .description = "IPv4, TCP options", .options = MSS_AND_SACK, .options_length = 8 },
	{ .description = "IPv4 without link header",
	  .raw = true,
	  .options = MSS_AND_SACK,
	  .options_length = 8 },
	{ .description = "IPv4, VLAN tag taken off", .vlan_proto = 0x8100, .vlan_tci = 0x6064 },
	{ .description = "IPv4, VLAN tag left in", .tags = "\x81\x00\x00\x65", .tags_length = 4 },
	{ .description = "IPv4, QinQ: outer tag taken off",
	  .vlan_proto = 0x88a8,
	  .vlan_tci = 0x0fff,
	  .tags = "\x81\x00\x00\x65",
	  .tags_length = 4 },
	{ .description = "IPv4, QinQ: three tags",
	  .vlan_proto = 0x88a8,
	  .vlan_tci = 1,
	  .tags = "\x88\xa8\x00\x65\x81\x00\x00\x66",
	  .tags_length = 8 },
	{ .description = "IPv4, tag of a device without link header",
	  .raw = true,
	  .vlan_proto = 0x8100,
	  .vlan_tci = 5 },
	{ .description = "IPv4 options",
	  .extra = "\x94\x04\x00\x00\x01\x01\x01\x00",
	  .extra_length = 8,
	  .options = MSS_AND_SACK,
	  .options_length = 8 },
	{ .description = "IPv4, data (fast open)",
	  .options = MSS_AND_SACK,
	  .options_length = 8,
	  .data_length = 1000 },
	{ .description = "IPv4 options and an odd number of bytes of data",
	  .extra = "\x01\x01\x01\x00",
	  .extra_length = 4,
	  .data_length = 17 },
	{ .description = "IPv6", .ipv6 = true },
	{ .description = "IPv6, TCP options",
	  .ipv6 = true,
	  .options = MSS_AND_SACK,
	  .options_length = 8 },
	{ .description = "IPv6 without link header", .ipv6 = true, .raw = true },
	{ .description = "IPv6, QinQ",
	  .ipv6 = true,
	  .vlan_proto = 0x88a8,
	  .vlan_tci = 0x0123,
	  .tags = "\x81\x00\x00\x65",
	  .tags_length = 4 },
	{ .description = "IPv6, hop-by-hop options",
	  .ipv6 = true,
	  .next_header = 0,
	  .extra = "\x06\x00\x05\x02\x00\x00\x01\x00",
	  .extra_length = 8 },
	{ .description = "IPv6, hop-by-hop and destination options, data",
	  .ipv6 = true,
	  .next_header = 0,
	  .extra = "\x3c\x00\x01\x04\0\0\0\0\x06\x01\x01\x0c\0\0\0\0\0\0\0\0\0\0\0\0",
	  .extra_length = 24,
	  .options = MSS_AND_SACK,
	  .options_length = 8,
	  .data_length = 33 },
	{ .description = "IPv6, routing header that is done with",
	  .ipv6 = true,
	  .next_header = 43,
	  .extra = "\x06\x02\x04\x00\0\0\0\0" REMOTE6,
	  .extra_length = 24 },
	{ .description = "IPv6, data (fast open)", .ipv6 = true, .data_length = 1200 },
};

#define SHAPE_COUNT (sizeof(shapes) / sizeof(shapes[0]))

static uint8_t *put(uint8_t *to, const void *bytes, size_t length)
{
	if (length)
		memcpy(to, bytes, length);
	return to + length;
}

static uint8_t *put16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
	return to + 2;
}

static unsigned get16(const uint8_t *from)
{
	return (unsigned)from[0] << 8 | from[1];
}

static uint32_t get32(const uint8_t *from)
{
	return (uint32_t)get16(from) << 16 | get16(from + 2);
}

/* The sum of 16-bit words modulo 0xffff: 0 for what carries a right checksum. */
static uint64_t remainder_of(const uint8_t *bytes, size_t length)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint64_t)bytes[i] << 8;
	return sum % 0xffff;
}

/* The same with the pseudo-header as the RFCs draw it. ip is the IP header sent. */
static uint64_t remainder_with_pseudo(bool ipv6, const uint8_t *ip, uint8_t protocol,
				      const uint8_t *segment, size_t length)
{
	uint8_t buffer[40 + FRAME_MAX] = { 0 };
	uint8_t *end = buffer;

	if (ipv6) {
		end = put(end, ip + 8, 32);
		end = put16(end + 2, (unsigned)length);
		end[3] = protocol;
		end += 4;
	} else {
		end = put(end, ip + 12, 8);
		end[1] = protocol;
		end = put16(end + 2, (unsigned)length);
	}
	end = put(end, segment, length);
	return remainder_of(buffer, (size_t)(end - buffer));
}

static size_t ip_length(const struct shape *shape)
{
	return (shape->ipv6 ? 40 : 20) + shape->extra_length;
}

static size_t tcp_length(const struct shape *shape)
{
	return 20 + shape->options_length;
}

static uint8_t *put_ip(const struct shape *shape, uint8_t *end)
{
	size_t payload = tcp_length(shape) + shape->data_length;
	uint8_t *ip = end;

	if (shape->ipv6) {
		end = put(end, "\x60\x01\x23\x45", 4);
		end = put16(end, (unsigned)(shape->extra_length + payload));
		*end++ = shape->extra_length ? shape->next_header : 6;
		*end++ = 63;
		end = put(end, CLIENT6 REMOTE6, 32);
		return put(end, shape->extra, shape->extra_length);
	}
	*end++ = (uint8_t)(0x40 | ip_length(shape) / 4);
	*end++ = 0x02;
	end = put16(end, (unsigned)(ip_length(shape) + payload));
	end = put(end, "\xbe\xef\x40\x00\x3f\x06\x00\x00" CLIENT4 REMOTE4, 16);
	end = put(end, shape->extra, shape->extra_length);
	put16(ip + 10, (unsigned)(0xffff - remainder_of(ip, ip_length(shape))));
	return end;
}

static struct syn_event make_event(const struct shape *shape)
{
	struct syn_event event = { .isn = ISN };
	uint8_t *end = event.frame;

	if (!shape->raw) {
		end = put(end, GATEWAY_MAC CLIENT_MAC, 12);
		end = put(end, shape->tags, shape->tags_length);
		end = put16(end, shape->ipv6 ? 0x86dd : 0x0800);
	}
	event.vlan_proto = htons(shape->vlan_proto);
	event.vlan_tci = shape->vlan_tci;
	event.l3_offset = (uint8_t)(end - event.frame);
	end = put_ip(shape, end);
	event.l4_offset = (uint8_t)(end - event.frame);
	end = put16(end, CLIENT_PORT);
	end = put16(end, SERVICE_PORT);
	end = put(end, "\xff\xff\xff\xf0\0\0\0\0", 8);
	*end++ = (uint8_t)(tcp_length(shape) / 4 << 4);
	*end++ = 0xc2; /* SYN, ECE, CWR */
	end = put(end, "\xfa\xf0\x12\x34\x00\x00", 6); /* the checksum is not whole */
	end = put(end, shape->options, shape->options_length);
	event.frame_len = (uint8_t)(end - event.frame);
	return event;
}

/* Checks the link header with its tags; returns its length. */
static size_t check_link(const struct shape *shape, const char *macs, const uint8_t *frame)
{
	uint8_t expected[14 + 4 + 8];
	uint8_t *end = expected;

	if (shape->raw)
		return 0;
	end = put(end, macs, 12);
	if (shape->vlan_proto) {
		end = put16(end, shape->vlan_proto);
		end = put16(end, shape->vlan_tci);
	}
	end = put(end, shape->tags, shape->tags_length);
	end = put16(end, shape->ipv6 ? 0x86dd : 0x0800);
	cr_expect_arr_eq(frame, expected, (size_t)(end - expected), "%s: link header",
			 shape->description);
	return (size_t)(end - expected);
}

/* Checks the fresh IP header of an answer; returns its length. */
static size_t check_answer_ip(const struct shape *shape, const void *from, uint8_t protocol,
			      const uint8_t *ip, size_t length)
{
	const char *description = shape->description;

	if (shape->ipv6) {
		cr_expect_eq(get32(ip), 0x60000000, "%s: version", description);
		cr_expect_eq(get16(ip + 4), length - 40, "%s: payload length", description);
		cr_expect_eq(ip[6], protocol, "%s: next header", description);
		cr_expect_eq(ip[7], 64, "%s: hop limit", description);
		cr_expect_arr_eq(ip + 8, from, 16, "%s: source", description);
		cr_expect_arr_eq(ip + 24, CLIENT6, 16, "%s: destination", description);
		return 40;
	}
	cr_expect_eq(ip[0], 0x45, "%s: version and length", description);
	cr_expect_eq(get16(ip + 2), length, "%s: total length", description);
	cr_expect_eq(get32(ip + 4), 0x00004000, "%s: id 0, DF", description);
	cr_expect_eq(ip[8], 64, "%s: TTL", description);
	cr_expect_eq(ip[9], protocol, "%s: protocol", description);
	cr_expect_eq(remainder_of(ip, 20), 0, "%s: header checksum", description);
	cr_expect_arr_eq(ip + 12, from, 4, "%s: source", description);
	cr_expect_arr_eq(ip + 16, CLIENT4, 4, "%s: destination", description);
	return 20;
}

Test(frame, syn_is_the_one_sent_without_data_and_with_whole_checksums)
{
	for (size_t i = 0; i < SHAPE_COUNT; i++) {
		const struct shape *shape = &shapes[i];
		struct shape bare = *shape;
		struct syn_event event = make_event(shape), expected;
		uint8_t frame[FRAME_MAX];
		int length = frame_syn(&event, FRAME_TO_REMOTE, frame);
		const uint8_t *ip, *tcp;

		bare.data_length = 0;
		expected = make_event(&bare);
		ip = frame + check_link(shape, GATEWAY_MAC CLIENT_MAC, frame);
		tcp = ip + ip_length(shape);
		cr_assert_eq(length, tcp + tcp_length(shape) - frame, "%s", shape->description);
		cr_expect_arr_eq(ip, expected.frame + expected.l3_offset, ip_length(shape),
				 "%s: IP header", shape->description);
		cr_expect_eq(remainder_with_pseudo(shape->ipv6, ip, 6, tcp, tcp_length(shape)), 0,
			     "%s: TCP checksum", shape->description);
		memcpy(expected.frame + expected.l4_offset + 16, tcp + 16, 2);
		cr_expect_arr_eq(tcp, expected.frame + expected.l4_offset, tcp_length(shape),
				 "%s: TCP header", shape->description);
	}
}

Test(frame, reset_answers_the_syn_as_the_remote_would)
{
	for (size_t i = 0; i < SHAPE_COUNT; i++) {
		const struct shape *shape = &shapes[i];
		const char *from = shape->ipv6 ? REMOTE6 : REMOTE4;
		struct syn_event event = make_event(shape);
		uint8_t frame[FRAME_MAX];
		int length = frame_reset(&event, frame);
		size_t link = check_link(shape, CLIENT_MAC GATEWAY_MAC, frame);
		const uint8_t *ip = frame + link, *tcp;

		cr_assert_eq((size_t)length, link + (shape->ipv6 ? 60 : 40), "%s",
			     shape->description);
		tcp = ip + check_answer_ip(shape, from, 6, ip, (size_t)length - link);
		cr_expect_eq(remainder_with_pseudo(shape->ipv6, ip, 6, tcp, 20), 0,
			     "%s: TCP checksum", shape->description);
		cr_expect_eq(get16(tcp), SERVICE_PORT, "%s: source port", shape->description);
		cr_expect_eq(get16(tcp + 2), CLIENT_PORT, "%s: destination port",
			     shape->description);
		cr_expect_eq(get32(tcp + 4), 0, "%s: sequence number", shape->description);
		cr_expect_eq(get32(tcp + 8), (uint32_t)(ISN + 1U + shape->data_length),
			     "%s: acknowledgement covers the SYN and its data", shape->description);
		cr_expect_eq(get16(tcp + 12), 0x5014, "%s: 20 bytes, RST and ACK",
			     shape->description);
		cr_expect_eq(get32(tcp + 14) & 0xffff0000, 0, "%s: window", shape->description);
		cr_expect_eq(get16(tcp + 18), 0, "%s: urgent pointer", shape->description);
	}
}

static void check_icmp_error(const struct shape *shape, const void *from, const void *source)
{
	struct syn_event event = make_event(shape);
	const size_t quoted = ip_length(shape) + tcp_length(shape);
	const uint8_t protocol = shape->ipv6 ? 58 : 1;
	uint8_t frame[FRAME_MAX];
	int length = frame_icmp_error(&event, 3, 13, from, frame);
	size_t link = check_link(shape, CLIENT_MAC GATEWAY_MAC, frame);
	const uint8_t *ip = frame + link, *icmp;
	uint64_t remainder;

	cr_assert_eq((size_t)length, link + (shape->ipv6 ? 40 : 20) + 8 + quoted, "%s",
		     shape->description);
	icmp = ip + check_answer_ip(shape, source, protocol, ip, (size_t)length - link);
	remainder = shape->ipv6 ? remainder_with_pseudo(true, ip, protocol, icmp, 8 + quoted)
				: remainder_of(icmp, 8 + quoted);
	cr_expect_eq(remainder, 0, "%s: ICMP checksum", shape->description);
	cr_expect_eq(get16(icmp), 0x030d, "%s: type and code", shape->description);
	cr_expect_eq(get32(icmp + 4), 0, "%s: unused field", shape->description);
	cr_expect_arr_eq(icmp + 8, event.frame + event.l3_offset, quoted,
			 "%s: quotes the SYN as it was sent", shape->description);
}

Test(frame, icmp_error_comes_from_the_router_and_quotes_the_syn)
{
	for (size_t i = 0; i < SHAPE_COUNT; i++) {
		if (shapes[i].ipv6)
			check_icmp_error(&shapes[i], ROUTER6, ROUTER6);
		else
			check_icmp_error(&shapes[i], V4_MAPPED ROUTER4, ROUTER4);
	}
}

Test(frame, icmp_error_without_a_router_of_that_family_comes_from_the_remote)
{
	for (size_t i = 0; i < SHAPE_COUNT; i++) {
		const struct shape *shape = &shapes[i];
		const void *remote = shape->ipv6 ? REMOTE6 : REMOTE4;

		check_icmp_error(shape, NULL, remote);
		check_icmp_error(shape, shape->ipv6 ? V4_MAPPED ROUTER4 : ROUTER6, remote);
	}
}

/* A reset in full, so that no mistake is made twice the same way. */
Test(frame, reset_has_exactly_these_bytes)
{
	static const uint8_t expected[] = CLIENT_MAC GATEWAY_MAC
		"\x08\x00"
		"\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06\x26\xc3" REMOTE4 CLIENT4
		"\x00\x50\x9c\x40\x00\x00\x00\x00\xff\xff\xff\xf1\x50\x14\x00\x00\xff\x40\x00\x00";
	struct syn_event event = make_event(&shapes[0]);
	uint8_t frame[FRAME_MAX];

	cr_assert_eq(frame_reset(&event, frame), sizeof(expected) - 1);
	cr_expect_arr_eq(frame, expected, sizeof(expected) - 1);
}

static void expect_refused(const struct syn_event *event, const char *description)
{
	uint8_t frame[FRAME_MAX];

	cr_expect_eq(frame_syn(event, FRAME_TO_REMOTE, frame), -EINVAL, "SYN: %s", description);
	cr_expect_eq(frame_reset(event, frame), -EINVAL, "reset: %s", description);
	cr_expect_eq(frame_icmp_error(event, 3, 1, NULL, frame), -EINVAL, "ICMP: %s", description);
}

Test(frame, event_cut_short_anywhere_is_refused)
{
	for (size_t i = 0; i < SHAPE_COUNT; i++) {
		struct syn_event event = make_event(&shapes[i]);

		while (event.frame_len > 0) {
			event.frame_len--;
			expect_refused(&event, shapes[i].description);
		}
	}
}

/* The IP header follows its type, but there is no room for addresses before. */
Test(frame, event_with_half_a_link_header_is_refused)
{
	struct syn_event event = make_event(&shapes[0]);

	memmove(event.frame, event.frame + 2, event.frame_len - 2U);
	event.frame_len = (uint8_t)(event.frame_len - 2);
	event.l3_offset = (uint8_t)(event.l3_offset - 2);
	event.l4_offset = (uint8_t)(event.l4_offset - 2);
	expect_refused(&event, "12 bytes of link header");
}

#define FIELD(name) offsetof(struct syn_event, name)
#define FRAME(offset) (offsetof(struct syn_event, frame) + (offset))

/* One byte that makes a good event a bad one. */
static const struct {
	const char *description;
	const char *shape;
	size_t offset;
	uint8_t value;
} corruptions[] = {
	{ "frame longer than there is room", "IPv4", FIELD(frame_len), SYN_FRAME_MAX + 1 },
	{ "IP header beyond the TCP header", "IPv4", FIELD(l3_offset), 40 },
	{ "IP header beyond the frame", "IPv4", FIELD(l3_offset), 255 },
	{ "IP header inside the link header", "IPv4", FIELD(l3_offset), 12 },
	{ "TCP header beyond the frame", "IPv4", FIELD(l4_offset), 255 },
	{ "TCP header not where the IP header ends", "IPv4, TCP options", FIELD(l4_offset), 38 },
	{ "type of the other family", "IPv4", FRAME(12), 0x86 },
	{ "IP version 5", "IPv4", FRAME(14), 0x55 },
	{ "IP header shorter than 20 bytes", "IPv4", FRAME(14), 0x44 },
	{ "IP header longer than it is", "IPv4", FRAME(14), 0x46 },
	{ "total length shorter than the IP header", "IPv4", FRAME(17), 19 },
	{ "total length shorter than the TCP header", "IPv4", FRAME(17), 39 },
	{ "more fragments", "IPv4", FRAME(20), 0x20 },
	{ "a later fragment", "IPv4", FRAME(21), 1 },
	{ "UDP", "IPv4", FRAME(23), 17 },
	{ "TCP header shorter than 20 bytes", "IPv4", FRAME(46), 0x40 },
	{ "TCP header longer than what was saved", "IPv4", FRAME(46), 0x60 },
	{ "SYN and ACK", "IPv4", FRAME(47), 0x12 },
	{ "SYN and RST", "IPv4", FRAME(47), 0x06 },
	{ "SYN and FIN", "IPv4", FRAME(47), 0x03 },
	{ "no SYN", "IPv4", FRAME(47), 0x00 },
	{ "type of the other family", "IPv6", FRAME(12), 0x08 },
	{ "UDP", "IPv6", FRAME(20), 17 },
	{ "payload shorter than the TCP header", "IPv6", FRAME(19), 19 },
	{ "payload shorter than the extension headers", "IPv6, hop-by-hop options", FRAME(19), 7 },
	{ "payload shorter than the TCP header", "IPv6, hop-by-hop options", FRAME(19), 27 },
	{ "a fragment", "IPv6, hop-by-hop options", FRAME(20), 44 },
	{ "UDP behind the options", "IPv6, hop-by-hop options", FRAME(54), 17 },
	{ "options longer than there is room", "IPv6, hop-by-hop options", FRAME(55), 1 },
	{ "options longer than the frame", "IPv6, hop-by-hop options", FRAME(55), 255 },
	{ "segments left", "IPv6, routing header that is done with", FRAME(57), 1 },
};

Test(frame, event_that_is_no_syn_is_refused)
{
	for (size_t i = 0; i < sizeof(corruptions) / sizeof(corruptions[0]); i++) {
		struct syn_event event;
		size_t shape = 0;

		while (strcmp(shapes[shape].description, corruptions[i].shape) != 0)
			cr_assert_lt(++shape, SHAPE_COUNT, "no shape %s", corruptions[i].shape);
		event = make_event(&shapes[shape]);
		((uint8_t *)&event)[corruptions[i].offset] = corruptions[i].value;
		expect_refused(&event, corruptions[i].description);
	}
}
