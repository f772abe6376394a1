/* SPDX-License-Identifier: GPL-2.0 */
/* One JSON object, a direction of the link each under "a_to_b" and "b_to_a". */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

static const char *const direction_names[] = { "a_to_b", "b_to_a" };

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *direction(const struct link *link, struct tun *from)
{
	const struct link_counters *counters = &link->counters;
	json_t *object = json_object();
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "packets_in", counters->packets_in },
		{ "segments_in", counters->segments_in },
		{ "bytes_in", counters->bytes_in },
		{ "packets_out", counters->packets_out },
		{ "segments_out", counters->segments_out },
		{ "bytes_out", counters->bytes_out },
		{ "segments_in_flight", link_in_flight(link) },
		{ "cuts", counters->cuts },
		{ "queue_drops", counters->queue_drops },
		{ "losses", counters->losses },
		{ "outage_losses", counters->outage_losses },
		{ "queue_max", counters->queue_max },
		{ "hidden_drops", tun_drops(from) },
		{ "overflows", counters->overflows },
		{ "unsupported", counters->unsupported },
		{ "write_errors", counters->write_errors },
		{ "late_1ms", counters->late_1ms },
		{ "late_max_us", counters->late_max_ns / 1000 },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(object, numbers[i].name, number(numbers[i].value));
	json_object_set_new(object, "late_mean_us",
			    json_real(counters->packets_out ? (double)counters->late_ns / 1e3 /
								      (double)counters->packets_out
							    : 0));
	return object;
}

int report_print(const struct report *report)
{
	json_t *object = json_object();
	char *text;

	for (unsigned i = 0; i < 2; i++)
		json_object_set_new(object, direction_names[i],
				    direction(&report->links[i], &report->tuns[i]));
	json_object_set_new(object, "elapsed_s",
			    json_real((double)(clock_ns() - report->started) / 1e9));
	json_object_set_new(object, "realtime", json_boolean(report->realtime));

	text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));
	json_decref(object);
	if (!text)
		return -ENOMEM;
	puts(text);
	fflush(stdout);
	free(text);
	return 0;
}

bool report_is_faithful(const struct report *report)
{
	bool faithful = true;

	for (unsigned i = 0; i < 2; i++) {
		const struct link_counters *counters = &report->links[i].counters;
		uint64_t hidden = tun_drops(&report->tuns[i]);

		if (!hidden && !counters->overflows && !counters->unsupported &&
		    !counters->write_errors)
			continue;
		faithful = false;
		fprintf(stderr,
			"wanem: %s is no fair emulation: %" PRIu64
			" packets not read in time, %" PRIu64 " segments without memory, %" PRIu64
			" packets not understood, %" PRIu64 " segments not taken by the device\n",
			direction_names[i], hidden, counters->overflows, counters->unsupported,
			counters->write_errors);
	}
	return faithful;
}
