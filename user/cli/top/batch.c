/* SPDX-License-Identifier: GPL-2.0 */
/* sluice top -b: the same without a terminal, for scripts. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "top.h"

/* The flows that are shown, with their rates. */
static int print_json(const struct top *top)
{
	json_t *flows = json_array(), *flow, *result;
	int r;

	for (size_t i = 0; i < top->shown_count; i++) {
		flow = json_copy(top->shown[i]->json);
		json_object_set_new(flow, "up_bps", json_real(top->shown[i]->up_bps));
		json_object_set_new(flow, "down_bps", json_real(top->shown[i]->down_bps));
		json_array_append_new(flows, flow);
	}
	result = json_pack("{s:f, s:f, s:o}", "up_bps", top->sample.up_bps, "down_bps",
			   top->sample.down_bps, "flows", flows);
	r = json_dumpf(result, stdout, JSON_COMPACT) ? CLI_FAILED : 0;
	putchar('\n');
	json_decref(result);
	return r;
}

static void print_cell(const struct top *top, size_t i, const char *text)
{
	const struct top_column *column = &top_columns[i];
	bool last = i + 1 == top_column_count;
	int width = last && !column->right ? 0 : top->widths[i];

	printf(column->right ? "%*s" : "%-*s", width, text);
	putchar(last ? '\n' : ' ');
}

static int print_text(const struct top *top)
{
	char line[256], cell[TOP_CELL_MAX];

	top_summary(top, line, sizeof(line));
	puts(line);
	for (size_t i = 0; i < top_column_count; i++)
		print_cell(top, i, top_columns[i].title);
	for (size_t row = 0; row < top->shown_count; row++)
		for (size_t i = 0; i < top_column_count; i++)
			print_cell(top, i, top_columns[i].text(top->shown[row], cell));
	putchar('\n');
	return 0;
}

int top_batch(struct top *top, uint64_t count)
{
	struct timespec pause = { .tv_sec = (time_t)top->delay_s,
				  .tv_nsec = (long)((top->delay_s - (double)(time_t)top->delay_s) *
						    1e9) };
	char error[TOP_ERROR_MAX];

	for (uint64_t i = 0; count == 0 || i < count; i++) {
		if (i)
			nanosleep(&pause, NULL);
		if (!top_look(top, error))
			return cli_fail("%s", error);
		if (top->cli->json ? print_json(top) : print_text(top))
			return cli_fail("cannot print the flows, standard output fails");
		if (fflush(stdout))
			return CLI_FAILED;
	}
	return 0;
}
