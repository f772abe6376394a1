/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How long session.c waits before it connects again: a random time up to a limit
 * that doubles with each failure.
 */
#ifndef SLUICE_AGENT_BACKOFF_H
#define SLUICE_AGENT_BACKOFF_H

#include <stdint.h>

#define BACKOFF_MIN_US 500000ULL

/* Agents are to be back within seconds of a gateway that was away for hours; an
 * attempt that fails costs both sides a few packets. */
#define BACKOFF_MAX_US 5000000ULL

struct backoff {
	uint64_t limit_us; /* of the next pause */
};

/* The gateway is of use: the next failure is the first again. */
void backoff_reset(struct backoff *backoff);

/* The pause after one more failure, in microseconds, at least 1; random is any number. */
uint64_t backoff_next_us(struct backoff *backoff, uint64_t random);

#endif
