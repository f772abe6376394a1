/* SPDX-License-Identifier: GPL-2.0 */
/* What an identity may register: prefixes, ranges of ports, and main's check of a request. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "address.h"
#include "params.h"
#include "policy.h"
#include "registrations.h"

static bool holds(const char *prefix_text, const char *address_text)
{
	struct address_prefix prefix;
	uint8_t address[16];

	cr_assert_eq(prefix_parse(prefix_text, &prefix), 0, "%s", prefix_text);
	cr_assert_eq(address_parse(address_text, address), 0, "%s", address_text);
	return prefix_holds(&prefix, address);
}

Test(policy, a_prefix_holds_what_begins_like_it)
{
	cr_expect(holds("203.0.113.0/28", "203.0.113.0"));
	cr_expect(holds("203.0.113.0/28", "203.0.113.15"));
	cr_expect(!holds("203.0.113.0/28", "203.0.113.16"));
	cr_expect(!holds("203.0.113.0/28", "203.0.112.1"));
	cr_expect(holds("203.0.113.7", "203.0.113.7"));
	cr_expect(!holds("203.0.113.7", "203.0.113.6"));
	cr_expect(holds("128.0.0.0/1", "200.1.1.1"));
	cr_expect(!holds("128.0.0.0/1", "127.1.1.1"));
	cr_expect(holds("2001:db8::/61", "2001:db8:0:7::1"));
	cr_expect(!holds("2001:db8::/61", "2001:db8:0:8::1"));
	cr_expect(holds("2001:db8::1/128", "2001:db8::1"));
}

Test(policy, families_are_kept_apart)
{
	cr_expect(holds("0.0.0.0/0", "203.0.113.7"));
	cr_expect(!holds("0.0.0.0/0", "2001:db8::1"));
	cr_expect(holds("::/0", "2001:db8::1"));
	cr_expect(!holds("::/0", "203.0.113.7"));
	cr_expect(!holds("::/64", "203.0.113.7"));
	/* A mapped address is the IPv4 address that it maps. */
	cr_expect(holds("203.0.113.0/28", "::ffff:203.0.113.7"));
	cr_expect(holds("::ffff:203.0.113.0/124", "203.0.113.7"));
}

Test(policy, what_is_no_prefix)
{
	static const char *const texts[] = { "",
					     "10.0.0.0/33",
					     "10.0.0.0/",
					     "10.0.0/8",
					     "::/129",
					     "10.0.0.0/-1",
					     "10.0.0.0/8x",
					     "fe80::1%lo/64",
					     "::ffff:0.0.0.0/90" };
	struct address_prefix prefix;
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		cr_expect_eq(prefix_parse(texts[i], &prefix), -EINVAL, "%s", texts[i]);
	cr_expect_eq(prefix_parse("203.0.113.9/28", &prefix), -ERANGE);
	cr_expect_str_eq(prefix_format(&prefix, text), "203.0.113.0/28");
	cr_expect_eq(prefix_parse("2001:db8::1/64", &prefix), -ERANGE);
	cr_expect_str_eq(prefix_format(&prefix, text), "2001:db8::/64");
}

Test(policy, ranges_of_ports)
{
	static const char *const wrong[] = { "",    "0",      "65536", "80-79",	 "80-",
					     "-80", "80-90-", "a",     "80 -90", "1234567890-2" };
	struct port_range range;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		cr_expect_eq(port_range_parse(wrong[i], &range), -EINVAL, "%s", wrong[i]);
	cr_expect_eq(port_range_parse("80", &range), 0);
	cr_expect(port_ranges_hold(&range, 1, 80));
	cr_expect(!port_ranges_hold(&range, 1, 81));
	cr_expect_eq(port_range_parse("5000-65535", &range), 0);
	cr_expect(port_ranges_hold(&range, 1, 5000) && port_ranges_hold(&range, 1, 65535));
	cr_expect(!port_ranges_hold(&range, 1, 4999) && !port_ranges_hold(&range, 1, 0));
	cr_expect(!port_ranges_hold(NULL, 0, 80));
}

/* ---- a request against a policy ---- */

static struct address_prefix prefix;
static struct port_range ports = { 5000, 5999 };
static const struct policy_config site = { .name = "site",
					   .addresses = &prefix,
					   .address_count = 1,
					   .ports = &ports,
					   .port_count = 1 };

static struct registrar_request good_request(void)
{
	struct registrar_request request = { .type = REGISTRAR_REGISTER,
					     .service_port = 5000,
					     .trunk_port = 22 };

	prefix_parse("203.0.113.0/28", &prefix);
	address_parse("203.0.113.7", request.address);
	params_default(&request.params);
	return request;
}

static void expect_refusal(const struct registrar_request *request, enum refusal refusal)
{
	char text[REFUSAL_TEXT_MAX] = "";

	cr_expect_eq(registration_check(request, &site, text), refusal, "%s", text);
	cr_expect_eq(text[0] == '\0', refusal == REFUSED_NOT);
}

Test(registration_check, what_the_policy_allows_passes)
{
	struct registrar_request request = good_request();

	expect_refusal(&request, REFUSED_NOT);
	request.service_port = 5999;
	request.nexthop = 1;
	expect_refusal(&request, REFUSED_NOT);
}

Test(registration_check, the_refusal_is_by_rule)
{
	static const char *const addresses[] = { "203.0.113.16", "2001:db8::7", "127.0.0.1",
						 "0.0.0.0",	 "224.0.0.1",	"::" };
	static const uint16_t wrong_ports[] = { 0, 80, 4999, 6000, 65535 };
	struct registrar_request request;

	for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
		request = good_request();
		address_parse(addresses[i], request.address);
		expect_refusal(&request, REFUSED_address);
	}
	for (size_t i = 0; i < sizeof(wrong_ports) / sizeof(*wrong_ports); i++) {
		request = good_request();
		request.service_port = wrong_ports[i];
		expect_refusal(&request, REFUSED_port);
	}
	request = good_request();
	request.trunk_port = 0;
	expect_refusal(&request, REFUSED_port);
}

Test(registration_check, bytes_that_no_parser_made_are_refused)
{
	struct registrar_request request = good_request();

	request.nexthop = 2;
	expect_refusal(&request, REFUSED_params);
	request = good_request();
	request.reserved[1] = 1;
	expect_refusal(&request, REFUSED_params);
	request = good_request();
	memset(request.agent, 'x', sizeof(request.agent));
	expect_refusal(&request, REFUSED_params);
	request = good_request();
	request.params.parallel = 0;
	expect_refusal(&request, REFUSED_params);
	request = good_request();
	request.params.qos = 200;
	expect_refusal(&request, REFUSED_params);
	request = good_request();
	memset(request.params.flow_control, 'a', sizeof(request.params.flow_control));
	expect_refusal(&request, REFUSED_params);
	request = good_request();
	strcpy(request.params.flow_control, "a/b");
	expect_refusal(&request, REFUSED_params);
	request = good_request();
	request.params.flow_control[5] = 'x'; /* behind the NUL */
	expect_refusal(&request, REFUSED_params);
	request = good_request();
	request.params.window = 1;
	expect_refusal(&request, REFUSED_params);
	request = good_request();
	request.params.reserved = 1;
	expect_refusal(&request, REFUSED_params);
}
