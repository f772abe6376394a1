/* SPDX-License-Identifier: GPL-2.0 */
/*
 * main's side of the metrics process: answers its questions with snapshots of
 * the gateway, not more often than is good for main. service.c does the rest.
 */
#ifndef SLUICE_METRICS_PROCESS_H
#define SLUICE_METRICS_PROCESS_H

#include "gateway_config.h"
#include "service.h"

struct gateway;
struct metrics_process;

/* gateway is borrowed. 0 or -ENOMEM. */
int metrics_process_new(struct gateway *gateway, struct metrics_process **process);

/* Tells it to stop, waits for it, and frees everything. */
void metrics_process_free(struct metrics_process *process);

/* As service_listen() and service_listen_cancel(). */
int metrics_process_listen(struct metrics_process *process, const struct metrics_config *config,
			   char *error);
void metrics_process_listen_cancel(struct metrics_process *process);

/* Starts, stops or restarts it as a configuration wants it, whose listening
 * socket is open. before: what it ran with; NULL at the start. */
void metrics_process_apply(struct metrics_process *process, const struct gateway_config *before,
			   const struct gateway_config *config);

struct service_report metrics_process_report(const struct metrics_process *process);

#endif
