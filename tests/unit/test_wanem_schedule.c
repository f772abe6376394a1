/* SPDX-License-Identifier: GPL-2.0 */
/* The link emulator's changes in time, to the nanosecond: tests that wait could
 * only say that nothing was too fast. */
#include "../tools/wanem/schedule.h"

#include <criterion/criterion.h>

#define MS 1000000LL
#define FOREVER INT64_MAX

/* 8 Mbit/s: 1000 ns a byte. */
#define MBIT8 8000000ULL

static void start(struct schedule *schedule, const struct change *changes, size_t count)
{
	cr_assert_eq(schedule_init(schedule, MBIT8, 0.01, changes, count), 0);
	schedule_start(schedule, 100 * MS);
}

Test(wanem_schedule, without_changes_there_is_one_period)
{
	struct schedule schedule;

	start(&schedule, NULL, 0);
	cr_assert_eq(schedule.count, 1);
	cr_assert_eq(schedule_find(&schedule, 0, 1e18), 0);
	cr_assert_float_eq(schedule_end(&schedule, 0, 200e6, 1000), 201e6, 1);
	cr_assert_float_eq(schedule_bytes(&schedule, 0, 200e6, 201e6), 1000, 1e-6);
	cr_assert_float_eq(schedule.periods[0].loss, 0.01, 0);
	schedule_destroy(&schedule);
}

Test(wanem_schedule, a_transmission_goes_on_at_the_new_rate)
{
	const struct change half = { CHANGE_RATE, 10 * MS, 20 * MS, MBIT8 / 2, 0 };
	struct schedule schedule;

	start(&schedule, &half, 1);
	cr_assert_eq(schedule.count, 3);
	/* 1 ms at 1000 ns a byte, then 1000 bytes at 2000 */
	cr_assert_float_eq(schedule_end(&schedule, 0, 109e6, 2000), 112e6, 1);
	/* 1 ms, all 10 ms at half the rate, then 1 ms again */
	cr_assert_float_eq(schedule_end(&schedule, 0, 109e6, 1000 + 5000 + 1000), 121e6, 1);
	cr_assert_float_eq(schedule_bytes(&schedule, 0, 109e6, 121e6), 7000, 1e-3);
	cr_assert_eq(schedule_find(&schedule, 0, 109e6), 0);
	cr_assert_eq(schedule_find(&schedule, 0, 110e6), 1);
	cr_assert_eq(schedule_find(&schedule, 1, 120e6), 2);
	schedule_destroy(&schedule);
}

Test(wanem_schedule, the_change_that_began_last_rules_until_it_ends)
{
	const struct change changes[] = {
		{ CHANGE_LOSS, 0, FOREVER, 0, 0.1 },
		{ CHANGE_LOSS, 10 * MS, 20 * MS, 0, 0.5 },
		{ CHANGE_OUTAGE, 15 * MS, 30 * MS, 0, 0 },
		{ CHANGE_LOSS, 10 * MS, 12 * MS, 0, 0.7 },
	};
	const struct {
		double at, loss;
		bool outage;
	} expected[] = {
		{ 100e6, 0.1, false }, { 110e6, 0.7, false }, { 112e6, 0.5, false },
		{ 115e6, 0.5, true },  { 120e6, 0.1, true },  { 130e6, 0.1, false },
	};
	struct schedule schedule;

	start(&schedule, changes, 4);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		size_t period = schedule_find(&schedule, 0, expected[i].at);

		cr_assert_float_eq(schedule.periods[period].loss, expected[i].loss, 0, "at %g",
				   expected[i].at);
		cr_assert_eq(schedule.periods[period].outage, expected[i].outage, "at %g",
			     expected[i].at);
		cr_assert_float_eq(schedule.periods[period].ns_per_byte, 1000, 1e-9);
	}
	schedule_destroy(&schedule);
}

Test(wanem_schedule, without_a_rate_nothing_waits)
{
	const struct change fast = { CHANGE_RATE, 10 * MS, FOREVER, 0, 0 };
	struct schedule schedule;

	start(&schedule, &fast, 1);
	cr_assert_float_eq(schedule_end(&schedule, 0, 109e6, 1e9), 110e6, 1);
	cr_assert_float_eq(schedule_bytes(&schedule, 0, 109e6, 200e6), 1000, 1e-3);
	schedule_destroy(&schedule);
}
