// SPDX-License-Identifier: GPL-2.0
/* See proxy_protocol.h. */
#include "proxy_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "address.h"

#define VERSION_2_PROXY 0x21 /* version 2, a connection made on behalf of another */
#define TCP_OVER_IPV4 0x11
#define TCP_OVER_IPV6 0x21

struct proxy_header {
	uint8_t signature[12];
	uint8_t version_command;
	uint8_t family_protocol;
	uint16_t length; /* of what follows, network byte order */
};

_Static_assert(sizeof(struct proxy_header) == 16, "as on the wire");
_Static_assert(sizeof(struct proxy_header) + 2 * 16 + 2 * 2 == PROXY_PROTOCOL_MAX,
	       "the longest header is IPv6's");

static const uint8_t signature[12] = {
	'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n',
};

static uint8_t *put(uint8_t *to, const void *bytes, size_t length)
{
	memcpy(to, bytes, length);
	return to + length;
}

size_t proxy_protocol_v2(const struct half_open_key *tuple, uint8_t *header)
{
	/* Between two families there is no such connection; were there one, only
	 * IPv6 could describe it. */
	const bool ipv4 = address_is_ipv4(tuple->client) && address_is_ipv4(tuple->remote);
	const size_t address_length = ipv4 ? 4 : 16;
	const uint16_t ports[2] = { htons(tuple->client_port), htons(tuple->service_port) };
	struct proxy_header fixed = {
		.version_command = VERSION_2_PROXY,
		.family_protocol = ipv4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6,
		.length = htons((uint16_t)(2 * address_length + sizeof(ports))),
	};
	uint8_t *end;

	memcpy(fixed.signature, signature, sizeof(signature));
	end = put(header, &fixed, sizeof(fixed));
	end = put(end, tuple->client + 16 - address_length, address_length);
	end = put(end, tuple->remote + 16 - address_length, address_length);
	end = put(end, ports, sizeof(ports));
	return (size_t)(end - header);
}

/* A v4-mapped address, or all of it. */
static const uint8_t *take_address(const uint8_t *from, size_t length, __u8 address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (length == 4)
		memcpy(address, mapped, sizeof(mapped));
	memcpy(address + 16 - length, from, length);
	return from + length;
}

int proxy_protocol_v2_parse(const uint8_t *header, size_t length, struct half_open_key *tuple)
{
	struct proxy_header fixed;
	size_t address_length, rest;
	const uint8_t *next = header + sizeof(fixed);
	uint16_t ports[2];

	if (length < sizeof(fixed))
		return (int)(sizeof(fixed) - length);
	memcpy(&fixed, header, sizeof(fixed));
	address_length = fixed.family_protocol == TCP_OVER_IPV4 ? 4 : 16;
	rest = 2 * address_length + sizeof(ports);
	if (memcmp(fixed.signature, signature, sizeof(signature)) != 0 ||
	    fixed.version_command != VERSION_2_PROXY ||
	    (fixed.family_protocol != TCP_OVER_IPV4 && fixed.family_protocol != TCP_OVER_IPV6) ||
	    ntohs(fixed.length) != rest)
		return -EPROTO;
	if (length < sizeof(fixed) + rest)
		return (int)(sizeof(fixed) + rest - length);
	memset(tuple, 0, sizeof(*tuple));
	next = take_address(next, address_length, tuple->client);
	next = take_address(next, address_length, tuple->remote);
	memcpy(ports, next, sizeof(ports));
	tuple->client_port = ntohs(ports[0]);
	tuple->service_port = ntohs(ports[1]);
	return 0;
}
