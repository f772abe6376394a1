/* SPDX-License-Identifier: GPL-2.0 */
/* sluice show: asks for a noun and hands the answer to that noun's printer (show_*.c). */
#include <stdio.h>
#include <string.h>

#include "nearest.h"
#include "show.h"
#include "units.h"

struct noun {
	const char *name;
	noun_function *function;
	bool takes_id;
};

/* Without a noun it is the first one. */
static const struct noun nouns[] = {
	{ "status", show_status, false }, { "proxies", show_proxies, false },
	{ "ports", show_ports, false },	  { "params", show_params, false },
	{ "flows", show_flows, false },	  { "counters", show_counters, false },
	{ "flow", show_flow, true },
};

#define NOUN_COUNT (sizeof(nouns) / sizeof(*nouns))

/* NULL after saying which noun was probably meant. */
static const struct noun *find_noun(const struct cli *cli, const char *name)
{
	const char *names[NOUN_COUNT];
	const char *nearest;

	for (size_t i = 0; i < NOUN_COUNT; i++) {
		names[i] = nouns[i].name;
		if (!strcmp(names[i], name))
			return &nouns[i];
	}
	nearest = nearest_name(name, names, NOUN_COUNT);
	if (nearest)
		cli_usage(cli, "nothing called \"%s\", did you mean \"%s\"?", name, nearest);
	else
		cli_usage(cli, "nothing called \"%s\"", name);
	return NULL;
}

/* The request, or NULL with the exit status in *status. */
static json_t *make_request(const struct cli *cli, const struct noun *noun, int count,
			    char **arguments, int *status)
{
	uint64_t id;
	json_t *request;

	if (cli->given[CLI_ALL] && noun->function != show_counters)
		*status = cli_usage(cli, "-a is for show counters");
	else if (count != noun->takes_id)
		*status = cli_usage(cli, "%s %s", noun->name,
				    noun->takes_id ? "needs one ID, see sluice show flows"
						   : "takes no further argument");
	else if (cli->given[CLI_ENDED] && noun->function != show_flows)
		*status = cli_usage(cli, "--ended is for show flows");
	else if (cli->given[CLI_COUNT] && (!cli->given[CLI_ENDED] ||
					   number_parse(cli->given[CLI_COUNT], 1, UINT32_MAX, &id)))
		*status = cli_usage(cli, "-n is how many of show flows --ended, 1 at least");
	else if (noun->takes_id && number_parse(arguments[0], 0, INT64_MAX, &id))
		*status = cli_usage(cli, "\"%s\" is no ID, see sluice show flows", arguments[0]);
	else {
		request = json_pack("{s:s, s:s}", "verb", "show", "noun", noun->name);
		if (noun->takes_id)
			json_object_set_new(request, "id", json_integer((json_int_t)id));
		if (cli->given[CLI_ENDED])
			json_object_set_new(request, "ended", json_true());
		if (cli->given[CLI_COUNT])
			json_object_set_new(request, "limit", json_integer((json_int_t)id));
		return request;
	}
	return NULL;
}

int verb_show(const struct cli *cli, int count, char **arguments)
{
	const struct noun *noun = &nouns[0];
	json_t *request;
	json_t *result;
	int r = 0;

	if (count) {
		noun = find_noun(cli, arguments[0]);
		if (!noun)
			return CLI_USAGE;
		count--;
		arguments++;
	}
	request = make_request(cli, noun, count, arguments, &r);
	if (r)
		return r;
	if (cli->json)
		return cli_pass_on(cli, request);
	r = cli_ask(cli, request, &result);
	if (r)
		return r;
	r = noun->function(cli, result);
	json_decref(result);
	return r;
}
