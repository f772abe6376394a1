/* SPDX-License-Identifier: GPL-2.0 */
/*
 * main's side of the registrar: its listening socket, starting it, restarting it
 * when it dies or its keys change, and passing its requests to registrations.c.
 */
#ifndef SLUICE_REGISTRAR_PROCESS_H
#define SLUICE_REGISTRAR_PROCESS_H

#include <systemd/sd-event.h>

#include "registrations.h"

#define REGISTRAR_ERROR_MAX 160

struct registrar_process;

/* root: an empty directory, to be the registrar's file system; event and
 * registrations are borrowed. 0 or -ENOMEM. */
int registrar_process_new(sd_event *event, struct registrations *registrations, const char *root,
			  struct registrar_process **process);

/* Tells it to stop, waits for it, and frees everything. */
void registrar_process_free(struct registrar_process *process);

/* Opens the listening socket of a configuration, unless it is open already; it is
 * used from the next registrar_process_apply() on. 0, or a negative errno with
 * error (REGISTRAR_ERROR_MAX bytes) set: nothing has changed then. */
int registrar_process_listen(struct registrar_process *process,
			     const struct registrar_config *config, char *error);

/* Starts, stops or restarts the registrar as a configuration wants it, whose
 * listening socket is open. before: what it ran with; NULL at the start. */
void registrar_process_apply(struct registrar_process *process, const struct gateway_config *before,
			     const struct gateway_config *config);

struct registrar_report {
	pid_t pid; /* 0 when there is none */
	const char *state; /* "off", "dead", "starting" or "serving" */
	unsigned restarts;
	struct registrar_counters counters; /* its own and main's */
};
struct registrar_report registrar_process_report(const struct registrar_process *process);

#endif
