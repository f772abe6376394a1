/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a direction of the link is like at any time: rate, loss and outages, as
 * they change by the script. All changes are known before the start, so the end
 * of a transmission that a change falls into is computed, not corrected later.
 */
#ifndef WANEM_SCHEDULE_H
#define WANEM_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum change_kind { CHANGE_RATE, CHANGE_LOSS, CHANGE_OUTAGE };

/* One line of a script, for one direction. Of those of a kind that last at a
 * time, the one that began last rules; of those that began together, the last. */
struct change {
	enum change_kind kind;
	int64_t at, until; /* ns since the start; until INT64_MAX: for good */
	uint64_t rate; /* bit/s */
	double loss; /* 0..1 */
};

/* A time in which nothing changes; lasts until the next one's start. */
struct period {
	int64_t from; /* ns: since the start, then of CLOCK_MONOTONIC */
	double ns_per_byte; /* 0: as fast as it goes */
	double loss; /* 0..1 */
	bool outage; /* what is sent is lost */
};

struct schedule {
	struct period *periods; /* in order of time; the first is from the start */
	size_t count;
};

/* rate (bit/s, 0 for none) and loss are for when no change rules. 0 or -ENOMEM. */
int schedule_init(struct schedule *schedule, uint64_t rate, double loss,
		  const struct change *changes, size_t count);
void schedule_destroy(struct schedule *schedule);

/* The script begins now; times are those of CLOCK_MONOTONIC from here on. */
void schedule_start(struct schedule *schedule, int64_t now);

/* The period that a time is in; period is that of an earlier time, or 0. */
size_t schedule_find(const struct schedule *schedule, size_t period, double when);

/* When a transmission of so many bytes ends that begins at from, which is in period. */
double schedule_end(const struct schedule *schedule, size_t period, double from, double bytes);

/* Bytes that the link can send between two times, of which from is in period. */
double schedule_bytes(const struct schedule *schedule, size_t period, double from, double until);

#endif
