/* SPDX-License-Identifier: GPL-2.0 */
/* sluice drain: no new connections are taken, those that run may end. */
#include "cli.h"

int verb_drain(const struct cli *cli, int count, char **arguments)
{
	if (count)
		return cli_usage(cli, "no \"%s\" is expected", arguments[0]);
	return cli_change(cli, json_pack("{s:s}", "verb", "drain"));
}
