/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sluice top: what its parts share. sample.c asks the daemon and works out
 * rates, columns.c says what is shown of a flow, batch.c prints, screen.c and
 * detail.c draw.
 */
#ifndef SLUICE_TOP_H
#define SLUICE_TOP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"

#define TOP_ERROR_MAX 512
#define TOP_FILTER_MAX 64
#define TOP_CELL_MAX 64
#define TOP_COLUMNS_MAX 24

/* The first columns are as wide as their longest cell: cut off they are no name. */
#define TOP_WIDE_COLUMNS 3

/* A flow as it was seen last. */
struct top_flow {
	json_t *json; /* borrowed from the sample's answer */
	uint64_t id;
	uint64_t up, down; /* bytes */
	double up_bps, down_bps; /* since the look before; of a new one since it began */
};

struct top_sample {
	json_t *answer; /* of show flows; owned */
	json_t *status; /* of show status; owned */
	struct top_flow *flows; /* by id; owned */
	size_t count;
	double at_s; /* CLOCK_MONOTONIC */
	double took_s; /* to get it */
	double up_bps, down_bps; /* of all */
};

/* What is looked at and how. */
struct top {
	const struct cli *cli;
	double delay_s; /* between two looks */
	size_t sort; /* index of a column */
	bool reversed;
	char filter[TOP_FILTER_MAX]; /* text that a flow must have; "": all */
	struct top_sample sample; /* the last */
	struct top_flow **shown; /* those that pass the filter, sorted; owned */
	size_t shown_count;
	int widths[TOP_COLUMNS_MAX]; /* of the columns, wide enough for what is shown */
};

/* ---- sample.c ---- */

/* Looks again. False with one line in error (TOP_ERROR_MAX bytes) when the daemon
 * does not answer: what was seen last stays. */
bool top_look(struct top *top, char *error);

/* Filters and sorts anew. */
void top_arrange(struct top *top);

void top_free(struct top *top);

/* ---- columns.c ---- */

struct top_column {
	const char *name; /* for --sort */
	const char *title;
	int width; /* at least */
	bool right; /* numbers: aligned there, the largest first */
	double (*number)(const struct top_flow *flow); /* to sort by; NULL: by text */
	const char *(*text)(const struct top_flow *flow, char *cell); /* cell: TOP_CELL_MAX bytes */
};

extern const struct top_column top_columns[];
extern const size_t top_column_count;

/* "lan.rtt_us" of a flow. */
const json_t *top_member(const struct top_flow *flow, const char *path);

/* bit/s as "12.3mbit". */
const char *top_rate(double bps, char *cell);

/* Whether any of the words that are shown of a flow has the text in it. */
bool top_matches(const struct top_flow *flow, const char *text);

/* One line for all: state, flows, rates. */
void top_summary(const struct top *top, char *line, size_t size);

/* ---- batch.c, screen.c, detail.c ---- */

/* Prints count screens (0: without end). Returns the exit status. */
int top_batch(struct top *top, uint64_t count);

/* The live view. Returns the exit status. */
int top_screen(struct top *top);

/* Draws one flow in full into the lines from first on; NULL: it has ended. */
void top_draw_detail(const struct top *top, const struct top_flow *flow, int first);

#endif
