// SPDX-License-Identifier: GPL-2.0
/* See metrics_process.h. */
#include "metrics_process.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "gateway.h"
#include "metrics_server.h"
#include "metrics_snapshot.h"

/* However often it is asked, and by whom: main takes no more snapshots than that. */
#define PAUSE_US 100000ULL

struct metrics_process {
	struct service *service;
	struct gateway *gateway;
	struct metrics_snapshot *snapshot; /* shared with the child, which only reads it */
	sd_event_source *pause; /* off: questions are heard */
	bool is_public;
};

static pid_t fork_metrics(void *context, int listener, int channel)
{
	const struct metrics_process *process = context;
	struct metrics_setup setup = {
		.main_pid = getpid(),
		.listener = listener,
		.channel = channel,
		.user = getpwnam("sluice-metrics") ? "sluice-metrics" : "nobody",
		.root = process->gateway->empty_dir,
		.is_public = process->is_public,
		.snapshot = process->snapshot,
	};
	int keep[] = { listener, channel };
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid > 0)
		return pid;
	child_begin(keep, sizeof(keep) / sizeof(keep[0]), "sluiced metrics");
	_exit(metrics_server_run(&setup));
}

static int on_pause_over(sd_event_source *source, uint64_t us, void *context)
{
	const struct metrics_process *process = context;

	(void)source;
	(void)us;
	service_hear(process->service, true);
	return 0;
}

static void pause_hearing(struct metrics_process *process)
{
	if (sd_event_source_set_time_relative(process->pause, PAUSE_US) < 0 ||
	    sd_event_source_set_enabled(process->pause, SD_EVENT_ONESHOT) < 0)
		return;
	service_hear(process->service, false);
}

static const char *on_message(struct service *service, void *context, const void *message,
			      size_t length)
{
	static const uint32_t taken = METRICS_TAKEN;
	struct metrics_process *process = context;
	const uint32_t *word = message;

	if (length != sizeof(*word))
		return "it sent a malformed message";
	if (*word == METRICS_READY) {
		service_serves(service);
		return NULL;
	}
	if (*word != METRICS_ASK)
		return "it sent a malformed request";
	metrics_snapshot_take(process->gateway, process->snapshot);
	pause_hearing(process);
	return service_send(service, &taken, sizeof(taken)) < 0 ? "it does not take the answers"
								: NULL;
}

static void on_gone(void *context)
{
	const struct metrics_process *process = context;

	sd_event_source_set_enabled(process->pause, SD_EVENT_OFF);
}

static const struct service_type metrics_service = {
	.name = "metrics",
	.lost = "nothing is lost",
	.message_max = sizeof(uint32_t),
	.fork = fork_metrics,
	.message = on_message,
	.gone = on_gone,
};

int metrics_process_new(struct gateway *gateway, struct metrics_process **process)
{
	struct metrics_process *new = calloc(1, sizeof(*new));
	int result;

	*process = new;
	if (!new)
		return -ENOMEM;
	new->gateway = gateway;
	new->snapshot = mmap(NULL, sizeof(*new->snapshot), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (new->snapshot == MAP_FAILED) {
		new->snapshot = NULL;
		return -ENOMEM;
	}
	result = sd_event_add_time_relative(gateway->event, &new->pause, CLOCK_MONOTONIC, PAUSE_US,
					    0, on_pause_over, new);
	if (result >= 0)
		result = sd_event_source_set_enabled(new->pause, SD_EVENT_OFF);
	return result < 0 ? result
			  : service_new(gateway->event, &metrics_service, new, &new->service);
}

void metrics_process_free(struct metrics_process *process)
{
	if (!process)
		return;
	service_free(process->service);
	sd_event_source_disable_unref(process->pause);
	if (process->snapshot)
		munmap(process->snapshot, sizeof(*process->snapshot));
	free(process);
}

int metrics_process_listen(struct metrics_process *process, const struct metrics_config *config,
			   char *error)
{
	return service_listen(process->service, config->address, config->port, error);
}

void metrics_process_listen_cancel(struct metrics_process *process)
{
	service_listen_cancel(process->service);
}

void metrics_process_apply(struct metrics_process *process, const struct gateway_config *before,
			   const struct gateway_config *config)
{
	bool same = before && before->metrics.is_public == config->metrics.is_public;

	process->is_public = config->metrics.is_public;
	supervisor_set_sampling(process->gateway->supervisor, config->metrics.port != 0);
	service_apply(process->service, same);
}

struct service_report metrics_process_report(const struct metrics_process *process)
{
	return service_report(process->service);
}
