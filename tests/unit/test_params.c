/* SPDX-License-Identifier: GPL-2.0 */
/* user/lib/params.c: the WAN leg's parameters as text. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "params.h"
#include "units.h"

static void expect_set(const char *key, const char *value, const char *shown)
{
	char error[PARAMS_ERROR_MAX] = "", text[UNIT_TEXT_MAX];
	struct wan_params params;

	params_default(&params);
	cr_expect_eq(params_set(&params, key, value, error), 0, "%s = %s: %s", key, value, error);
	cr_expect_str_eq(params_get(&params, key, text), shown);
}

static void expect_refused(const char *key, const char *value, const char *expected)
{
	char error[PARAMS_ERROR_MAX] = "";
	struct wan_params params, untouched;

	params_default(&params);
	params_default(&untouched);
	cr_expect_eq(params_set(&params, key, value, error), -EINVAL, "%s = %s", key, value);
	cr_expect_str_eq(error, expected);
	cr_expect_arr_eq(&params, &untouched, sizeof(params), "%s = %s changed", key, value);
}

Test(params, defaults_are_the_kernels_own)
{
	struct wan_params params;

	params_default(&params);
	cr_expect_eq(params.window, 0);
	cr_expect_eq(params.rate, 0);
	cr_expect_eq(params.idle_timeout_s, 7200);
	cr_expect_eq(params.keepalive_s, 60);
	cr_expect_eq(params.parallel, 1);
	cr_expect_eq(params.dscp, DSCP_UNSET);
	cr_expect_eq(params.connect, CONNECT_HONEST);
	cr_expect_eq(params.source, SOURCE_GATEWAY);
	cr_expect_eq(params.engine, ENGINE_AUTO);
	cr_expect_str_eq(params.flow_control, "");
}

Test(params, every_key_is_set_and_shown)
{
	expect_set("window", "16MiB", "16MiB");
	expect_set("window", "4KiB", "4KiB");
	expect_set("window", "1GiB", "1GiB");
	expect_set("window", "0", "0");
	expect_set("rate", "500mbit", "500mbit");
	expect_set("rtt", "80ms", "80ms");
	expect_set("rtt", "60s", "1m");
	expect_set("skip-slow-start", "true", "true");
	expect_set("skip-slow-start", "Yes", "true");
	expect_set("skip-slow-start", "off", "false");
	expect_set("parallel", "8", "8");
	expect_set("qos", "vbr", "vbr");
	expect_set("peak", "1gbit", "1gbit");
	expect_set("sustained", "64000", "64kbit");
	expect_set("minimum", "1bit", "1bit");
	expect_set("dscp", "EF", "ef");
	expect_set("dscp", "34", "af41");
	expect_set("dscp", "cs3", "cs3");
	expect_set("dscp", "0", "cs0");
	expect_set("dscp", "63", "63");
	expect_set("flow-control", "linkrate", "linkrate");
	expect_set("flow-control", "bbr2_abcdefghij", "bbr2_abcdefghij");
	expect_set("connect", "early", "early");
	expect_set("source", "client", "client");
	expect_set("proxy-protocol", "v2", "v2");
	expect_set("engine", "splice", "splice");
	expect_set("idle-timeout", "1.5h", "90m");
	expect_set("idle-timeout", "0", "0");
	expect_set("keepalive", "0", "0");
}

Test(params, wrong_values_are_refused_and_change_nothing)
{
	expect_refused("window", "4095",
		       "window is \"4095\", expected 0 or a size from 4KiB to 1GiB");
	expect_refused("window", "1025MiB",
		       "window is \"1025MiB\", expected 0 or a size from 4KiB to 1GiB");
	expect_refused("rate", "0", "rate is \"0\", expected a rate above 0 such as \"500mbit\"");
	expect_refused("peak", "fast",
		       "peak is \"fast\", expected a rate above 0 such as \"500mbit\"");
	expect_refused("rtt", "0",
		       "rtt is \"0\", expected a time above 0, up to 60s, such as \"80ms\"");
	expect_refused("rtt", "61s",
		       "rtt is \"61s\", expected a time above 0, up to 60s, such as \"80ms\"");
	expect_refused("skip-slow-start", "maybe",
		       "skip-slow-start is \"maybe\", expected true or false");
	expect_refused("parallel", "0", "parallel is \"0\", expected a number from 1 to 8");
	expect_refused("parallel", "9", "parallel is \"9\", expected a number from 1 to 8");
	expect_refused("qos", "gold", "qos is \"gold\", expected ubr, cbr, vbr or abr");
	expect_refused("dscp", "64",
		       "dscp is \"64\", expected a number from 0 to 63 or a name such as "
		       "\"ef\", \"af41\" or \"cs3\"");
	expect_refused("flow-control", "",
		       "flow-control is \"\", expected the name of a congestion control, "
		       "1 to 15 of a-z, 0-9 and _");
	expect_refused("flow-control", "a234567890123456",
		       "flow-control is \"a234567890123456\", expected the name of a congestion "
		       "control, 1 to 15 of a-z, 0-9 and _");
	expect_refused("flow-control", "BBR",
		       "flow-control is \"BBR\", expected the name of a congestion control, "
		       "1 to 15 of a-z, 0-9 and _");
	expect_refused("connect", "late", "connect is \"late\", expected honest or early");
	expect_refused("source", "remote", "source is \"remote\", expected gateway or client");
	expect_refused("proxy-protocol", "v1", "proxy-protocol is \"v1\", expected none or v2");
	expect_refused("engine", "xdp", "engine is \"xdp\", expected auto, kernel or splice");
	expect_refused("idle-timeout", "500ms",
		       "idle-timeout is \"500ms\", expected whole seconds, 0 (never) to 365d, "
		       "such as \"2h\"");
	expect_refused("keepalive", "32768",
		       "keepalive is \"32768\", expected whole seconds, 0 (none) to 32767s, "
		       "such as \"60s\"");
}

Test(params, unknown_keys_are_refused_with_what_was_meant)
{
	expect_refused("windwo", "1", "unknown parameter \"windwo\", did you mean \"window\"?");
	expect_refused("colour", "1",
		       "unknown parameter \"colour\", expected one of window, rate, rtt, "
		       "skip-slow-start, parallel, qos, peak, sustained, minimum, dscp, "
		       "flow-control, connect, source, proxy-protocol, engine, idle-timeout, "
		       "keepalive");
}

static void expect_check(const char *settings, const char *expected)
{
	char error[PARAMS_ERROR_MAX] = "", copy[128], *key, *value, *rest = copy;
	struct wan_params params;

	params_default(&params);
	snprintf(copy, sizeof(copy), "%s", settings);
	while ((key = strsep(&rest, " "))) {
		value = strchr(key, '=');
		*value++ = '\0';
		cr_assert_eq(params_set(&params, key, value, error), 0, "%s", error);
	}
	cr_expect_eq(params_check(&params, error), expected[0] ? -EINVAL : 0, "%s", settings);
	cr_expect_str_eq(error, expected);
}

Test(params, what_does_not_fit_together_is_told)
{
	expect_check("window=0", "");
	expect_check("skip-slow-start=true rate=1mbit rtt=1ms", "");
	expect_check("skip-slow-start=true rtt=1ms",
		     "skip-slow-start without rate, expected rate and rtt as well");
	expect_check("skip-slow-start=true rate=1mbit",
		     "skip-slow-start without rtt, expected rate and rtt as well");
	expect_check("qos=cbr rate=1mbit", "");
	expect_check("qos=cbr", "qos = cbr without rate, expected rate as well");
	expect_check("qos=vbr peak=2mbit sustained=2mbit", "");
	expect_check("qos=vbr peak=2mbit",
		     "qos = vbr without sustained, expected sustained and peak as well");
	expect_check("qos=vbr sustained=2mbit",
		     "qos = vbr without peak, expected sustained and peak as well");
	expect_check("qos=vbr peak=1mbit sustained=2mbit",
		     "sustained is above peak, expected at most the peak");
	expect_check("qos=abr peak=2mbit minimum=1mbit", "");
	expect_check("qos=abr peak=2mbit",
		     "qos = abr without minimum, expected minimum and peak as well");
	expect_check("qos=abr peak=1mbit minimum=2mbit",
		     "minimum is above peak, expected at most the peak");
}

Test(params, unset_values_and_unknown_keys_are_shown_empty)
{
	char text[UNIT_TEXT_MAX];
	struct wan_params params;

	params_default(&params);
	cr_expect_str_eq(params_get(&params, "rate", text), "");
	cr_expect_str_eq(params_get(&params, "rtt", text), "");
	cr_expect_str_eq(params_get(&params, "dscp", text), "");
	cr_expect_str_eq(params_get(&params, "flow-control", text), "");
	cr_expect_str_eq(params_get(&params, "colour", text), "");
}

Test(params, json_has_what_differs_from_the_default)
{
	char error[PARAMS_ERROR_MAX];
	struct wan_params params;
	json_t *object;

	params_default(&params);
	object = params_to_json(&params);
	cr_assert_not_null(object);
	cr_expect_eq(json_object_size(object), 0);
	json_decref(object);

	cr_assert_eq(params_set(&params, "rate", "500mbit", error), 0);
	cr_assert_eq(params_set(&params, "idle-timeout", "0", error), 0);
	object = params_to_json(&params);
	cr_assert_not_null(object);
	cr_expect_eq(json_object_size(object), 2);
	cr_expect_str_eq(json_string_value(json_object_get(object, "rate")), "500mbit");
	cr_expect_str_eq(json_string_value(json_object_get(object, "idle-timeout")), "0");
	json_decref(object);
}

Test(params, what_is_shown_can_be_set_again)
{
	char error[PARAMS_ERROR_MAX], text[UNIT_TEXT_MAX];
	struct wan_params params, again;

	params_default(&params);
	params_default(&again);
	for (size_t i = 0; params_keys[i]; i++) {
		if (*params_get(&params, params_keys[i], text))
			cr_expect_eq(params_set(&again, params_keys[i], text, error), 0, "%s",
				     error);
	}
	cr_expect_arr_eq(&again, &params, sizeof(params));
}

Test(params, bytes_that_are_no_parameters_are_not_put_into_words)
{
	struct wan_params params;

	params_default(&params);
	cr_expect(params_are_speakable(&params));
	memset(params.flow_control, 'x', sizeof(params.flow_control));
	cr_expect_not(params_are_speakable(&params), "a name without an end");
	params_default(&params);
	params.connect = 2;
	cr_expect_not(params_are_speakable(&params), "a choice that there is not");
}
