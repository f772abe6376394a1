/* SPDX-License-Identifier: GPL-2.0 */
/* sluice show counters: each that is not zero, with what it means (include/counters.h). */
#include <stdio.h>
#include <string.h>

#include "counters.h"
#include "show.h"
#include "table.h"

struct description {
	const char *group; /* member of the answer */
	const char *name; /* member of that */
	const char *text;
};

#define INTERCEPT_DESCRIPTION(name, description) { "intercept", #name, description },
#define RELAY_DESCRIPTION(name, description) { "relay", #name, description },
#define REGISTRAR_DESCRIPTION(name, description) { "registrar", #name, description },
#define LOG_DESCRIPTION(name, description) { "log", #name, description },

static const struct description descriptions[] = {
	INTERCEPT_COUNTERS(INTERCEPT_DESCRIPTION) RELAY_COUNTERS(RELAY_DESCRIPTION)
		REGISTRAR_COUNTERS(REGISTRAR_DESCRIPTION) LOG_COUNTERS(LOG_DESCRIPTION)
};

/* "" for a counter of a newer daemon. */
static const char *describe(const char *group, const char *name)
{
	for (size_t i = 0; i < sizeof(descriptions) / sizeof(*descriptions); i++)
		if (!strcmp(descriptions[i].group, group) && !strcmp(descriptions[i].name, name))
			return descriptions[i].text;
	return "";
}

/* Adds a row for each counter of a group, zeros only when all are asked for. */
static void add_rows(const struct cli *cli, const char *group, json_t *counters, json_t *rows)
{
	const char *name;
	json_t *value;

	json_object_foreach(counters, name, value) {
		if (!cli->given[CLI_ALL] && !json_integer_value(value))
			continue;
		json_array_append_new(rows, json_pack("{s:s, s:s, s:O, s:s}", "group", group,
						      "name", name, "value", value, "description",
						      describe(group, name)));
	}
}

int show_counters(const struct cli *cli, const json_t *result)
{
	static const struct column columns[] = {
		{ "PART", "group", format_text, false },
		{ "COUNTER", "name", format_text, false },
		{ "VALUE", "value", format_number, true },
		{ "MEANING", "description", format_text, false },
		{ 0 },
	};
	json_t *groups = (json_t *)result; /* the iteration macro takes no const */
	json_t *rows = json_array();
	const char *group;
	json_t *counters;
	int r;

	json_object_foreach(groups, group, counters)
		add_rows(cli, group, counters, rows);
	r = table_print(cli, cli->given[CLI_ALL] ? "counters" : "counters but zeros, -a shows them",
			rows, columns);
	json_decref(rows);
	return r;
}
