/* SPDX-License-Identifier: GPL-2.0 */
/* What the registrar makes of an agent's lines. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "agent_protocol.h"
#include "registrar_message.h"

static struct agent_message parse(const char *line)
{
	struct agent_message message;

	cr_assert_eq(agent_message_parse(line, strlen(line), &message), 0, "%s: %s", line,
		     message.text);
	return message;
}

static void expect_bad(const char *line, const char *word)
{
	struct agent_message message;

	cr_expect_eq(agent_message_parse(line, strlen(line), &message), -EPROTO, "%s", line);
	cr_expect(strstr(message.text, word), "%s: \"%s\" does not say \"%s\"", line, message.text,
		  word);
}

static void expect_refused(const char *line, unsigned refusal, const char *word)
{
	struct agent_message message = parse(line);

	cr_expect_eq(message.refusal, refusal, "%s", line);
	cr_expect(strstr(message.text, word), "%s: \"%s\"", line, message.text);
}

Test(registrar_message, register_in_full)
{
	struct agent_message message = parse(
		"{\"type\":\"register\",\"id\":7,\"address\":\"203.0.113.7\",\"service\":443,"
		"\"trunk\":10443,\"nexthop\":true,\"params\":{\"rate\":\"500mbit\"},\"new\":[{}]}");
	char address[INET6_ADDRSTRLEN];

	cr_expect_eq(message.type, AGENT_REGISTER);
	cr_expect_eq(message.refusal, REFUSED_NOT);
	cr_expect_eq(message.request.type, REGISTRAR_REGISTER);
	cr_expect_eq(message.request.id, 7);
	cr_expect_str_eq(address_format(message.request.address, address), "203.0.113.7");
	cr_expect_eq(message.request.service_port, 443);
	cr_expect_eq(message.request.trunk_port, 10443);
	cr_expect_eq(message.request.nexthop, 1);
	cr_expect_eq(message.request.params.rate, 500000000);
	cr_expect_eq(message.request.params.parallel, 1);
}

Test(registrar_message, what_a_register_may_leave_out)
{
	struct agent_message message = parse("{\"type\":\"register\",\"id\":0,\"address\":"
					     "\"2001:db8::1\",\"service\":80}");

	cr_expect_eq(message.request.trunk_port, 80);
	cr_expect_eq(message.request.nexthop, 0);
	cr_expect_eq(message.request.params.idle_timeout_s, 7200);
}

Test(registrar_message, hello)
{
	struct agent_message message =
		parse("{\"type\":\"hello\",\"version\":3,\"agent\":\"1\\u00e4\\u001b[2J\"}");

	cr_expect_eq(message.type, AGENT_HELLO);
	cr_expect_eq(message.version, 3);
	cr_expect_str_eq(message.request.agent, "1???[2J");
	expect_refused("{\"type\":\"hello\",\"version\":1,\"require\":[\"params\",\"warp\"]}",
		       REFUSED_feature, "\"warp\"");
	cr_expect_eq(parse("{\"type\":\"hello\",\"version\":1,\"require\":[\"params\"],"
			   "\"offer\":[\"warp\"]}")
			     .refusal,
		     REFUSED_NOT);
	expect_bad("{\"type\":\"hello\"}", "version");
}

Test(registrar_message, what_is_no_message)
{
	expect_bad("", "JSON");
	expect_bad("7", "JSON");
	expect_bad("[]", "JSON");
	expect_bad("{\"type\":\"renew\",\"id\":1} x", "JSON");
	expect_bad("{\"type\":\"renew\",\"id\":1,\"id\":2}", "JSON");
	expect_bad("{\"type\":\"renew\",\"id\":1.5}", "id");
	expect_bad("{\"type\":\"renew\",\"id\":9007199254740992}", "id");
	expect_bad("{\"type\":\"renew\",\"id\":99999999999999999999}", "JSON");
	expect_bad("{\"id\":1}", "type");
	expect_bad("{\"type\":7,\"id\":1}", "type");
	expect_bad("{\"type\":\"re\\nnew\",\"id\":1}", "unknown type \"re?new\"");
}

Test(registrar_message, depth_is_bounded_before_anything_is_parsed)
{
	char line[PROTOCOL_LINE_MAX];
	size_t length = 0;

	expect_bad("{\"a\":[[[[[[[[1]]]]]]]]}", "deeper");
	parse("{\"type\":\"renew\",\"id\":1,\"a\":[[[[[[[1]]]]]]]}");
	parse("{\"type\":\"renew\",\"id\":1,\"a\":\"[[[[[[[[[[\\\"[[[\"}");
	while (length < sizeof(line) - 1)
		line[length++] = '[';
	line[length] = '\0';
	expect_bad(line, "deeper");
}

Test(registrar_message, refusals_by_rule)
{
#define REGISTER(rest) "{\"type\":\"register\",\"id\":1," rest "}"
	expect_refused(REGISTER("\"address\":\"x\",\"service\":80"), REFUSED_address, "\"x\"");
	expect_refused(REGISTER("\"address\":\"10.0.0.1\",\"service\":65536"), REFUSED_port,
		       "1 to 65535");
	expect_refused(REGISTER("\"address\":\"10.0.0.1\",\"service\":80,\"trunk\":0"),
		       REFUSED_port, "trunk");
	expect_refused(
		REGISTER("\"address\":\"10.0.0.1\",\"service\":80,\"params\":{\"rte\":\"1\"}"),
		REFUSED_params, "did you mean \"rate\"");
	expect_bad(REGISTER("\"address\":\"10.0.0.1\""), "service");
	expect_bad(REGISTER("\"service\":80"), "address");
	expect_bad(REGISTER("\"address\":\"10.0.0.1\",\"service\":80,\"nexthop\":1"), "nexthop");
	expect_bad(REGISTER("\"address\":\"10.0.0.1\",\"service\":80,\"trunk\":\"1\""), "trunk");
	expect_bad(REGISTER("\"address\":\"10.0.0.1\",\"service\":80,\"params\":[]"), "params");
}

Test(registrar_message, every_rule_has_its_name)
{
	cr_expect_str_eq(refusal_name(REFUSED_address), "address");
	cr_expect_str_eq(refusal_name(REFUSED_feature), "feature");
	cr_expect_str_eq(refusal_name(REFUSAL_COUNT), "?");
}
