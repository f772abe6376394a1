// SPDX-License-Identifier: GPL-2.0
/* See backoff.h. */
#include "backoff.h"

void backoff_reset(struct backoff *backoff)
{
	backoff->limit_us = BACKOFF_MIN_US;
}

uint64_t backoff_next_us(struct backoff *backoff, uint64_t random)
{
	/* Anywhere below the limit: agents that lost one gateway do not come back as one. */
	uint64_t pause_us = random % backoff->limit_us + 1;

	backoff->limit_us *= 2;
	if (backoff->limit_us > BACKOFF_MAX_US)
		backoff->limit_us = BACKOFF_MAX_US;
	return pause_us;
}
