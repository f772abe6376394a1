// SPDX-License-Identifier: GPL-2.0
/* See packet.h. */
#include "packet.h"

#include <criterion/criterion.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "address.h"
#include "checksum.h"

static uint8_t *put(uint8_t *to, const void *bytes, size_t length)
{
	memcpy(to, bytes, length);
	return to + length;
}

static uint8_t *put16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
	return to + 2;
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
	return put16(put16(to, value >> 16), value & 0xffff);
}

static uint8_t *put_checksum(uint8_t *to, uint16_t checksum)
{
	return put(to, &checksum, sizeof(checksum));
}

void packet_address(enum address_name name, bool ipv6, uint8_t address[16])
{
	static const char *const texts[][2] = {
		[CLIENT] = { CLIENT4, CLIENT6 },       [REMOTE] = { REMOTE4, REMOTE6 },
		[STRANGER] = { STRANGER4, STRANGER6 }, [ROUTER] = { ROUTER4, ROUTER6 },
		[GATEWAY] = { GATEWAY4, GATEWAY6 },
	};

	cr_assert_eq(address_parse(texts[name][ipv6], address), 0);
}

static void source_address(const struct packet_spec *spec, uint8_t address[16])
{
	packet_address(spec->from ?: CLIENT, spec->ipv6, address);
	if (spec->from_last)
		address[15] = spec->from_last;
}

static void destination_address(const struct packet_spec *spec, uint8_t address[16])
{
	packet_address(spec->to ?: REMOTE, spec->ipv6, address);
}

static uint8_t *put_link(const struct packet_spec *spec, uint8_t *to)
{
	static const uint8_t client_mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 0x0c };
	static const uint8_t loopback_mac[ETH_ALEN];

	if (spec->no_link)
		return to;
	to = put(to, spec->to_mac ? spec->to_mac : (const char *)loopback_mac, ETH_ALEN);
	to = put(to, client_mac, ETH_ALEN);
	for (unsigned i = 0; i < TAGS_MAX && spec->tags[i]; i++)
		to = put16(put16(to, spec->tags[i]), 100 + i);
	return put16(to, spec->ethertype ?: spec->ipv6 ? ETH_P_IPV6 : ETH_P_IP);
}

static uint8_t protocol_of(const struct packet_spec *spec)
{
	return spec->protocol ?: IPPROTO_TCP;
}

static uint8_t *put_tcp(const struct packet_spec *spec, uint8_t *to)
{
	size_t length = 20U + spec->tcp_options;

	to = put16(put16(to, spec->from_port ?: CLIENT_PORT), spec->to_port ?: SERVICE_PORT);
	to = put32(put32(to, spec->seq ?: ISN), spec->ack);
	*to++ = (uint8_t)((spec->doff ?: length / 4) << 4);
	*to++ = spec->flags ?: SYN;
	to = put32(put16(to, 0xffff), 0); /* window; checksum and urgent pointer */
	memset(to, 1, spec->tcp_options);
	return to + spec->tcp_options;
}

static uint8_t *put_ip(const struct packet_spec *spec, uint8_t *to, uint8_t **l4);

/* An ICMP error quotes all of the packet it is about, which is short. */
static uint8_t *put_icmp(const struct packet_spec *spec, uint8_t *to)
{
	struct packet_spec quoted;
	uint8_t *l4;

	*to++ = spec->icmp_type;
	*to++ = spec->icmp_code;
	to = put32(put16(to, 0), 0); /* checksum, unused */
	if (!spec->quoted)
		return to;
	quoted = *spec->quoted;
	quoted.ipv6 = spec->ipv6;
	return put_ip(&quoted, to, &l4);
}

/* The transport header and what follows, with its checksum. */
static uint8_t *put_transport(const struct packet_spec *spec, uint8_t *l4)
{
	uint8_t source[16], destination[16], protocol = protocol_of(spec), *to = l4;
	uint8_t *checksum;
	uint16_t sum;

	switch (protocol) {
	case IPPROTO_TCP:
		to = put_tcp(spec, to);
		checksum = l4 + 16;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		to = put_icmp(spec, to);
		checksum = l4 + 2;
		break;
	default: /* laid out like UDP */
		to = put16(put16(to, CLIENT_PORT), SERVICE_PORT);
		to = put32(to, (8U + spec->payload) << 16);
		checksum = l4 + 6;
	}
	memset(to, 'x', spec->payload);
	to += spec->payload;
	source_address(spec, source);
	destination_address(spec, destination);
	if (protocol == IPPROTO_ICMP)
		sum = checksum_finish(checksum_add(0, l4, (size_t)(to - l4)));
	else
		sum = checksum_transport(source, destination, protocol, l4, (size_t)(to - l4));
	put_checksum(checksum, sum);
	return to;
}

static uint8_t *put_ipv4(const struct packet_spec *spec, uint8_t *ip, uint8_t **l4)
{
	uint8_t source[16], destination[16], *to = ip, *end;
	unsigned words = 5U + spec->ip_options / 4U;

	source_address(spec, source);
	destination_address(spec, destination);
	*to++ = (uint8_t)((spec->version ?: 4) << 4 | (spec->ihl ?: words));
	*to++ = 0; /* type of service */
	to = put32(to, 0x00000101); /* length: below; identification */
	to = put16(to, spec->fragment);
	*to++ = 64;
	*to++ = protocol_of(spec);
	to = put16(to, 0);
	to = put(put(to, source + 12, 4), destination + 12, 4);
	memset(to, 1, spec->ip_options);
	*l4 = to + spec->ip_options;
	end = put_transport(spec, *l4);
	put16(ip + 2, (unsigned)(end - ip));
	put_checksum(ip + 10, checksum_finish(checksum_add(0, ip, words * 4UL)));
	return end;
}

/* Options are filled with Pad1. */
static uint8_t *put_extensions(const struct packet_spec *spec, uint8_t *to)
{
	for (unsigned i = 0; i < EXTENSIONS_MAX && spec->extensions[i]; i++) {
		uint8_t words = i == 0 ? spec->extension_words : 0;
		bool last = i + 1 == EXTENSIONS_MAX || !spec->extensions[i + 1];

		memset(to, 0, 8U + words * 8U);
		to[0] = last ? protocol_of(spec) : (uint8_t)(spec->extensions[i + 1] - 1);
		to[1] = words;
		to[3] = i == 0 ? spec->segments_left : 0;
		to += 8 + words * 8;
	}
	return to;
}

static uint8_t *put_ipv6(const struct packet_spec *spec, uint8_t *ip, uint8_t **l4)
{
	uint8_t source[16], destination[16], *to, *end;

	source_address(spec, source);
	destination_address(spec, destination);
	to = put32(ip, (uint32_t)(spec->version ?: 6) << 28 | spec->flow_label);
	to = put16(to, 0); /* length: below */
	*to++ = spec->extensions[0] ? (uint8_t)(spec->extensions[0] - 1) : protocol_of(spec);
	*to++ = 64;
	to = put(put(to, source, 16), destination, 16);
	*l4 = put_extensions(spec, to);
	end = put_transport(spec, *l4);
	put16(ip + 4, (unsigned)(end - to));
	return end;
}

static uint8_t *put_ip(const struct packet_spec *spec, uint8_t *to, uint8_t **l4)
{
	return spec->ipv6 ? put_ipv6(spec, to, l4) : put_ipv4(spec, to, l4);
}

void packet_build(const struct packet_spec *spec, struct packet *packet)
{
	uint8_t *l3 = put_link(spec, packet->bytes), *l4, *end = put_ip(spec, l3, &l4);

	packet->l3_offset = (size_t)(l3 - packet->bytes);
	packet->l4_offset = (size_t)(l4 - packet->bytes);
	packet->headers_end = packet->l4_offset + 20 + spec->tcp_options;
	packet->length = (size_t)(end - packet->bytes) - spec->cut;
}
