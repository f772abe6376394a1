/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Losing every segment independently with one probability is the same as
 * drawing geometrically distributed gaps between losses: one draw per loss, and
 * the fate of the n-th segment does not depend on how the sender's stack
 * happened to gather segments into super-packets.
 */
#include "loss.h"

#include <math.h>

#define GAP_ENDLESS UINT64_MAX

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

/* xoshiro256** by Blackman and Vigna, in the public domain. */
static uint64_t random_next(uint64_t state[4])
{
	uint64_t result = rotate_left(state[1] * 5, 7) * 9;
	uint64_t shifted = state[1] << 17;

	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= shifted;
	state[3] = rotate_left(state[3], 45);
	return result;
}

/* splitmix64, as the authors of xoshiro256** ask for. */
static void random_seed(uint64_t state[4], uint64_t seed)
{
	for (unsigned i = 0; i < 4; i++) {
		uint64_t mixed = seed += 0x9e3779b97f4a7c15;

		mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
		mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
		state[i] = mixed ^ mixed >> 31;
	}
}

static uint64_t draw_gap(struct loss *loss)
{
	double uniform, gap;

	if (loss->probability <= 0)
		return GAP_ENDLESS;
	if (loss->probability >= 1)
		return 0;
	uniform = (double)((random_next(loss->state) >> 11) + 1) * 0x1p-53; /* (0, 1] */
	gap = floor(log(uniform) / log1p(-loss->probability));
	return gap < 0x1p63 ? (uint64_t)gap : GAP_ENDLESS;
}

void loss_init(struct loss *loss, double probability, uint64_t seed)
{
	loss->probability = probability;
	random_seed(loss->state, seed);
	loss->gap = draw_gap(loss);
}

void loss_change(struct loss *loss, double probability)
{
	if (probability == loss->probability)
		return;
	/* draws have no memory, so the rest of the old gap says nothing of the new one */
	loss->probability = probability;
	loss->gap = draw_gap(loss);
}

bool loss_spares(const struct loss *loss, uint64_t count)
{
	return loss->gap >= count;
}

void loss_skip(struct loss *loss, uint64_t count)
{
	if (loss->gap != GAP_ENDLESS)
		loss->gap -= count;
}

bool loss_strikes(struct loss *loss)
{
	if (loss->gap) {
		loss_skip(loss, 1);
		return false;
	}
	loss->gap = draw_gap(loss);
	return true;
}
