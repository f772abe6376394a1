/* SPDX-License-Identifier: GPL-2.0 */
/* How long an agent waits before it connects again. */
#include <criterion/criterion.h>

#include "backoff.h"

/* A number that makes the longest pause there can be below limit_us. */
static uint64_t last_below(uint64_t limit_us)
{
	return limit_us - 1;
}

Test(backoff, the_limit_doubles_up_to_a_few_seconds)
{
	static const uint64_t limits_us[] = { 500000, 1000000, 2000000, 4000000, 5000000, 5000000 };
	struct backoff backoff;

	backoff_reset(&backoff);
	for (size_t i = 0; i < sizeof(limits_us) / sizeof(limits_us[0]); i++)
		cr_expect_eq(backoff_next_us(&backoff, last_below(limits_us[i])), limits_us[i]);
	for (int i = 0; i < 1000; i++)
		backoff_next_us(&backoff, 0);
	cr_expect_eq(backoff.limit_us, 5000000);
	backoff_reset(&backoff);
	cr_expect_eq(backoff_next_us(&backoff, last_below(500000)), 500000);
}

Test(backoff, a_pause_is_anywhere_up_to_the_limit)
{
	struct backoff backoff;
	unsigned quarters[4] = { 0 };
	uint64_t random = 88172645463325252ULL;

	for (int i = 0; i < 4000; i++) {
		uint64_t pause_us;

		backoff.limit_us = BACKOFF_MAX_US;
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		pause_us = backoff_next_us(&backoff, random);
		cr_assert(pause_us >= 1 && pause_us <= BACKOFF_MAX_US);
		quarters[(pause_us - 1) * 4 / BACKOFF_MAX_US]++;
	}
	for (int i = 0; i < 4; i++)
		cr_expect_gt(quarters[i], 800, "quarter %d has %u of 4000", i, quarters[i]);
	backoff.limit_us = BACKOFF_MAX_US;
	cr_expect_eq(backoff_next_us(&backoff, 0), 1, "never at once: that would be a loop");
}
