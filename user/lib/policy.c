// SPDX-License-Identifier: GPL-2.0
/* See policy.h. */
#include "policy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "units.h"

#define IPV4_OFFSET_BITS 96

/* Clears what is behind the prefix; true when there was something. */
static bool clear_rest(struct address_prefix *prefix)
{
	bool cleared = false;

	for (unsigned bit = prefix->bits; bit < 128; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		cleared |= (prefix->address[bit / 8] & mask) != 0;
		prefix->address[bit / 8] &= (uint8_t)~mask;
	}
	return cleared;
}

int prefix_parse(const char *text, struct address_prefix *prefix)
{
	size_t length = strcspn(text, "/");
	unsigned offset = strchr(text, ':') ? 0 : IPV4_OFFSET_BITS;
	uint64_t bits = 128 - offset;
	char address[INET6_ADDRSTRLEN];

	if (length >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, length);
	address[length] = '\0';
	if (address_parse(address, prefix->address) < 0)
		return -EINVAL;
	if (text[length] == '/' && number_parse(text + length + 1, 0, bits, &bits) < 0)
		return -EINVAL;
	prefix->bits = (uint8_t)(bits + offset);
	/* "::ffff:0:0/90" would be neither of one family nor of the other. */
	if (address_is_ipv4(prefix->address) && prefix->bits < IPV4_OFFSET_BITS)
		return -EINVAL;
	return clear_rest(prefix) ? -ERANGE : 0;
}

const char *prefix_format(const struct address_prefix *prefix, char *text)
{
	unsigned offset = address_is_ipv4(prefix->address) ? IPV4_OFFSET_BITS : 0;
	char address[INET6_ADDRSTRLEN];

	snprintf(text, PREFIX_TEXT_MAX, "%s/%u", address_format(prefix->address, address),
		 prefix->bits - offset);
	return text;
}

bool prefix_holds(const struct address_prefix *prefix, const uint8_t address[16])
{
	unsigned bytes = prefix->bits / 8, bits = prefix->bits % 8;

	if (address_is_ipv4(prefix->address) != address_is_ipv4(address))
		return false;
	if (memcmp(prefix->address, address, bytes) != 0)
		return false;
	return bits == 0 || (prefix->address[bytes] ^ address[bytes]) >> (8 - bits) == 0;
}

int port_range_parse(const char *text, struct port_range *range)
{
	const char *dash = strchr(text, '-');
	size_t length = dash ? (size_t)(dash - text) : strlen(text);
	uint64_t first, last;
	char number[8];

	if (length >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, length);
	number[length] = '\0';
	if (number_parse(number, 1, UINT16_MAX, &first) < 0)
		return -EINVAL;
	last = first;
	if (dash && number_parse(dash + 1, first, UINT16_MAX, &last) < 0)
		return -EINVAL;
	range->first = (uint16_t)first;
	range->last = (uint16_t)last;
	return 0;
}

bool prefixes_hold(const struct address_prefix *prefixes, size_t count, const uint8_t address[16])
{
	for (size_t i = 0; i < count; i++)
		if (prefix_holds(&prefixes[i], address))
			return true;
	return false;
}

bool port_ranges_hold(const struct port_range *ranges, size_t count, uint16_t port)
{
	for (size_t i = 0; i < count; i++)
		if (port >= ranges[i].first && port <= ranges[i].last)
			return true;
	return false;
}
