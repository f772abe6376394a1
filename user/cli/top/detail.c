/* SPDX-License-Identifier: GPL-2.0 */
/* One flow in full on the screen of sluice top: both directions, both legs. */
#include <curses.h>
#include <stdio.h>

#include "format.h"
#include "top.h"

static const char *cell_of(const struct top_flow *flow, const char *path, cell_format *format,
			   char *text)
{
	return format(top_member(flow, path), text);
}

static void draw_line(int *line, const char *name, const struct top_flow *flow, const char *path,
		      cell_format *format)
{
	char text[CELL_TEXT_MAX];

	mvprintw((*line)++, 0, "%-11s %s", name, cell_of(flow, path, format, text));
}

static void draw_direction(int line, const char *name, const struct top_flow *flow, double bps)
{
	static const char *const keys[] = { "bytes", "kernel_bytes", "relay_bytes", "backlog" };
	char path[32], text[CELL_TEXT_MAX], rate[TOP_CELL_MAX];

	mvprintw(line, 0, "%-10s %9s", name, top_rate(bps, rate));
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		snprintf(path, sizeof(path), "%s.%s", name, keys[i]);
		printw(" %9s", cell_of(flow, path, format_bytes, text));
	}
}

static void draw_leg(int line, const char *name, const struct top_flow *flow)
{
	static const struct {
		const char *key;
		cell_format *format;
	} cells[] = {
		{ "rtt_us", format_rtt },	 { "cwnd", format_number },
		{ "retrans", format_number },	 { "pacing_bps", format_rate },
		{ "delivery_bps", format_rate },
	};
	char path[32], text[CELL_TEXT_MAX];

	mvprintw(line, 0, "%-10s", name);
	for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
		snprintf(path, sizeof(path), "%s.%s", name, cells[i].key);
		printw(" %9s", cell_of(flow, path, cells[i].format, text));
	}
	snprintf(path, sizeof(path), "%s.cc", name);
	printw(" %s", cell_of(flow, path, format_text, text));
}

void top_draw_detail(const struct top *top, const struct top_flow *flow, int first)
{
	int line = first;

	(void)top;
	if (!flow) {
		mvprintw(line, 0, "this flow has ended: sluice show flows --ended");
		return;
	}
	draw_line(&line, "flow", flow, "id", format_number);
	draw_line(&line, "client", flow, "client", format_text);
	draw_line(&line, "remote", flow, "remote", format_text);
	draw_line(&line, "trunk port", flow, "trunk_port", format_number);
	draw_line(&line, "identity", flow, "identity", format_text);
	draw_line(&line, "state", flow, "state", format_text);
	draw_line(&line, "engine", flow, "engine", format_text);
	draw_line(&line, "age", flow, "age_s", format_age);
	line++;
	mvprintw(line++, 0, "%-10s %9s %9s %9s %9s %9s", "DIRECTION", "RATE", "BYTES", "BY-KERNEL",
		 "BY-RELAY", "BACKLOG");
	draw_direction(line++, "up", flow, flow->up_bps);
	draw_direction(line++, "down", flow, flow->down_bps);
	line++;
	mvprintw(line++, 0, "%-10s %9s %9s %9s %9s %9s %s", "LEG", "RTT", "CWND", "RETRANS",
		 "PACING", "DELIVERY", "CC");
	draw_leg(line++, "lan", flow);
	draw_leg(line, "wan", flow);
}
