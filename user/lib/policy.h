/* SPDX-License-Identifier: GPL-2.0 */
/* What an identity may register: prefixes of addresses and ranges of ports. */
#ifndef SLUICE_POLICY_H
#define SLUICE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for a prefix as text with its NUL. */
#define PREFIX_TEXT_MAX 52

/* Addresses that begin alike. */
struct address_prefix {
	uint8_t address[16]; /* network byte order, v4-mapped; zero behind the prefix */
	uint8_t bits; /* of the 16 bytes: an IPv4 /24 is 120 */
};

struct port_range {
	uint16_t first, last; /* both in it; host byte order */
};

/* "203.0.113.0/28", "2001:db8::/64", or one address. 0; -EINVAL: no such thing;
 * -ERANGE: bits are set behind the prefix (*prefix is what was meant then). */
int prefix_parse(const char *text, struct address_prefix *prefix);

/* text holds PREFIX_TEXT_MAX bytes. Returns text. */
const char *prefix_format(const struct address_prefix *prefix, char *text);

/* An IPv6 prefix, however short, holds no IPv4 address. */
bool prefix_holds(const struct address_prefix *prefix, const uint8_t address[16]);

/* "80" or "5000-5999". 0 or -EINVAL. */
int port_range_parse(const char *text, struct port_range *range);

bool prefixes_hold(const struct address_prefix *prefixes, size_t count, const uint8_t address[16]);
bool port_ranges_hold(const struct port_range *ranges, size_t count, uint16_t port);

#endif
