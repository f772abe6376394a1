/* SPDX-License-Identifier: GPL-2.0 */
/* Percentiles of latencies. */
#include "samples.h"

#include "endpoint.h"

#include <stdlib.h>

void samples_add(struct samples *samples, int64_t ns)
{
	if (samples->count == samples->room) {
		samples->room = samples->room ? samples->room * 2 : 4096;
		samples->microseconds = reallocarray(samples->microseconds, samples->room,
						     sizeof(*samples->microseconds));
		if (!samples->microseconds)
			die("memory");
	}
	samples->microseconds[samples->count++] = (uint32_t)((ns + 500) / 1000);
}

static int compare(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return (a > b) - (a < b);
}

static double quantile(const struct samples *samples, double part)
{
	size_t index = (size_t)(part * (double)(samples->count - 1) + 0.5);

	return samples->microseconds[index] / 1e6;
}

json_t *samples_describe(struct samples *samples)
{
	if (!samples->count)
		return json_pack("{s:i}", "count", 0);
	qsort(samples->microseconds, samples->count, sizeof(*samples->microseconds), compare);
	return json_pack("{s:I, s:f, s:f, s:f}", "count", (json_int_t)samples->count, "p50",
			 quantile(samples, 0.5), "p99", quantile(samples, 0.99), "max",
			 quantile(samples, 1));
}

void samples_free(struct samples *samples)
{
	free(samples->microseconds);
}
