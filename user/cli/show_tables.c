/* SPDX-License-Identifier: GPL-2.0 */
/* sluice show proxies, ports and params: the daemon's tables, a row an entry. */
#include "show.h"
#include "table.h"

int show_proxies(const struct cli *cli, const json_t *result)
{
	static const struct column columns[] = {
		{ "ADDRESS", "address", format_text, false },
		{ "NEXTHOP", "nexthop", format_yes, false },
		{ "PORTS", "ports", format_number, true },
		{ "FLOWS", "flows", format_number, true },
		{ "EXPIRES", "expires_s", format_age, true },
		{ "RTT", "path.rtt_us", format_rtt, true },
		{ "ORIGIN", "origin", format_text, false },
		{ "IDENTITY", "identity", format_text, false },
		{ "AGENT", "agent", format_text, false },
		{ 0 },
	};

	return table_print(cli, "proxies", json_object_get(result, "proxies"), columns);
}

int show_ports(const struct cli *cli, const json_t *result)
{
	static const struct column columns[] = {
		{ "ADDRESS", "address", format_text, false },
		{ "SERVICE", "service_port", format_number, true },
		{ "LISTEN", "listen_port", format_port, true },
		{ "TRUNK", "trunk_port", format_number, true },
		{ "PARAMS", "params", format_number, true },
		{ "NEXTHOP", "nexthop", format_yes, false },
		{ "STATE", "state", format_text, false },
		{ "FLOWS", "flows", format_number, true },
		{ "EXPIRES", "expires_s", format_age, true },
		{ "ORIGIN", "origin", format_text, false },
		{ "IDENTITY", "identity", format_text, false },
		{ 0 },
	};

	return table_print(cli, "ports", json_object_get(result, "ports"), columns);
}

int show_params(const struct cli *cli, const json_t *result)
{
	static const struct column columns[] = {
		{ "ID", "id", format_number, true },
		{ "PORTS", "ports", format_number, true },
		{ "VALUES", "values", format_values, false },
		{ 0 },
	};

	return table_print(cli, "params", json_object_get(result, "params"), columns);
}
