/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sluice doctor: what its checks share. One file a group of checks
 * (check_*.c); report.c keeps and prints what they find.
 *
 * A finding says what is so, why it matters and what to do. What to do is
 * commands that can be typed as they are (the tests do), or, where no command
 * can know, a sentence.
 */
#ifndef SLUICE_DOCTOR_H
#define SLUICE_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli.h"
#include "gateway_config.h"

enum severity {
	SEVERITY_PROBLEM, /* connections are not served, or the LAN suffers: exit status 1 */
	SEVERITY_WARNING, /* works, but less well than it could, or under some conditions only */
	SEVERITY_NOTE, /* worth knowing */
};

struct doctor {
	const struct cli *cli;
	char *config_path; /* owned */
	char *pin_dir; /* owned */
	struct gateway_config *config; /* NULL: it cannot be read; owned */
	char *config_errors; /* its mistakes, one a line; owned */
	json_t *status; /* `show status` of the daemon; NULL: none answers; owned */
	int lock; /* of this network namespace (user/lib/namespace_lock.h); negative: a gateway runs */
	json_t *groups; /* what was found, as -j prints it; owned */
	unsigned counts[SEVERITY_NOTE + 1];
};

/* One group of checks. */
typedef void check_function(struct doctor *doctor);

check_function check_kernel, check_sockets, check_config, check_listeners, check_daemon,
	check_interfaces, check_forwarding, check_rules, check_firewall, check_limits,
	check_leftovers;

/* ---- report.c ---- */

/* Findings go to this group from now on. */
void report_group(struct doctor *doctor, const char *name);

/* Something that was looked at and is as it should be. name is one or two words. */
void report_good(struct doctor *doctor, const char *name);

/*
 * A finding. id is its kind, for programs; why and what are texts, cure a text
 * with one command a line, advice a sentence; each NULL when there is none.
 * json_sprintf() makes those that are not constant. All are stolen.
 */
void report_finding(struct doctor *doctor, enum severity severity, const char *id, json_t *what,
		    json_t *why, json_t *cure, json_t *advice);

/* Prints all for people. */
void report_print(const struct doctor *doctor);

/* ---- for several groups ---- */

/* True when the configuration names the interface, as lan or wan. */
bool doctor_is_ours(const struct doctor *doctor, const char *dev);

/* The first policy that lets an agent register an address of a family, and such an
 * address; NULL: there is none. */
const struct policy_config *doctor_policy(const struct doctor *doctor, bool ipv4,
					  uint8_t address[16]);

/* A whole number from a file below /proc/sys; -1: it cannot be read. */
long doctor_sysctl(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
