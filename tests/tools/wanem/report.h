/* SPDX-License-Identifier: GPL-2.0 */
/* wanem's counters, for programs and for people. */
#ifndef WANEM_REPORT_H
#define WANEM_REPORT_H

#include "link.h"
#include "tun.h"

#include <stdbool.h>
#include <stdint.h>

struct report {
	struct link *links; /* two: a to b, b to a */
	struct tun *tuns; /* two: a, b */
	int64_t started; /* clock_ns() */
	bool realtime; /* runs under SCHED_FIFO */
};

/* Prints the counters as one line of JSON. 0 or -ENOMEM. */
int report_print(const struct report *report);

/* True when every packet that is missing is one that the link was to drop or is
 * still on its way; otherwise says what is missing on standard error. */
bool report_is_faithful(const struct report *report);

#endif
