/* SPDX-License-Identifier: GPL-2.0 */
/* sluice add: a static entry at run time. The daemon checks all of it again. */
#include <string.h>

#include "address.h"
#include "cli.h"
#include "params.h"
#include "ports.h"

/* "KEY=VALUE" into values. Whether the values agree with each other is the daemon's to say. */
static int add_value(const struct cli *cli, char *argument, json_t *values)
{
	char error[PARAMS_ERROR_MAX];
	struct wan_params params;
	char *equals = strchr(argument, '=');

	if (!equals)
		return cli_usage(cli, "\"%s\" is neither nexthop nor KEY=VALUE", argument);
	*equals = '\0';
	params_default(&params);
	if (params_set(&params, argument, equals + 1, error))
		return cli_usage(cli, "%s", error);
	if (json_object_get(values, argument))
		return cli_usage(cli, "%s is given twice", argument);
	if (json_object_set_new(values, argument, json_string(equals + 1)))
		return cli_usage(cli, "%s has a value that is not UTF-8", argument);
	return 0;
}

int verb_add(const struct cli *cli, int count, char **arguments)
{
	json_t *values = json_object();
	uint16_t service_port;
	uint16_t trunk_port;
	uint8_t address[16];
	int nexthop = 0;
	int r = 0;

	if (count < 2)
		r = cli_usage(cli, "an address and a port are needed");
	else if (address_parse(arguments[0], address))
		r = cli_usage(cli, "\"%s\" is no IPv4 or IPv6 address", arguments[0]);
	else if (!address_is_unicast(address))
		r = cli_usage(cli, "%s is not an address that a remote can have", arguments[0]);
	else if (ports_parse(arguments[1], &service_port, &trunk_port))
		r = cli_usage(cli, "\"%s\" is not PORT or PORT:TRUNK, each 1 to 65535",
			      arguments[1]);
	for (int i = 2; !r && i < count; i++) {
		if (!strcmp(arguments[i], "nexthop"))
			nexthop = 1;
		else
			r = add_value(cli, arguments[i], values);
	}
	if (!r)
		r = cli_change(cli,
			       json_pack("{s:s, s:s, s:i, s:i, s:b, s:O}", "verb", "add", "address",
					 arguments[0], "port", service_port, "trunk", trunk_port,
					 "nexthop", nexthop, "params", values));
	json_decref(values);
	return r;
}
