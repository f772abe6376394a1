/* SPDX-License-Identifier: GPL-2.0 */
/* What is shown of a flow, and what it is sorted by. */
#include <stdio.h>
#include <string.h>

#include "format.h"
#include "top.h"

const json_t *top_member(const struct top_flow *flow, const char *path)
{
	const json_t *value = flow->json;

	while (*path) {
		size_t length = strcspn(path, ".");

		value = json_object_getn(value, path, length);
		path += length + (path[length] == '.');
	}
	return value;
}

static double number_of(const struct top_flow *flow, const char *path)
{
	return json_number_value(top_member(flow, path));
}

/* A member as the tables of `sluice show` write it. */
static const char *formatted(const json_t *value, cell_format *format, char *cell)
{
	char text[CELL_TEXT_MAX];

	snprintf(cell, TOP_CELL_MAX, "%.*s", TOP_CELL_MAX - 1, format(value, text));
	for (char *c = cell; *c; c++) /* nothing that a terminal would take for a command */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return cell;
}

const char *top_rate(double bps, char *cell)
{
	json_t *value = json_real(bps);

	formatted(value, format_rate, cell);
	json_decref(value);
	return cell;
}

/* A column that is one member. */
#define MEMBER(function, path, format)                                              \
	static double function##_number(const struct top_flow *flow)                \
	{                                                                           \
		return number_of(flow, path);                                       \
	}                                                                           \
	static const char *function##_text(const struct top_flow *flow, char *cell) \
	{                                                                           \
		return formatted(top_member(flow, path), format, cell);             \
	}

#define TEXT_MEMBER(function, path)                                                 \
	static const char *function##_text(const struct top_flow *flow, char *cell) \
	{                                                                           \
		return formatted(top_member(flow, path), format_text, cell);        \
	}

MEMBER(id, "id", format_number)
MEMBER(age, "age_s", format_age)
MEMBER(lan_rtt, "lan.rtt_us", format_rtt)
MEMBER(wan_rtt, "wan.rtt_us", format_rtt)
MEMBER(lan_cwnd, "lan.cwnd", format_number)
MEMBER(wan_cwnd, "wan.cwnd", format_number)
TEXT_MEMBER(client, "client")
TEXT_MEMBER(remote, "remote")
TEXT_MEMBER(state, "state")
TEXT_MEMBER(engine, "engine")
TEXT_MEMBER(lan_cc, "lan.cc")
TEXT_MEMBER(wan_cc, "wan.cc")
TEXT_MEMBER(identity, "identity")

static double up_number(const struct top_flow *flow)
{
	return flow->up_bps;
}

static const char *up_text(const struct top_flow *flow, char *cell)
{
	return top_rate(flow->up_bps, cell);
}

static double down_number(const struct top_flow *flow)
{
	return flow->down_bps;
}

static const char *down_text(const struct top_flow *flow, char *cell)
{
	return top_rate(flow->down_bps, cell);
}

static double rate_number(const struct top_flow *flow)
{
	return flow->up_bps + flow->down_bps;
}

static const char *rate_text(const struct top_flow *flow, char *cell)
{
	return top_rate(rate_number(flow), cell);
}

static double retrans_number(const struct top_flow *flow)
{
	return number_of(flow, "lan.retrans") + number_of(flow, "wan.retrans");
}

static const char *retrans_text(const struct top_flow *flow, char *cell)
{
	snprintf(cell, TOP_CELL_MAX, "%.0f", retrans_number(flow));
	return cell;
}

static double backlog_number(const struct top_flow *flow)
{
	return number_of(flow, "up.backlog") + number_of(flow, "down.backlog");
}

static const char *backlog_text(const struct top_flow *flow, char *cell)
{
	json_t *value = json_real(backlog_number(flow));

	formatted(value, format_bytes, cell);
	json_decref(value);
	return cell;
}

const struct top_column top_columns[] = {
	{ "id", "ID", 2, true, id_number, id_text },
	{ "client", "CLIENT", 6, false, NULL, client_text },
	{ "remote", "REMOTE", 6, false, NULL, remote_text },
	{ "rate", "RATE", 9, true, rate_number, rate_text },
	{ "up", "UP", 9, true, up_number, up_text },
	{ "down", "DOWN", 9, true, down_number, down_text },
	{ "engine", "ENGINE", 6, false, NULL, engine_text },
	{ "backlog", "BACKLOG", 7, true, backlog_number, backlog_text },
	{ "wan-rtt", "WAN-RTT", 7, true, wan_rtt_number, wan_rtt_text },
	{ "wan-cwnd", "WAN-CWND", 8, true, wan_cwnd_number, wan_cwnd_text },
	{ "wan-cc", "WAN-CC", 8, false, NULL, wan_cc_text },
	{ "retrans", "RETRANS", 7, true, retrans_number, retrans_text },
	{ "lan-rtt", "LAN-RTT", 7, true, lan_rtt_number, lan_rtt_text },
	{ "lan-cwnd", "LAN-CWND", 8, true, lan_cwnd_number, lan_cwnd_text },
	{ "lan-cc", "LAN-CC", 8, false, NULL, lan_cc_text },
	{ "state", "STATE", 11, false, NULL, state_text },
	{ "age", "AGE", 6, true, age_number, age_text },
	{ "identity", "IDENTITY", 12, false, NULL, identity_text },
};

_Static_assert(sizeof(top_columns) / sizeof(*top_columns) <= TOP_COLUMNS_MAX,
	       "struct top has a width for each column");

const size_t top_column_count = sizeof(top_columns) / sizeof(*top_columns);

bool top_matches(const struct top_flow *flow, const char *text)
{
	char cell[TOP_CELL_MAX];

	if (!*text)
		return true;
	for (size_t i = 0; i < top_column_count; i++)
		if (!top_columns[i].number && strstr(top_columns[i].text(flow, cell), text))
			return true;
	return false;
}

void top_summary(const struct top *top, char *line, size_t size)
{
	const json_t *status = top->sample.status;
	char up[TOP_CELL_MAX], down[TOP_CELL_MAX], age[CELL_TEXT_MAX];

	snprintf(line, size, "sluice top: %s, up %s, %zu flows, %s up, %s down, %lld half-open",
		 json_string_value(json_object_get(status, "state")) ?: "?",
		 format_age(json_object_get(status, "uptime_s"), age), top->sample.count,
		 top_rate(top->sample.up_bps, up), top_rate(top->sample.down_bps, down),
		 json_integer_value(json_object_get(status, "half_open")));
}
