/* SPDX-License-Identifier: GPL-2.0 */
/*
 * main's side of the registrar: what it is given at its start, when it has to be
 * restarted, and the way of its requests to registrations.c. service.c does the rest.
 */
#ifndef SLUICE_REGISTRAR_PROCESS_H
#define SLUICE_REGISTRAR_PROCESS_H

#include <systemd/sd-event.h>

#include "registrations.h"
#include "service.h"

struct registrar_process;

/* root: an empty directory, to be the registrar's file system; event and
 * registrations are borrowed. 0 or -ENOMEM. */
int registrar_process_new(sd_event *event, struct registrations *registrations, const char *root,
			  struct registrar_process **process);

/* Tells it to stop, waits for it, and frees everything. */
void registrar_process_free(struct registrar_process *process);

/* As service_listen() and service_listen_cancel(). */
int registrar_process_listen(struct registrar_process *process,
			     const struct registrar_config *config, char *error);
void registrar_process_listen_cancel(struct registrar_process *process);

/* Starts, stops or restarts the registrar as a configuration wants it, whose
 * listening socket is open. before: what it ran with; NULL at the start. */
void registrar_process_apply(struct registrar_process *process, const struct gateway_config *before,
			     const struct gateway_config *config);

struct service_report registrar_process_report(const struct registrar_process *process);

/* The registrar's own counters and main's. */
struct registrar_counters registrar_process_counters(const struct registrar_process *process);

#endif
