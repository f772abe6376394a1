/* SPDX-License-Identifier: GPL-2.0 */
/* How many bytes arrived in each interval of BIN_NS since a start. */
#ifndef LOAD_BINS_H
#define LOAD_BINS_H

#include "wire.h"

struct bins {
	uint32_t count; /* intervals up to the last in which something arrived */
	uint64_t bytes[BINS_MAX]; /* what comes later than the last interval counts there */
};

/* Counts bytes that arrived now; both times in ns of CLOCK_MONOTONIC. */
void bins_add(struct bins *bins, int64_t start, int64_t now, uint64_t bytes);

/* Adds what another connection received; both count from the same start. */
void bins_merge(struct bins *bins, const uint64_t *bytes, uint32_t count);

#endif
