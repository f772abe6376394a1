/* SPDX-License-Identifier: GPL-2.0 */
/* user/lib/wan_tuning.c: what parameters mean for a socket. */
#include <criterion/criterion.h>
#include <string.h>

#include "params.h"
#include "wan_tuning.h"

#define MBIT 1000000ULL

static struct wan_params with(const char *const *pairs)
{
	char error[PARAMS_ERROR_MAX];
	struct wan_params params;

	params_default(&params);
	for (; *pairs; pairs += 2)
		cr_assert_eq(params_set(&params, pairs[0], pairs[1], error), 0, "%s", error);
	cr_assert_eq(params_check(&params, error), 0, "%s", error);
	return params;
}

#define WITH(...) with((const char *const[]){ __VA_ARGS__, NULL })

static struct socket_tuning tuning_of(struct wan_params params)
{
	struct socket_tuning tuning;

	wan_tuning(&params, &tuning);
	return tuning;
}

Test(wan_tuning, without_parameters_nothing_is_tuned)
{
	static const struct socket_tuning nothing;
	struct socket_tuning tuning;
	struct wan_params params;

	params_default(&params);
	wan_tuning(&params, &tuning);
	cr_expect_arr_eq(&tuning, &nothing, sizeof(tuning));
}

Test(wan_tuning, classes_that_reserve_a_rate_mean_linkrate)
{
	struct wan_params cbr = WITH("qos", "cbr", "rate", "8mbit");
	struct wan_params vbr = WITH("qos", "vbr", "sustained", "8mbit", "peak", "16mbit");
	struct wan_params abr = WITH("qos", "abr", "minimum", "8mbit", "peak", "16mbit");
	struct wan_params ubr = WITH("rate", "8mbit");

	cr_expect_str_eq(wan_flow_control(&cbr), "linkrate");
	cr_expect_str_eq(wan_flow_control(&vbr), "linkrate");
	cr_expect_str_eq(wan_flow_control(&abr), "linkrate");
	cr_expect_str_eq(wan_flow_control(&ubr), "");
}

Test(wan_tuning, the_flow_control_that_is_named_wins)
{
	struct wan_params params = WITH("qos", "cbr", "rate", "8mbit", "flow-control", "bbr");

	cr_expect_str_eq(wan_flow_control(&params), "bbr");
	cr_expect_str_eq(tuning_of(params).flow_control, "bbr");
}

Test(wan_tuning, linkrate_may_fall_to_an_eighth)
{
	struct socket_tuning tuning = tuning_of(WITH("flow-control", "linkrate", "rate", "80mbit"));

	cr_expect_eq(tuning.rate, 10 * MBIT);
	cr_expect_eq(tuning.top, 10 * MBIT);
	cr_expect_eq(tuning.floor, 10 * MBIT / 8);
	cr_expect_eq(tuning.sustained, 0);
}

Test(wan_tuning, linkrate_may_not_fall_below_the_minimum)
{
	struct socket_tuning tuning =
		tuning_of(WITH("flow-control", "linkrate", "rate", "80mbit", "minimum", "40mbit"));

	cr_expect_eq(tuning.floor, 5 * MBIT);
}

Test(wan_tuning, a_minimum_above_the_rate_is_the_rate)
{
	struct socket_tuning tuning =
		tuning_of(WITH("flow-control", "linkrate", "rate", "80mbit", "minimum", "160mbit"));

	cr_expect_eq(tuning.floor, tuning.top);
}

Test(wan_tuning, cbr_is_never_lowered)
{
	struct socket_tuning tuning = tuning_of(WITH("qos", "cbr", "rate", "80mbit"));

	cr_expect_eq(tuning.rate, 10 * MBIT);
	cr_expect_eq(tuning.floor, 10 * MBIT);
}

Test(wan_tuning, vbr_bursts_for_a_second_of_the_sustained_rate)
{
	struct socket_tuning tuning =
		tuning_of(WITH("qos", "vbr", "sustained", "80mbit", "peak", "160mbit"));

	cr_expect_eq(tuning.rate, 20 * MBIT);
	cr_expect_eq(tuning.sustained, 10 * MBIT);
	cr_expect_eq(tuning.burst, 10 * MBIT);
	cr_expect_eq(tuning.pacing, 20 * MBIT);
}

Test(wan_tuning, abr_starts_at_the_minimum_or_the_rate_within_its_bounds)
{
	struct socket_tuning tuning =
		tuning_of(WITH("qos", "abr", "minimum", "8mbit", "peak", "80mbit"));

	cr_expect_eq(tuning.rate, MBIT);
	cr_expect_eq(tuning.floor, MBIT);
	cr_expect_eq(tuning.top, 10 * MBIT);
	tuning = tuning_of(
		WITH("qos", "abr", "minimum", "8mbit", "peak", "80mbit", "rate", "40mbit"));
	cr_expect_eq(tuning.rate, 5 * MBIT);
	tuning = tuning_of(
		WITH("qos", "abr", "minimum", "8mbit", "peak", "80mbit", "rate", "1gbit"));
	cr_expect_eq(tuning.rate, 10 * MBIT);
}

Test(wan_tuning, the_first_flight_is_rate_times_rtt)
{
	struct socket_tuning tuning =
		tuning_of(WITH("rate", "80mbit", "rtt", "100ms", "skip-slow-start", "true"));

	cr_expect_eq(tuning.skip_slow_start, 1);
	cr_expect_eq(tuning.initial, MBIT);
	cr_expect_eq(tuning.clamp, 2 * MBIT);
}

Test(wan_tuning, the_first_flight_is_at_most_the_window)
{
	struct socket_tuning tuning = tuning_of(WITH("rate", "80mbit", "rtt", "100ms", "window",
						     "64KiB", "skip-slow-start", "true"));

	cr_expect_eq(tuning.initial, 65536);
}

Test(wan_tuning, linkrate_needs_no_clamp)
{
	struct socket_tuning tuning = tuning_of(WITH("rate", "80mbit", "rtt", "100ms",
						     "skip-slow-start", "true", "flow-control",
						     "linkrate"));

	cr_expect_eq(tuning.clamp, 0);
}

Test(wan_tuning, the_window_is_twice_what_the_link_holds)
{
	struct wan_params params = WITH("rate", "80mbit", "rtt", "100ms");

	cr_expect_eq(wan_window(&params), 2 * MBIT);
	cr_expect_eq(tuning_of(params).buffer, 2 * MBIT);
	cr_expect_eq(tuning_of(params).offer, 2 * MBIT);
}

Test(wan_tuning, a_short_link_is_left_to_autotuning)
{
	struct wan_params computed = WITH("rate", "50mbit", "rtt", "100us");
	struct wan_params given = WITH("rate", "50mbit", "rtt", "100us", "window", "8KiB");

	cr_expect_eq(wan_window(&computed), 0);
	cr_expect_eq(tuning_of(computed).offer, 0);
	cr_expect_eq(wan_window(&given), 8192);
}

Test(wan_tuning, the_window_of_vbr_fits_its_peak)
{
	struct wan_params params = WITH("qos", "vbr", "sustained", "8mbit", "peak", "80mbit", "rtt",
					"100ms");

	cr_expect_eq(wan_window(&params), 2 * MBIT);
}

Test(wan_tuning, no_number_is_too_large)
{
	struct socket_tuning tuning =
		tuning_of(WITH("rate", "1000gbit", "rtt", "60s", "skip-slow-start", "true"));

	cr_expect_eq(tuning.initial, 1U << 30);
	cr_expect_eq(tuning.clamp, 1U << 30);
	cr_expect_eq(tuning.buffer, 1U << 30);
}

Test(wan_tuning, a_class_has_a_mark_and_a_dscp_replaces_it)
{
	struct wan_params cbr = WITH("qos", "cbr", "rate", "8mbit");
	struct wan_params marked = WITH("qos", "cbr", "rate", "8mbit", "dscp", "cs1");
	struct wan_params plain = WITH("qos", "cbr", "rate", "8mbit", "dscp", "0");

	cr_expect_eq(wan_tos(&cbr), 46 << 2);
	cr_expect_eq(wan_tos(&marked), 8 << 2);
	cr_expect_eq(wan_tos(&plain), 0);
	cr_expect_eq(wan_priority(&cbr), 6);
}

Test(wan_tuning, linkrate_without_a_rate_is_refused)
{
	char error[PARAMS_ERROR_MAX] = "";
	struct wan_params params;

	params_default(&params);
	cr_assert_eq(params_set(&params, "flow-control", "linkrate", error), 0);
	cr_expect_neq(params_check(&params, error), 0);
	cr_expect_str_eq(error, "flow-control = linkrate without rate, expected rate as well");
}
