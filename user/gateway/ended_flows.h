/* SPDX-License-Identifier: GPL-2.0 */
/*
 * main's account of flows that have ended: the latest are kept for `sluice show
 * flows --ended`, each is a line in the log, and one in the flow log if there is one.
 */
#ifndef SLUICE_ENDED_FLOWS_H
#define SLUICE_ENDED_FLOWS_H

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "counters.h"
#include "flow.h"
#include "flow_log.h"
#include "registration.h"

/* Flows that are kept. */
#define ENDED_FLOWS_KEPT 4096

struct gateway_config;

struct ended_flow {
	struct flow_record record;
	char identity[IDENTITY_NAME_MAX]; /* at its end: the entry may be gone since */
};

struct ended_flows {
	struct ended_flow *kept; /* ring of ENDED_FLOWS_KEPT; owned */
	uint64_t count; /* since the start; the next one goes to count % ENDED_FLOWS_KEPT */
	int log_level; /* enum log_level of a flow's line; 0: none */
	struct flow_log *flow_log; /* NULL: none; owned */
	struct log_counters *counters; /* shared with the flow log's writer; owned */
};

/* 0 or -ENOMEM. */
int ended_flows_init(struct ended_flows *ended);
void ended_flows_free(struct ended_flows *ended);

/* Opens the flow log of a configuration, be it the one in use, as its file may
 * have been renamed. 0 with *flow_log new, NULL if there is to be none, or a
 * negative errno with one line in error (size bytes). */
int ended_flows_prepare(const struct ended_flows *ended, const struct gateway_config *config,
			sd_event *event, const char *user, struct flow_log **flow_log, char *error,
			size_t size);

/* Logs as a configuration says from now on, to the flow log that was prepared (stolen). */
void ended_flows_apply(struct ended_flows *ended, const struct gateway_config *config,
		       struct flow_log *flow_log);

void ended_flows_add(struct ended_flows *ended, const struct flow_record *record,
		     const char *identity);

/* How many are kept, and the one that ended so many flows ago (0: the last). */
size_t ended_flows_kept(const struct ended_flows *ended);
const struct ended_flow *ended_flows_get(const struct ended_flows *ended, size_t ago);

#endif
