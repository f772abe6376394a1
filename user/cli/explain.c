/* SPDX-License-Identifier: GPL-2.0 */
/* sluice explain: how the tables would treat a connection, step by step. */
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "cli.h"
#include "format.h"

static const char *member(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "-";
}

static void print_counters(const json_t *counters)
{
	const json_t *counter;
	size_t i;

	printf("counters of its packets:\n");
	json_array_foreach(counters, i, counter)
		printf("  %-15s %10lld  %s\n", member(counter, "counter"),
		       json_integer_value(json_object_get(counter, "value")),
		       member(counter, "meaning"));
}

static void print_flows(const json_t *flows)
{
	const json_t *flow;
	size_t i;

	json_array_foreach(flows, i, flow) {
		printf("flow %lld from %s: %s, engine %s: %s\n",
		       json_integer_value(json_object_get(flow, "id")), member(flow, "client"),
		       member(flow, "state"), member(flow, "engine"), member(flow, "why"));
	}
}

static int print_explanation(const struct cli *cli, const json_t *result)
{
	const json_t *steps = json_object_get(result, "steps");
	const char *outcome = json_string_value(json_object_get(result, "outcome"));
	const json_t *params = json_object_get(result, "params");
	char text[CELL_TEXT_MAX];
	const json_t *step;
	size_t i;

	if (!outcome)
		return cli_fail_answer(cli);
	json_array_foreach(steps, i, step)
		printf("%2zu. %s\n", i + 1, json_string_value(step) ?: "-");
	printf("%s: %s\n", outcome, member(result, "reason"));
	if (!strcmp(outcome, "taken"))
		printf("with: %s\n", format_values(params, text));
	print_counters(json_object_get(result, "counters"));
	print_flows(json_object_get(result, "flows"));
	return 0;
}

int verb_explain(const struct cli *cli, int count, char **arguments)
{
	uint8_t address[16];
	json_t *result;
	uint16_t port;
	int r;

	if (count != 2)
		return cli_usage(cli,
				 "a client's address and a remote's address and port are needed");
	if (address_parse(arguments[0], address) && endpoint_parse(arguments[0], address, &port))
		return cli_usage(cli, "\"%s\" is no IPv4 or IPv6 address, with or without :PORT",
				 arguments[0]);
	if (endpoint_parse(arguments[1], address, &port))
		return cli_usage(cli, "\"%s\" is neither ADDRESS:PORT nor [ADDRESS]:PORT",
				 arguments[1]);
	r = cli_ask(cli,
		    json_pack("{s:s, s:s, s:s}", "verb", "explain", "client", arguments[0],
			      "remote", arguments[1]),
		    &result);
	if (r)
		return r;
	r = cli->json ? cli_print_json(result) : print_explanation(cli, result);
	json_decref(result);
	return r;
}
