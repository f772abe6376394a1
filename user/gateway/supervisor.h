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
#include "intercept.h"

/* RELAY_HUNG is only reported: serving, but without a sign of life for so long
 * that it gets no connections. */
enum relay_phase { RELAY_DEAD, RELAY_STARTING, RELAY_SERVING, RELAY_HUNG };

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

unsigned supervisor_relay_count(const struct supervisor *supervisor);

struct relay_report {
	pid_t pid; /* 0 when dead */
	enum relay_phase phase;
	uint64_t flows;
	unsigned restarts;
	struct relay_counters counters;
};
struct relay_report supervisor_report(const struct supervisor *supervisor, unsigned relay);

/* Flows alive in all relays, and of these those by one port entry. */
uint64_t supervisor_flows(const struct supervisor *supervisor);
/* Of these, those that were taken by one of the ways in. */
uint64_t supervisor_way_flows(const struct supervisor *supervisor, enum way_in way);

uint64_t supervisor_port_flows(const struct supervisor *supervisor, uint32_t port_id);

/* Gets a list of flows: records is freed by the callee, and NULL when memory was short. */
typedef void flows_handler(struct flow_record *records, size_t count, void *context);

/* Asks all relays for their flows; handler is called once, when all have
 * answered or died, or after FLOWS_TIMEOUT_US with what came until then. */
int supervisor_list_flows(struct supervisor *supervisor, flows_handler *handler, void *context);

#endif
