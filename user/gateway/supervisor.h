/* SPDX-License-Identifier: GPL-2.0 */
/*
 * main's side of the relays: starts them, restarts one that died after its
 * half-open connections were forgotten, and collects what they know of flows.
 */
#ifndef SLUICE_SUPERVISOR_H
#define SLUICE_SUPERVISOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "counters.h"
#include "flow.h"
#include "flow_stats.h"
#include "intercept.h"
#include "trace.h"

/* RELAY_HUNG is only reported: serving, but without a sign of life for so long
 * that it gets no connections. */
enum relay_phase { RELAY_DEAD, RELAY_STARTING, RELAY_SERVING, RELAY_HUNG };

/* "dead", "starting", "serving" or "hung". */
const char *relay_phase_name(enum relay_phase phase);

struct supervisor;

struct supervisor_options {
	sd_event *event; /* borrowed; SIGCHLD must be blocked */
	struct intercept *intercept; /* borrowed */
	unsigned relays;
	uint32_t max_ports;
	const char *user; /* borrowed */
	unsigned engine; /* enum engine_choice, of ports that say auto */
	uint32_t kernel_flows; /* that each relay may give to the kernel; 0: it is not offered */
	int socket_map; /* for tune_socket(); borrowed; -1: sockets are not tuned */
	/* A flow has ended, a moment ago. record is a relay's word, not checked yet. */
	void (*flow_ended)(const struct flow_record *record, void *context);
	/* Something has happened to a flow that is traced; as above. */
	void (*flow_event)(const struct trace_event *event, void *context);
	/* All relays serve for the first time. */
	void (*all_serving)(void *context);
	void *context;
};

int supervisor_new(const struct supervisor_options *options, struct supervisor **supervisor);

/* Tells all relays to stop, waits for them (they reset what they still have),
 * kills those that do not, and frees everything. */
void supervisor_free(struct supervisor *supervisor);

/* The gateway stops: all relays forward the SYNs that they hold for long. */
void supervisor_let_go(struct supervisor *supervisor);

/* Has all relays, those that are started later too, tell of the flows that the
 * filter is for. slot is below TRACES_MAX and free. */
void supervisor_trace_start(struct supervisor *supervisor, unsigned slot,
			    const struct trace_filter *filter);
void supervisor_trace_stop(struct supervisor *supervisor, unsigned slot);

unsigned supervisor_relay_count(const struct supervisor *supervisor);

struct relay_report {
	pid_t pid; /* 0 when dead */
	enum relay_phase phase;
	uint64_t flows;
	uint64_t flow_limit; /* as many as its descriptors suffice for; 0: not known yet */
	unsigned restarts;
	struct relay_counters counters;
};
struct relay_report supervisor_report(const struct supervisor *supervisor, unsigned relay);

/* Flows alive in all relays, and of these those by one port entry. */
uint64_t supervisor_flows(const struct supervisor *supervisor);
/* Of these, those that were taken by one of the ways in. */
uint64_t supervisor_way_flows(const struct supervisor *supervisor, enum way_in way);

uint64_t supervisor_port_flows(const struct supervisor *supervisor, uint32_t port_id);

/* Whether relays take samples and count totals; flows begun and alive are counted always. */
void supervisor_set_sampling(struct supervisor *supervisor, bool sampling);

void supervisor_figures(const struct supervisor *supervisor, struct flow_figures *figures);

/* Those of one port entry. False, and nothing set, when no flow ever came by it. */
bool supervisor_port_figures(const struct supervisor *supervisor, uint32_t port_id,
			     struct flow_figures *figures);

/* A new port entry has this number, which an earlier one may have had: its
 * totals begin with 0. */
void supervisor_port_made(struct supervisor *supervisor, uint32_t port_id);

/* Gets a list of flows: records is freed by the callee, and NULL when memory was short. */
typedef void flows_handler(struct flow_record *records, size_t count, void *context);

/* Asks all relays for their flows; handler is called once, when all have
 * answered or died, or after FLOWS_TIMEOUT_US with what came until then. */
int supervisor_list_flows(struct supervisor *supervisor, flows_handler *handler, void *context);

#endif
