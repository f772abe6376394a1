/* SPDX-License-Identifier: GPL-2.0 */
/* Asking the daemon for its flows, and what has changed since the last time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control.h"
#include "top.h"

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static json_t *ask(const struct top *top, const char *noun, char *error)
{
	json_t *request = json_pack("{s:s, s:s}", "verb", "show", "noun", noun), *result;
	char path[4096];

	snprintf(path, sizeof(path), "%s/control.sock", top->cli->run_dir);
	if (control_call(path, request, &result, error, TOP_ERROR_MAX))
		result = NULL;
	json_decref(request);
	return result;
}

static int compare_ids(const void *one, const void *other)
{
	uint64_t a = ((const struct top_flow *)one)->id, b = ((const struct top_flow *)other)->id;

	return a < b ? -1 : a > b;
}

static uint64_t bytes_of(const json_t *json, const char *direction)
{
	return (uint64_t)json_integer_value(
		json_object_get(json_object_get(json, direction), "bytes"));
}

static void free_sample(struct top_sample *sample)
{
	json_decref(sample->answer);
	json_decref(sample->status);
	free(sample->flows);
	memset(sample, 0, sizeof(*sample));
}

/* What a flow has carried since it was seen before, or began, per second. */
static void set_rates(struct top_flow *flow, const struct top_flow *before, double seconds)
{
	double age_s = json_number_value(json_object_get(flow->json, "age_s"));

	if (!before)
		seconds = age_s > 0.001 ? age_s : 0.001;
	if (seconds <= 0)
		return;
	flow->up_bps = 8 * (double)(flow->up - (before ? before->up : 0)) / seconds;
	flow->down_bps = 8 * (double)(flow->down - (before ? before->down : 0)) / seconds;
}

static bool fill(struct top_sample *sample, const struct top_sample *before)
{
	const json_t *flows = json_object_get(sample->answer, "flows"), *json;
	size_t i;

	sample->flows = calloc(json_array_size(flows) + 1, sizeof(*sample->flows));
	if (!sample->flows)
		return false;
	json_array_foreach(flows, i, json)
		sample->flows[sample->count++] = (struct top_flow){
			.json = (json_t *)json,
			.id = (uint64_t)json_integer_value(json_object_get(json, "id")),
			.up = bytes_of(json, "up"),
			.down = bytes_of(json, "down"),
		};
	qsort(sample->flows, sample->count, sizeof(*sample->flows), compare_ids);
	for (i = 0; i < sample->count; i++) {
		struct top_flow *flow = &sample->flows[i];
		const struct top_flow *known = before->flows
						       ? bsearch(flow, before->flows, before->count,
								 sizeof(*flow), compare_ids)
						       : NULL;

		set_rates(flow, known, sample->at_s - before->at_s);
		sample->up_bps += flow->up_bps;
		sample->down_bps += flow->down_bps;
	}
	return true;
}

bool top_look(struct top *top, char *error)
{
	struct top_sample sample = { 0 };
	double began_s = now_s();

	sample.answer = ask(top, "flows", error);
	sample.at_s = now_s();
	sample.took_s = sample.at_s - began_s;
	if (sample.answer)
		sample.status = ask(top, "status", error);
	if (!sample.status) {
		free_sample(&sample);
		return false;
	}
	if (!fill(&sample, &top->sample)) {
		free_sample(&sample);
		snprintf(error, TOP_ERROR_MAX, "out of memory");
		return false;
	}
	free_sample(&top->sample);
	top->sample = sample;
	top_arrange(top);
	return true;
}

static int compare_shown(const void *one, const void *other, void *context)
{
	const struct top_flow *a = *(struct top_flow *const *)one;
	const struct top_flow *b = *(struct top_flow *const *)other;
	const struct top *top = context;
	const struct top_column *column = &top_columns[top->sort];
	char left[TOP_CELL_MAX], right[TOP_CELL_MAX];
	int order;

	if (column->number) {
		double x = column->number(a), y = column->number(b);

		order = x > y ? -1 : x < y; /* the largest first */
	} else {
		order = strcmp(column->text(a, left), column->text(b, right));
	}
	if (top->reversed)
		order = -order;
	return order ? order : compare_ids(a, b);
}

static void set_widths(struct top *top)
{
	char cell[TOP_CELL_MAX];

	for (size_t i = 0; i < top_column_count; i++) {
		top->widths[i] = top_columns[i].width;
		for (size_t j = 0; i < TOP_WIDE_COLUMNS && j < top->shown_count; j++) {
			int length = (int)strlen(top_columns[i].text(top->shown[j], cell));

			top->widths[i] = length > top->widths[i] ? length : top->widths[i];
		}
	}
}

void top_arrange(struct top *top)
{
	struct top_flow **shown = calloc(top->sample.count + 1, sizeof(struct top_flow *));

	free(top->shown);
	top->shown = shown;
	top->shown_count = 0;
	for (size_t i = 0; shown && i < top->sample.count; i++)
		if (top_matches(&top->sample.flows[i], top->filter))
			shown[top->shown_count++] = &top->sample.flows[i];
	if (shown)
		qsort_r(shown, top->shown_count, sizeof(struct top_flow *), compare_shown, top);
	set_widths(top);
}

void top_free(struct top *top)
{
	free_sample(&top->sample);
	free(top->shown);
}
