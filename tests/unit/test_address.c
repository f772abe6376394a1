/* SPDX-License-Identifier: GPL-2.0 */
/* user/lib/address.c: addresses as text, as 16 bytes and as socket addresses. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "address.h"

static void expect_round_trip(const char *text, const char *canonical)
{
	char formatted[INET6_ADDRSTRLEN];
	uint8_t address[16];

	cr_assert_eq(address_parse(text, address), 0, "%s", text);
	cr_expect_str_eq(address_format(address, formatted), canonical);
}

Test(address, text_of_both_families_comes_back_in_canonical_form)
{
	expect_round_trip("10.0.0.1", "10.0.0.1");
	expect_round_trip("255.255.255.255", "255.255.255.255");
	expect_round_trip("2001:DB8:0:0::1", "2001:db8::1");
	expect_round_trip("::", "::");
	expect_round_trip("::ffff:10.0.0.1", "10.0.0.1");
	expect_round_trip("::ffff:a00:1", "10.0.0.1");
}

Test(address, ipv4_is_held_v4_mapped)
{
	static const uint8_t expected[16] = { [10] = 0xff, 0xff, 192, 0, 2, 7 };
	uint8_t address[16];

	cr_assert_eq(address_parse("192.0.2.7", address), 0);
	cr_expect_arr_eq(address, expected, 16);
	cr_expect(address_is_ipv4(address));
	cr_assert_eq(address_parse("2001:db8::1", address), 0);
	cr_expect_not(address_is_ipv4(address));
}

Test(address, what_is_no_address_is_refused_and_leaves_the_result_alone)
{
	static const char *const texts[] = {
		"",	      "10.0.0",	 "10.0.0.256", "010.0.0.1",	"10.0.0.1 ",  "10.0.0.1:80",
		"fe80::1%lo", "1::2::3", "example",    "[2001:db8::1]", "10.0.0.1/24"
	};
	uint8_t address[16], untouched[16];

	memset(address, 0x5a, 16);
	memset(untouched, 0x5a, 16);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		cr_expect_eq(address_parse(texts[i], address), -EINVAL, "%s", texts[i]);
	cr_expect_arr_eq(address, untouched, 16);
}

static bool is_unicast(const char *text)
{
	uint8_t address[16];

	cr_assert_eq(address_parse(text, address), 0, "%s", text);
	return address_is_unicast(address);
}

Test(address, unicast_is_what_a_tcp_peer_can_have)
{
	static const char *const unicast[] = { "10.0.0.1",  "223.255.255.255", "126.0.0.1",
					       "128.0.0.1", "2001:db8::1",     "fe80::1",
					       "::2" };
	static const char *const others[] = { "0.0.0.0",   "127.0.0.1", "127.255.0.1",
					      "224.0.0.1", "239.1.2.3", "255.255.255.255",
					      "::",	   "::1",	"ff02::1" };

	for (size_t i = 0; i < sizeof(unicast) / sizeof(*unicast); i++)
		cr_expect(is_unicast(unicast[i]), "%s", unicast[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		cr_expect_not(is_unicast(others[i]), "%s", others[i]);
}

static void expect_endpoint(const char *text, const char *canonical, uint16_t expected_port)
{
	char formatted[ENDPOINT_TEXT_MAX];
	uint8_t address[16];
	uint16_t port;

	cr_assert_eq(endpoint_parse(text, address, &port), 0, "%s", text);
	cr_expect_eq(port, expected_port);
	cr_expect_str_eq(endpoint_format(address, port, formatted), canonical);
}

Test(endpoint, text_comes_back_in_canonical_form)
{
	expect_endpoint("10.0.0.1:80", "10.0.0.1:80", 80);
	expect_endpoint("10.0.0.1:65535", "10.0.0.1:65535", 65535);
	expect_endpoint("[2001:DB8::1]:443", "[2001:db8::1]:443", 443);
	expect_endpoint("[::ffff:10.0.0.1]:80", "10.0.0.1:80", 80);
	expect_endpoint("[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
			"[1111:2222:3333:4444:5555:6666:7777:8888]:65535", 65535);
}

Test(endpoint, what_is_none_is_refused)
{
	static const char *const texts[] = {
		"",
		"10.0.0.1",
		"10.0.0.1:",
		"10.0.0.1:0",
		"10.0.0.1:65536",
		"10.0.0.1:-1",
		"10.0.0.1: 80",
		"10.0.0.1:80x",
		":80",
		"[]:80",
		"[",
		"[:80",
		"2001:db8::1:80",
		"[2001:db8::1]",
		"[2001:db8::1]80",
		"[10.0.0.1]:80",
		"2001:db8::1]:80",
	};
	uint8_t address[16];
	uint16_t port = 7;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		cr_expect_eq(endpoint_parse(texts[i], address, &port), -EINVAL, "%s", texts[i]);
	cr_expect_eq(port, 7);
}

static void expect_sockaddr(const char *text, sa_family_t family, socklen_t length)
{
	struct sockaddr_storage sa;
	uint8_t address[16], back[16];
	uint16_t port, port_back;

	cr_assert_eq(endpoint_parse(text, address, &port), 0);
	cr_expect_eq(endpoint_to_sockaddr(address, port, &sa), length);
	cr_expect_eq(sa.ss_family, family);
	cr_assert_eq(endpoint_from_sockaddr(&sa, back, &port_back), 0);
	cr_expect_arr_eq(back, address, 16);
	cr_expect_eq(port_back, port);
}

Test(endpoint, socket_addresses_have_the_familys_own_form)
{
	expect_sockaddr("192.0.2.7:8080", AF_INET, sizeof(struct sockaddr_in));
	expect_sockaddr("[2001:db8::7]:8080", AF_INET6, sizeof(struct sockaddr_in6));
}

Test(endpoint, socket_address_is_in_network_byte_order)
{
	struct sockaddr_storage sa;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&sa;
	uint8_t address[16];

	cr_assert_eq(address_parse("192.0.2.7", address), 0);
	endpoint_to_sockaddr(address, 8080, &sa);
	cr_expect_eq(in->sin_port, htons(8080));
	cr_expect_eq(in->sin_addr.s_addr, htonl(0xc0000207));
}

Test(endpoint, other_families_are_refused)
{
	struct sockaddr_storage sa = { .ss_family = AF_UNIX };
	uint8_t address[16];
	uint16_t port;

	cr_expect_eq(endpoint_from_sockaddr(&sa, address, &port), -EAFNOSUPPORT);
}
