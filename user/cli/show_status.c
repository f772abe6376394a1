/* SPDX-License-Identifier: GPL-2.0 */
/* sluice show status: the daemon at a glance, its interfaces, relays, registrar and metrics. */
#include <stdio.h>

#include "show.h"
#include "table.h"

static int print_summary(const struct cli *cli, const json_t *result)
{
	json_int_t pid, proxies, ports, params, flows, half_open, half_open_limit, services;
	const char *version;
	const char *state;
	const char *engine;
	const char *intercept;
	const char *registrar;
	const char *why;
	int offered;
	const char *metrics;
	const char *listen;
	char text[CELL_TEXT_MAX];

	if (json_unpack(
		    (json_t *)result,
		    "{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:s, s:I}, s:{s:b, s:s}, "
		    "s:{s:s, s:s}}",
		    "version", &version, "pid", &pid, "state", &state, "engine", &engine,
		    "intercept", &intercept, "proxies", &proxies, "ports", &ports, "params",
		    &params, "flows", &flows, "half_open", &half_open, "half_open_limit",
		    &half_open_limit, "registrar", "state", &registrar, "services", &services,
		    "kernel_engine", "offered", &offered, "why", &why, "metrics", "state", &metrics,
		    "listen", &listen))
		return cli_fail_answer(cli);
	printf("sluiced %s, pid %lld, up %s, %s, intercept %s, engine %s\n", version, pid,
	       format_age(json_object_get(result, "uptime_s"), text), state, intercept, engine);
	printf("kernel engine: %s (%s)\n", offered ? "offered" : "not offered", why);
	printf("tables: %lld proxies, %lld ports, %lld params\n", proxies, ports, params);
	printf("flows: %lld, and %lld of at most %lld half-open\n", flows, half_open,
	       half_open_limit);
	printf("registrar: %s, %lld services of agents\n", registrar, services);
	printf("metrics: %s%s%s\n\n", metrics, *listen ? " at http://" : "", listen);
	return 0;
}

int show_status(const struct cli *cli, const json_t *result)
{
	static const struct column interfaces[] = {
		{ "INTERFACE", "dev", format_text, false },
		{ "SIDE", "side", format_text, false },
		{ "ATTACHED-BY", "attach", format_text, false },
		{ "XDP", "xdp", format_text, false },
		{ 0 },
	};
	static const struct column relays[] = {
		{ "RELAY", "index", format_number, true },
		{ "PID", "pid", format_number, true },
		{ "STATE", "state", format_text, false },
		{ "FLOWS", "flows", format_number, true },
		{ "RESTARTS", "restarts", format_number, true },
		{ 0 },
	};
	int r = print_summary(cli, result);

	if (r)
		return r;
	r = table_print(cli, "interfaces", json_object_get(result, "interfaces"), interfaces);
	if (r)
		return r;
	putchar('\n');
	return table_print(cli, "relays", json_object_get(result, "relays"), relays);
}
