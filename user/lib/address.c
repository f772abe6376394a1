/* SPDX-License-Identifier: GPL-2.0 */
/* Addresses as the tables hold them, to and from text and socket addresses. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

static const uint8_t v4_mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

int address_parse(const char *text, uint8_t address[16])
{
	uint8_t parsed[16];

	memcpy(parsed, v4_mapped_prefix, sizeof(v4_mapped_prefix));
	if (inet_pton(AF_INET, text, parsed + 12) != 1 && inet_pton(AF_INET6, text, parsed) != 1)
		return -EINVAL;
	memcpy(address, parsed, sizeof(parsed));
	return 0;
}

const char *address_format(const uint8_t address[16], char *text)
{
	if (address_is_ipv4(address))
		return inet_ntop(AF_INET, address + 12, text, INET6_ADDRSTRLEN);
	return inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
}

bool address_is_ipv4(const uint8_t address[16])
{
	return memcmp(address, v4_mapped_prefix, sizeof(v4_mapped_prefix)) == 0;
}

bool address_is_loopback(const uint8_t address[16])
{
	static const uint8_t loopback[16] = { [15] = 1 };

	return address_is_ipv4(address) ? address[12] == 127 : memcmp(address, loopback, 16) == 0;
}

static bool ipv4_is_unicast(const uint8_t address[4])
{
	static const uint8_t unspecified[4], broadcast[4] = { 255, 255, 255, 255 };

	return memcmp(address, unspecified, 4) != 0 && memcmp(address, broadcast, 4) != 0 &&
	       (address[0] & 0xf0) != 224;
}

bool address_is_unicast(const uint8_t address[16])
{
	static const uint8_t unspecified[16];

	if (address_is_loopback(address))
		return false;
	if (address_is_ipv4(address))
		return ipv4_is_unicast(address + 12);
	return memcmp(address, unspecified, 16) != 0 && address[0] != 0xff;
}

int endpoint_parse(const char *text, uint8_t address[16], uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	const char *end = colon;
	char host[INET6_ADDRSTRLEN];
	uint8_t parsed[16];
	uint64_t number;
	size_t length;
	bool bracketed = text[0] == '[';

	if (!colon || number_parse(colon + 1, 1, UINT16_MAX, &number) < 0)
		return -EINVAL;
	if (bracketed) {
		text++;
		end--;
		if (end < text || *end != ']')
			return -EINVAL;
	}
	length = (size_t)(end - text);
	if (length >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = '\0';
	/* Brackets are IPv6's; without them "2001:db8::1:80" would be ambiguous. */
	if (bracketed != (strchr(host, ':') != NULL) || address_parse(host, parsed) < 0)
		return -EINVAL;
	memcpy(address, parsed, sizeof(parsed));
	*port = (uint16_t)number;
	return 0;
}

const char *endpoint_format(const uint8_t address[16], uint16_t port, char *text)
{
	char host[INET6_ADDRSTRLEN];

	address_format(address, host);
	snprintf(text, ENDPOINT_TEXT_MAX, address_is_ipv4(address) ? "%s:%u" : "[%s]:%u", host,
		 port);
	return text;
}

socklen_t endpoint_to_sockaddr(const uint8_t address[16], uint16_t port,
			       struct sockaddr_storage *sa)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
	struct sockaddr_in *in = (struct sockaddr_in *)sa;

	memset(sa, 0, sizeof(*sa));
	if (address_is_ipv4(address)) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, address + 12, 4);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, address, 16);
	return sizeof(*in6);
}

int endpoint_from_sockaddr(const struct sockaddr_storage *sa, uint8_t address[16], uint16_t *port)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

	switch (sa->ss_family) {
	case AF_INET:
		memcpy(address, v4_mapped_prefix, sizeof(v4_mapped_prefix));
		memcpy(address + 12, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
		return 0;
	case AF_INET6:
		memcpy(address, &in6->sin6_addr, 16);
		*port = ntohs(in6->sin6_port);
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}
