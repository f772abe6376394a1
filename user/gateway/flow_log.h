/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The flow log: a file with one JSON object a line for each flow that ended. A
 * process of its own writes it (flow_log_writer.c), so that a slow disk holds up
 * nobody; what does not fit into the pipe to it is dropped and counted.
 */
#ifndef SLUICE_FLOW_LOG_H
#define SLUICE_FLOW_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "counters.h"

struct flow_log;

/*
 * Opens, or makes (mode 0640), the file and starts its writer as user. counters
 * are in shared memory and outlive it. 0, or a negative errno with one line in
 * error (size bytes).
 */
int flow_log_open(const char *path, sd_event *event, const char *user,
		  struct log_counters *counters, struct flow_log **flow_log, char *error,
		  size_t size);

/* The writer writes what it has, and ends; this waits for it. NULL is allowed. */
void flow_log_close(struct flow_log *flow_log);

/* The same, without waiting: another file takes its place. */
void flow_log_retire(struct flow_log *flow_log);

/* Adds a line, given without its newline. 0, or a negative errno: it is dropped. */
int flow_log_write(struct flow_log *flow_log, const char *line);

/* Main counts, and the writer. */
void flow_log_count_dropped(struct log_counters *counters, uint64_t lines);

/* The writer's process: copies lines from a pipe to a file until the pipe ends. */
void flow_log_writer_run(int from, int to, struct log_counters *counters);

#endif
