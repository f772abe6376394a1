/* SPDX-License-Identifier: GPL-2.0 */
/* sluice attach and detach: which interfaces' clients are served. */
#include <net/if.h>
#include <string.h>

#include "cli.h"

static int change_interface(const struct cli *cli, int count, char **arguments)
{
	json_t *request;

	if (count != 1)
		return cli_usage(cli, "one interface is needed");
	if (!*arguments[0] || strlen(arguments[0]) >= IFNAMSIZ)
		return cli_usage(cli, "\"%s\" is not an interface's name, 1 to %d letters",
				 arguments[0], IFNAMSIZ - 1);
	request = json_pack("{s:s, s:s}", "verb", cli->verb->name, "dev", arguments[0]);
	if (!request)
		return cli_usage(cli, "the interface's name is not UTF-8");
	return cli_change(cli, request);
}

int verb_attach(const struct cli *cli, int count, char **arguments)
{
	return change_interface(cli, count, arguments);
}

int verb_detach(const struct cli *cli, int count, char **arguments)
{
	return change_interface(cli, count, arguments);
}
