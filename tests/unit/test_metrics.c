// SPDX-License-Identifier: GPL-2.0
/*
 * user/metrics: a snapshot as Prometheus's text and as JSON, whatever names are
 * in it, and whom a server that is not public answers.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "metrics_json.h"
#include "metrics_server.h"
#include "metrics_text.h"
#include "status_page.h"

/* As large as snapshots are, so not on the stack. */
static struct metrics_snapshot snapshot;

static struct metrics_remote *add_remote(const char *address, const char *identity)
{
	struct metrics_remote *remote = &snapshot.remotes[snapshot.remote_count++];

	*remote = (struct metrics_remote){ .service_port = 443 };
	cr_assert_eq(address_parse(address, remote->address), 0);
	snprintf(remote->identity, sizeof(remote->identity), "%s", identity);
	remote->figures.totals.begun = 1;
	return remote;
}

static void expect_line(const char *text, const char *line)
{
	const char *found = strstr(text, line);
	size_t length = strlen(line);

	cr_expect(found && (found == text || found[-1] == '\n') && found[length] == '\n',
		  "no line %s", line);
}

Test(metrics, an_empty_snapshot_has_every_global_family)
{
	char *text = metrics_text(&snapshot);

	cr_assert_not_null(text);
	expect_line(text, "sluice_flows_alive 0");
	expect_line(text, "sluice_flows_ended_total{end=\"closed\"} 0");
	expect_line(text, "# TYPE sluice_intercept_syn_held_total counter");
	expect_line(text, "sluice_intercept_syn_held_total 0");
	cr_expect_null(strstr(text, "nan"));
	cr_expect_null(strstr(text, "sluice_wan_rtt_mean_seconds 0"), "a round trip of no leg");
	free(text);
}

Test(metrics, names_are_escaped)
{
	char *text;

	add_remote("203.0.113.9", "a\\b");
	add_remote("2001:db8::1", "");
	text = metrics_text(&snapshot);
	expect_line(text, "sluice_remote_flows_begun_total{remote=\"203.0.113.9\",port=\"443\","
			  "identity=\"a\\\\b\"} 1");
	expect_line(text, "sluice_remote_flows_begun_total{remote=\"2001:db8::1\",port=\"443\","
			  "identity=\"\"} 1");
	free(text);
}

Test(metrics, figures_come_out_in_their_units)
{
	struct flow_figures *figures = &add_remote("203.0.113.9", "site")->figures;
	const char *of = "{remote=\"203.0.113.9\",port=\"443\",identity=\"site\"";
	char *text, line[256];

	figures->totals.bytes_up = 1000;
	figures->totals.kernel_up = 900;
	figures->totals.ended[FLOW_END_IDLE] = 3;
	figures->now.wan_legs = 2;
	figures->now.rtt_us = (struct flow_spread){ .sum = 300000, .min = 100000, .max = 200000 };
	figures->now.cwnd = (struct flow_spread){ .sum = 25, .min = 5, .max = 20 };
	text = metrics_text(&snapshot);
#define EXPECT(name, more, value)                                                             \
	do {                                                                                  \
		snprintf(line, sizeof(line), "sluice_remote_" name "%s" more "} " value, of); \
		expect_line(text, line);                                                      \
	} while (0)
	EXPECT("bytes_total", ",direction=\"up\",by=\"kernel\"", "900");
	EXPECT("bytes_total", ",direction=\"up\",by=\"relay\"", "100");
	EXPECT("flows_ended_total", ",end=\"idle\"", "3");
	EXPECT("wan_rtt_min_seconds", "", "0.1");
	EXPECT("wan_rtt_mean_seconds", "", "0.15");
	EXPECT("wan_rtt_max_seconds", "", "0.2");
	EXPECT("wan_cwnd_mean_segments", "", "12.5");
	cr_expect_null(strstr(text, ",end=\"closed\"}"), "a way to end that there was not");
	free(text);
}

Test(metrics, large_counters_keep_every_digit)
{
	char *text;

	snapshot.relays.bytes_up = 1ULL << 52;
	text = metrics_text(&snapshot);
	expect_line(text, "sluice_relay_bytes_up_total 4503599627370496");
	free(text);
}

Test(metrics, a_full_snapshot_is_text_and_json)
{
	json_t *json;
	char *text;

	for (int i = 0; i < METRICS_REMOTES_MAX; i++)
		add_remote("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
			   "\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\"
			   "\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\");
	snapshot.remotes_omitted = 7;
	text = metrics_text(&snapshot);
	expect_line(text, "sluice_remotes_omitted 7");
	free(text);
	text = metrics_json(&snapshot);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(json);
	cr_expect_eq(json_array_size(json_object_get(json, "remotes")), METRICS_REMOTES_MAX);
	cr_expect_eq(json_integer_value(json_object_get(json, "remotes_omitted")), 7);
	json_decref(json);
	free(text);
}

Test(metrics, only_names_of_this_host_are_ours)
{
	static const char *const ours[] = { "localhost",   "LOCALHOST:7472", "127.0.0.1",
					    "127.9.8.7:1", "[::1]",	     "[::1]:7472" };
	static const char *const others[] = { "",
					      ":",
					      "[",
					      "[]",
					      "]",
					      "[::1",
					      "[::1]x",
					      "localhost.",
					      "localhost.example",
					      "10.0.0.1:7472",
					      "[2001:db8::1]",
					      "127.0.0.1.example" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		cr_expect(metrics_host_is_ours(ours[i]), "%s", ours[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		cr_expect_not(metrics_host_is_ours(others[i]), "%s", others[i]);
}

Test(metrics, the_page_is_whole_and_its_policy_names_its_parts)
{
	struct status_page page;

	cr_assert_eq(status_page_init(&page), 0);
	cr_expect_eq(page.size, strlen(page.html));
	cr_expect_eq(strncmp(page.html, "<!doctype html>", 15), 0);
	cr_expect_not_null(strstr(page.html, "</html>"));
	cr_expect_null(strstr(page.html, "@include"));
	cr_expect_not_null(strstr(page.policy, "script-src 'sha256-"));
	cr_expect_lt(strlen(page.policy), sizeof(page.policy) - 1);
}
