/* SPDX-License-Identifier: GPL-2.0 */
/* sluice show flows (a row a flow) and show flow (one in full, both legs). */
#include <stdio.h>
#include <string.h>

#include "show.h"
#include "table.h"

/* Its state, or what ended it. */
static const char *format_state(const json_t *flow, char *text)
{
	const char *end = json_string_value(json_object_get(flow, "end"));

	return format_text(json_object_get(flow, end && strcmp(end, "-") ? "end" : "state"), text);
}

static double carried(const json_t *flow, const char *direction, const char *key)
{
	return json_number_value(json_object_get(json_object_get(flow, direction), key));
}

/* How much of all its bytes the kernel carried. */
static const char *format_kernel_share(const json_t *flow, char *text)
{
	double bytes = carried(flow, "up", "bytes") + carried(flow, "down", "bytes");
	double kernel_bytes = carried(flow, "up", "kernel_bytes") +
			      carried(flow, "down", "kernel_bytes");

	if (bytes <= 0)
		return "-";
	snprintf(text, CELL_TEXT_MAX, "%.0f%%", 100 * kernel_bytes / bytes);
	return text;
}

static int show_ended(const struct cli *cli, const json_t *result)
{
	static const struct column columns[] = {
		{ "TIME", "time", format_text, false },
		{ "ID", "id", format_number, true },
		{ "CLIENT", "client", format_text, false },
		{ "REMOTE", "remote", format_text, false },
		{ "CODE", "code", format_text, false },
		{ "END", "end", format_text, false },
		{ "DURATION", "duration_s", format_age, true },
		{ "UP", "up.bytes", format_bytes, true },
		{ "DOWN", "down.bytes", format_bytes, true },
		{ "ENGINE", "engine", format_text, false },
		{ "WAN-RTT", "wan.rtt_us", format_rtt, true },
		{ "RETRANS", "wan.retrans", format_number, true },
		{ "IDENTITY", "identity", format_text, false },
		{ 0 },
	};

	return table_print(cli, "flows that have ended", json_object_get(result, "flows"), columns);
}

int show_flows(const struct cli *cli, const json_t *result)
{
	static const struct column columns[] = {
		{ "ID", "id", format_number, true },
		{ "CLIENT", "client", format_text, false },
		{ "REMOTE", "remote", format_text, false },
		{ "TRUNK", "trunk_port", format_number, true },
		{ "STATE", "", format_state, false },
		{ "AGE", "age_s", format_age, true },
		{ "UP", "up.bytes", format_bytes, true },
		{ "DOWN", "down.bytes", format_bytes, true },
		{ "ENGINE", "engine", format_text, false },
		{ "KERNEL", "", format_kernel_share, true },
		{ "LAN-RTT", "lan.rtt_us", format_rtt, true },
		{ "WAN-RTT", "wan.rtt_us", format_rtt, true },
		{ "WAN-RATE", "wan.delivery_bps", format_rate, true },
		{ "WAN-CC", "wan.cc", format_text, false },
		{ "IDENTITY", "identity", format_text, false },
		{ 0 },
	};

	if (cli->given[CLI_ENDED])
		return show_ended(cli, result);
	return table_print(cli, "flows", json_object_get(result, "flows"), columns);
}

/* Two members of flow as two rows, each with its name in the column "name". */
static json_t *two_rows(const json_t *flow, const char *first, const char *second)
{
	const char *const names[] = { first, second };
	json_t *rows = json_array();

	for (int i = 0; i < 2; i++) {
		json_t *row = json_copy(json_object_get(flow, names[i]));

		json_object_set_new(row, "name", json_string(names[i]));
		json_array_append_new(rows, row);
	}
	return rows;
}

static int print_directions(const struct cli *cli, const json_t *flow)
{
	static const struct column columns[] = {
		{ "DIRECTION", "name", format_text, false },
		{ "BYTES", "bytes", format_bytes, true },
		{ "BY-KERNEL", "kernel_bytes", format_bytes, true },
		{ "BY-RELAY", "relay_bytes", format_bytes, true },
		{ "BACKLOG", "backlog", format_bytes, true },
		{ 0 },
	};
	json_t *rows = two_rows(flow, "up", "down");
	int r = table_print(cli, "directions", rows, columns);

	json_decref(rows);
	return r;
}

static int print_legs(const struct cli *cli, const json_t *flow)
{
	static const struct column columns[] = {
		{ "LEG", "name", format_text, false },
		{ "RTT", "rtt_us", format_rtt, true },
		{ "CWND", "cwnd", format_number, true },
		{ "RETRANS", "retrans", format_number, true },
		{ "PACING", "pacing_bps", format_rate, true },
		{ "DELIVERY", "delivery_bps", format_rate, true },
		{ "SUBFLOWS", "subflows", format_number, true },
		{ "CC", "cc", format_text, false },
		{ 0 },
	};
	json_t *rows = two_rows(flow, "lan", "wan");
	int r = table_print(cli, "legs", rows, columns);

	json_decref(rows);
	return r;
}

/* One "name  value" line of the head. */
static void print_line(const json_t *flow, const char *name, const char *key, cell_format *format)
{
	char text[CELL_TEXT_MAX];

	printf("%-11s %s\n", name, format(json_object_get(flow, key), text));
}

int show_flow(const struct cli *cli, const json_t *result)
{
	const json_t *flow = json_object_get(result, "flow");
	int r;

	if (!json_is_object(flow))
		return cli_fail_answer(cli);
	print_line(flow, "flow", "id", format_number);
	print_line(flow, "client", "client", format_text);
	print_line(flow, "remote", "remote", format_text);
	print_line(flow, "trunk port", "trunk_port", format_number);
	print_line(flow, "identity", "identity", format_text);
	print_line(flow, "state", "state", format_text);
	print_line(flow, "end", "end", format_text);
	print_line(flow, "engine", "engine", format_text);
	print_line(flow, "age", "age_s", format_age);
	print_line(flow, "idle", "idle_s", format_age);
	print_line(flow, "params", "params", format_values);
	putchar('\n');
	r = print_directions(cli, flow);
	putchar('\n');
	r = r ? r : print_legs(cli, flow);
	if (json_is_true(json_object_get(json_object_get(flow, "wan"), "fallback")))
		puts("\nparallel: one connection, as the remote or the path to it has no MPTCP");
	return r;
}
