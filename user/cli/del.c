/* SPDX-License-Identifier: GPL-2.0 */
/* sluice del: withdraws one port of a proxy, or the proxy whole. */
#include "address.h"
#include "cli.h"
#include "ports.h"

int verb_del(const struct cli *cli, int count, char **arguments)
{
	uint8_t address[16];
	uint16_t port;

	if (count < 1 || count > 2)
		return cli_usage(cli, "an address is needed, and at most one port");
	if (address_parse(arguments[0], address))
		return cli_usage(cli, "\"%s\" is no IPv4 or IPv6 address", arguments[0]);
	if (count == 1)
		return cli_change(cli,
				  json_pack("{s:s, s:s}", "verb", "del", "address", arguments[0]));
	if (port_parse(arguments[1], &port))
		return cli_usage(cli, "\"%s\" is not a port, 1 to 65535", arguments[1]);
	return cli_change(cli, json_pack("{s:s, s:s, s:i}", "verb", "del", "address", arguments[0],
					 "port", port));
}
