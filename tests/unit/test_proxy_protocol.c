// SPDX-License-Identifier: GPL-2.0
/* The PROXY protocol header, byte for byte. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "address.h"
#include "proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(literal) literal, sizeof(literal) - 1

static const struct {
	const char *description;
	const char *client;
	const char *remote;
	uint16_t client_port;
	uint16_t service_port;
	const char *header;
	size_t length;
} cases[] = {
	{ "IPv4", "10.1.0.2", "203.0.113.9", 40000, 443,
	  BYTES(SIGNATURE "\x21\x11\x00\x0c"
			  "\x0a\x01\x00\x02\xcb\x00\x71\x09\x9c\x40\x01\xbb") },
	{ "IPv6", "2001:db8::1", "2001:db8:2::9", 1, 65535,
	  BYTES(SIGNATURE "\x21\x21\x00\x24"
			  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
			  "\x20\x01\x0d\xb8\0\x02\0\0\0\0\0\0\0\0\0\x09"
			  "\x00\x01\xff\xff") },
};

Test(proxy_protocol, header_is_as_specified)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct half_open_key tuple = { .client_port = cases[i].client_port,
					       .service_port = cases[i].service_port };
		uint8_t header[PROXY_PROTOCOL_MAX];

		cr_assert_eq(address_parse(cases[i].client, tuple.client), 0);
		cr_assert_eq(address_parse(cases[i].remote, tuple.remote), 0);
		cr_expect_eq(proxy_protocol_v2(&tuple, header), cases[i].length, "%s: length",
			     cases[i].description);
		cr_expect_arr_eq(header, cases[i].header, cases[i].length, "%s: bytes",
				 cases[i].description);
	}
}

Test(proxy_protocol, header_is_read_byte_by_byte_and_no_further)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint8_t *header = (const uint8_t *)cases[i].header;
		struct half_open_key tuple, wanted = { .client_port = cases[i].client_port,
						       .service_port = cases[i].service_port };
		size_t length = 0;
		int more;

		cr_assert_eq(address_parse(cases[i].client, wanted.client), 0);
		cr_assert_eq(address_parse(cases[i].remote, wanted.remote), 0);
		while ((more = proxy_protocol_v2_parse(header, length, &tuple)) > 0) {
			cr_assert_leq(length + (size_t)more, cases[i].length);
			length++;
		}
		cr_expect_eq(more, 0, "%s", cases[i].description);
		cr_expect_eq(length, cases[i].length, "%s", cases[i].description);
		cr_expect_arr_eq(&tuple, &wanted, sizeof(tuple), "%s", cases[i].description);
	}
}

Test(proxy_protocol, what_is_no_header_is_told)
{
	static const struct {
		const char *description;
		const char *header;
	} wrong[] = {
		{ "another signature", "GET / HTTP/1.1\r\n" },
		{ "version 1", SIGNATURE "\x11\x11\x00\x0c" },
		{ "command LOCAL", SIGNATURE "\x20\x11\x00\x0c" },
		{ "UDP", SIGNATURE "\x21\x12\x00\x0c" },
		{ "with a TLV", SIGNATURE "\x21\x11\x00\x0f" },
		{ "too short for IPv6", SIGNATURE "\x21\x21\x00\x0c" },
	};
	struct half_open_key tuple;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_eq(proxy_protocol_v2_parse((const uint8_t *)wrong[i].header, 16, &tuple),
			     -EPROTO, "%s", wrong[i].description);
}
