/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Flows that have ended, from a relay to main, in memory they share: nothing is
 * waited for on either side. What a relay that died has put in is still there.
 */
#ifndef SLUICE_ENDED_RING_H
#define SLUICE_ENDED_RING_H

#include <stdbool.h>

#include "flow.h"

/* Records that have room; a power of two. */
#define ENDED_RING_SIZE 4096

struct ended_ring;

/* In shared memory, for children that are forked later. NULL: out of memory. */
struct ended_ring *ended_ring_new(void);
void ended_ring_free(struct ended_ring *ring);

/* ---- the relay's side ---- */

/* Where the next record goes, or NULL when there is no room. */
struct flow_record *ended_ring_next(struct ended_ring *ring);

/* It is there. True when main has to be told: it has not been since it looked
 * last, or the ring is filling up. */
bool ended_ring_push(struct ended_ring *ring);

/* Main could not be told after all: the next push tries again. */
void ended_ring_poke_lost(struct ended_ring *ring);

/* ---- main's side ---- */

/* Takes the oldest. False: there is none. */
bool ended_ring_take(struct ended_ring *ring, struct flow_record *record);

/* True when it is half full: it should not be left for long. */
bool ended_ring_is_filling(const struct ended_ring *ring);

#endif
