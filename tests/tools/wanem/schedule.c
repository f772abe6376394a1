/* SPDX-License-Identifier: GPL-2.0 */
/* Changes, which may overlap, as periods, which do not. */
#include "schedule.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static int compare_periods(const void *left, const void *right)
{
	const struct period *a = left, *b = right;

	return (a->from > b->from) - (a->from < b->from);
}

/* The change of a kind that rules at a time, or NULL. */
static const struct change *ruling(const struct change *changes, size_t count,
				   enum change_kind kind, int64_t when)
{
	const struct change *found = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct change *change = &changes[i];

		if (change->kind == kind && change->at <= when && when < change->until &&
		    (!found || change->at >= found->at))
			found = change;
	}
	return found;
}

int schedule_init(struct schedule *schedule, uint64_t rate, double loss,
		  const struct change *changes, size_t count)
{
	size_t times = 1;

	schedule->periods = calloc(2 * count + 1, sizeof(*schedule->periods));
	if (!schedule->periods)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		schedule->periods[times++].from = changes[i].at;
		if (changes[i].until != INT64_MAX)
			schedule->periods[times++].from = changes[i].until;
	}
	qsort(schedule->periods, times, sizeof(*schedule->periods), compare_periods);

	for (size_t i = 0; i < times; i++) {
		struct period *period = &schedule->periods[i];
		const struct change *new_rate = ruling(changes, count, CHANGE_RATE, period->from);
		const struct change *new_loss = ruling(changes, count, CHANGE_LOSS, period->from);
		uint64_t bits = new_rate ? new_rate->rate : rate;

		period->ns_per_byte = bits ? 8e9 / (double)bits : 0;
		period->loss = new_loss ? new_loss->loss : loss;
		period->outage = ruling(changes, count, CHANGE_OUTAGE, period->from);
	}
	schedule->count = times;
	return 0;
}

void schedule_destroy(struct schedule *schedule)
{
	free(schedule->periods);
	*schedule = (struct schedule){ 0 };
}

void schedule_start(struct schedule *schedule, int64_t now)
{
	for (size_t i = 0; i < schedule->count; i++)
		schedule->periods[i].from += now;
}

/* When a period ends. */
static double period_end(const struct schedule *schedule, size_t period)
{
	return period + 1 < schedule->count ? (double)schedule->periods[period + 1].from : INFINITY;
}

size_t schedule_find(const struct schedule *schedule, size_t period, double when)
{
	while (period_end(schedule, period) <= when)
		period++;
	return period;
}

double schedule_end(const struct schedule *schedule, size_t period, double from, double bytes)
{
	for (;; period++) {
		double end = period_end(schedule, period);
		double takes = bytes * schedule->periods[period].ns_per_byte;

		if (from + takes <= end)
			return from + takes;
		bytes -= (end - from) / schedule->periods[period].ns_per_byte;
		from = end;
	}
}

double schedule_bytes(const struct schedule *schedule, size_t period, double from, double until)
{
	double bytes = 0;

	/* where there is no rate, nothing waits */
	for (; from < until && schedule->periods[period].ns_per_byte > 0; period++) {
		double end = fmin(period_end(schedule, period), until);

		bytes += (end - from) / schedule->periods[period].ns_per_byte;
		from = end;
	}
	return bytes;
}
