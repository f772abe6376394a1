/* SPDX-License-Identifier: GPL-2.0 */
/* Latencies, every one of them, and their percentiles. */
#ifndef LOAD_SAMPLES_H
#define LOAD_SAMPLES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct samples {
	uint32_t *microseconds;
	size_t count, room;
};

/* Ends the process when there is no memory. */
void samples_add(struct samples *samples, int64_t ns);

/* {"count", "p50", "p99", "max"} in seconds, a new reference; sorts the samples. */
json_t *samples_describe(struct samples *samples);

void samples_free(struct samples *samples);

#endif
