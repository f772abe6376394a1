/* SPDX-License-Identifier: GPL-2.0 */
/* sluice explain: how the tables would treat a connection, step by step. */
#include <stdio.h>

#include "address.h"
#include "cli.h"
#include "format.h"

static int print_explanation(const struct cli *cli, const json_t *result)
{
	const json_t *steps = json_object_get(result, "steps");
	const char *outcome = json_string_value(json_object_get(result, "outcome"));
	const char *reason = json_string_value(json_object_get(result, "reason"));
	const json_t *params = json_object_get(result, "params");
	char text[CELL_TEXT_MAX];
	const json_t *step;
	size_t i;

	if (!outcome || !reason)
		return cli_fail_answer(cli);
	json_array_foreach(steps, i, step)
		printf("%2zu. %s\n", i + 1, json_string_value(step) ?: "-");
	printf("%s: %s\n", outcome, reason);
	if (json_object_size(params))
		printf("with: %s\n", format_values(params, text));
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
	if (address_parse(arguments[0], address))
		return cli_usage(cli, "\"%s\" is no IPv4 or IPv6 address", arguments[0]);
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
