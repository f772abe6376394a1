/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The main process of sluiced: what it holds, and the parts it is made of.
 * gateway.c starts and stops it, requests.c answers the control socket.
 */
#ifndef SLUICE_GATEWAY_H
#define SLUICE_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "control.h"
#include "ended_flows.h"
#include "gateway_config.h"
#include "intercept.h"
#include "kernel_engine_test.h"
#include "metrics_process.h"
#include "registrar_process.h"
#include "registrations.h"
#include "registry.h"
#include "supervisor.h"
#include "tune.h"

#define GATEWAY_ERROR_MAX 320

struct gateway_options {
	const char *config_path;
	const char *run_dir;
	const char *pin_dir;
};

struct trace;

struct gateway {
	struct gateway_options options;
	struct gateway_config *config; /* the one in force; owned */
	sd_event *event;
	struct intercept *intercept;
	struct tune *tune; /* NULL: sockets are not tuned */
	bool kernel_engine; /* flows may be given to the kernel */
	char kernel_engine_why[KERNEL_ENGINE_TEST_TEXT_MAX]; /* or may not */
	struct registry *registry;
	struct supervisor *supervisor;
	struct registrations registrations;
	struct registrar_process *registrar;
	struct metrics_process *metrics;
	struct control_server *control;
	struct ended_flows ended;
	struct trace *traces[TRACES_MAX]; /* request_trace.c's; NULL: none */
	sd_event_source *sweep_timer;
	sd_event_source *drain_timer;
	int namespace_lock; /* see namespace_lock.h */
	bool routing; /* policy routing was added */
	bool other_way_runs; /* connections of a way in that was left may be there */
	bool made_run_dir;
	char *empty_dir; /* in run_dir, the root of registrar and metrics; NULL: not made; owned */
	bool draining; /* takes no new connections */
	bool stopping; /* exits when the last flow has ended */
	uint64_t removals; /* of registry entries, when old legs were looked for last */
	uint32_t old_legs_met; /* by SYNs that passed, at that time */
	uint64_t started_us; /* CLOCK_MONOTONIC */
};

/* Whether this version, kernel and host can do what a configuration asks for.
 * Changes nothing. 0 or a negative errno with error set. */
int gateway_check(const struct gateway_config *config, char *error);

/* Starts everything. config is taken over. 0 or a negative errno, with one line
 * in error (GATEWAY_ERROR_MAX bytes); then nothing is left behind once
 * gateway_free() was called. */
int gateway_start(struct gateway *gateway, const struct gateway_options *options,
		  struct gateway_config *config, char *error);

/* Runs until a signal stops it and all is drained. */
int gateway_loop(struct gateway *gateway);

/* Undoes everything, in reverse. */
void gateway_free(struct gateway *gateway);

/* Reads the configuration again; a bad one is reported on standard error and
 * changes nothing. Ends a drain. 0 or a negative errno with error set. */
int gateway_reload(struct gateway *gateway, char *error);

/* Takes new connections by the way of the configuration from now on. 0 or a
 * negative errno with error set; the way is as before then. */
int gateway_set_way(struct gateway *gateway, const struct gateway_config *config, char *error);

/* What a configuration comes to on this host: how many relays, and whom they run as. */
unsigned gateway_relay_count(const struct gateway_config *config);
const char *gateway_relay_user(const struct gateway_config *config);

/* "running", "draining" or "stopping". */
const char *gateway_state(const struct gateway *gateway);

/* New connections are forwarded from now on. */
void gateway_drain(struct gateway *gateway);

/* The handler of the control socket; context is the gateway. */
control_handler gateway_request;

#endif
