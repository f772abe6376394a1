/* SPDX-License-Identifier: GPL-2.0 */
/* Which segments of a link are lost: random, but the same for the same seed. */
#ifndef WANEM_LOSS_H
#define WANEM_LOSS_H

#include <stdbool.h>
#include <stdint.h>

struct loss {
	double probability; /* 0..1, of each segment */
	uint64_t state[4]; /* xoshiro256** */
	uint64_t gap; /* segments that still arrive before the next lost one */
};

void loss_init(struct loss *loss, double probability, uint64_t seed);

/* Another probability from the next segment on. */
void loss_change(struct loss *loss, double probability);

/* True when none of the next count segments is lost. */
bool loss_spares(const struct loss *loss, uint64_t count);

/* Counts the next count segments, which loss_spares(), as having passed. */
void loss_skip(struct loss *loss, uint64_t count);

/* Decides on the next segment: true when it is lost. */
bool loss_strikes(struct loss *loss);

#endif
