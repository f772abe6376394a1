/* SPDX-License-Identifier: GPL-2.0 */
/* sluice reload: the daemon reads its configuration file again. */
#include "cli.h"

int verb_reload(const struct cli *cli, int count, char **arguments)
{
	if (count)
		return cli_usage(cli, "no \"%s\" is expected", arguments[0]);
	return cli_change(cli, json_pack("{s:s}", "verb", "reload"));
}
