/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What load's client and server say to each other. Both run on one machine, so
 * numbers are in host byte order and times are of one clock (CLOCK_MONOTONIC).
 */
#ifndef LOAD_WIRE_H
#define LOAD_WIRE_H

#include <assert.h>
#include <stdint.h>

#define ORDER_MAGIC 0x6c6f6164U

enum order_kind {
	ORDER_ANSWER, /* after up bytes, down bytes come back, then a FIN */
	ORDER_REPEAT, /* up bytes, down bytes, and again until the client's FIN */
	ORDER_UPLOAD, /* up bytes, or all until the client's FIN; then a report and a FIN */
	ORDER_DUPLEX, /* bytes without end both ways; a report and a FIN after the client's FIN */
};

/* The first bytes of every connection. */
struct order {
	uint32_t magic; /* ORDER_MAGIC */
	uint32_t kind; /* enum order_kind */
	uint64_t up; /* bytes that the client sends, after this */
	uint64_t down; /* bytes that the server sends */
	int64_t start; /* ns: when the client began; bins count from here */
};

static_assert(sizeof(struct order) == 32, "the client sends it as it is");

/* Bytes that arrived in successive intervals. */
#define BIN_NS 50000000LL
#define BINS_MAX 4096

/* The last bytes of an upload, followed by its bins (uint64_t each). */
struct report {
	uint64_t received; /* bytes, without the order */
	uint32_t bins; /* 0 in a duplex report */
	uint32_t magic; /* ORDER_MAGIC */
};

static_assert(sizeof(struct report) == 16, "the server sends it as it is");

#endif
