/* SPDX-License-Identifier: GPL-2.0 */
/* sluice top: live flows and rates, on a terminal or, with -b, as text. */
#include "top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

#define DELAY_MIN_S 0.1
#define DELAY_MAX_S 3600.0

static int read_delay(const struct cli *cli, double *delay)
{
	const char *text = cli->given[CLI_DELAY];
	char *end;

	*delay = 1;
	if (!text)
		return 0;
	*delay = strtod(text, &end);
	if (end == text || *end || !(*delay >= DELAY_MIN_S && *delay <= DELAY_MAX_S))
		return cli_usage(cli, "-d is seconds from %g to %g, not \"%s\"", DELAY_MIN_S,
				 DELAY_MAX_S, text);
	return 0;
}

static int read_sort(const struct cli *cli, size_t *sort)
{
	const char *name = cli->given[CLI_SORT] ?: "rate";

	for (*sort = 0; *sort < top_column_count; (*sort)++)
		if (!strcmp(top_columns[*sort].name, name))
			return 0;
	fprintf(stderr, "sluice: top: no column \"%s\", there are:", name);
	for (size_t i = 0; i < top_column_count; i++)
		fprintf(stderr, " %s", top_columns[i].name);
	fputc('\n', stderr);
	return CLI_USAGE;
}

int verb_top(const struct cli *cli, int count, char **arguments)
{
	struct top top = { .cli = cli };
	uint64_t screens = 0;
	int r;

	if (count)
		return cli_usage(cli, "no \"%s\" is expected", arguments[0]);
	r = read_delay(cli, &top.delay_s);
	r = r ? r : read_sort(cli, &top.sort);
	if (r)
		return r;
	if (cli->given[CLI_COUNT] && (!cli->given[CLI_BATCH] ||
				      number_parse(cli->given[CLI_COUNT], 1, UINT32_MAX, &screens)))
		return cli_usage(cli, "-n is how many screens -b prints, 1 at least");
	if (cli->json && !cli->given[CLI_BATCH])
		return cli_usage(cli, "-j is for -b");
	snprintf(top.filter, sizeof(top.filter), "%s", cli->given[CLI_FILTER] ?: "");
	r = cli->given[CLI_BATCH] ? top_batch(&top, screens) : top_screen(&top);
	top_free(&top);
	return r;
}
