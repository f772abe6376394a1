// SPDX-License-Identifier: GPL-2.0
/* See supervisor.h. */
#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "supervisor_private.h"

/* A relay that dies young is restarted ever more slowly, between these. */
#define RESTART_MIN_US (10 * 1000ULL)
#define RESTART_MAX_US (5 * 1000000ULL)
#define YOUNG_US (10 * 1000000ULL)

/* How long relays may take to stop. */
#define STOP_TIMEOUT_MS 3000

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000ULL + (uint64_t)now.tv_nsec / 1000;
}

static int start(struct relay_process *relay);

static int on_restart(sd_event_source *source, uint64_t us, void *context)
{
	struct relay_process *relay = context;

	(void)source;
	(void)us;
	relay->restart_timer = sd_event_source_disable_unref(relay->restart_timer);
	start(relay);
	return 0;
}

static void schedule_restart(struct relay_process *relay)
{
	int result;

	if (now_us() - relay->started_us < YOUNG_US)
		relay->restart_delay_us = relay->restart_delay_us * 2 ?: RESTART_MIN_US;
	else
		relay->restart_delay_us = RESTART_MIN_US;
	if (relay->restart_delay_us > RESTART_MAX_US)
		relay->restart_delay_us = RESTART_MAX_US;
	result = sd_event_add_time_relative(relay->supervisor->options.event, &relay->restart_timer,
					    CLOCK_MONOTONIC, relay->restart_delay_us, 0, on_restart,
					    relay);
	if (result < 0)
		log_error("relay %u stays down: %s", relay->index, strerror(-result));
}

/* What a dead relay leaves: its flows were reset by the kernel, its half-open
 * connections must not keep their clients' SYNs from being forwarded. */
static void forget(struct relay_process *relay)
{
	struct supervisor *supervisor = relay->supervisor;

	intercept_forget_relay(supervisor->options.intercept, relay->index);
	memset(relay->shared->port_flows, 0,
	       supervisor->options.max_ports * sizeof(relay->shared->port_flows[0]));
	relay->shared->flows = 0;
	relay->phase = RELAY_DEAD;
	relay->pid = 0;
	relay->channel_source = sd_event_source_disable_unref(relay->channel_source);
	relay->child_source = sd_event_source_disable_unref(relay->child_source);
	if (relay->channel >= 0)
		close(relay->channel);
	relay->channel = -1;
	flow_collection_relay_gone(supervisor, relay);
}

static int on_death(sd_event_source *source, const siginfo_t *info, void *context)
{
	struct relay_process *relay = context;

	(void)source;
	if (info->si_code == CLD_EXITED)
		log_error("relay %u (pid %d) exited with status %d, its flows are reset; restarting",
			  relay->index, (int)relay->pid, info->si_status);
	else
		log_error("relay %u (pid %d) was killed by signal %d, its flows are reset; "
			  "restarting",
			  relay->index, (int)relay->pid, info->si_status);
	relay->restarts++;
	forget(relay);
	schedule_restart(relay);
	return 0;
}

static void announce(struct supervisor *supervisor)
{
	for (unsigned i = 0; i < supervisor->options.relays; i++)
		if (supervisor->relays[i].phase != RELAY_SERVING)
			return;
	if (!supervisor->announced)
		supervisor->options.all_serving(supervisor->options.context);
	supervisor->announced = true;
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *context)
{
	static struct channel_message message;
	struct relay_process *relay = context;
	ssize_t length = recv(fd, &message, sizeof(message), MSG_DONTWAIT);

	(void)source;
	(void)events;
	if (length < (ssize_t)sizeof(message.header)) {
		/* Closed: the child source says how the relay ended. */
		if (length == 0)
			sd_event_source_set_enabled(relay->channel_source, SD_EVENT_OFF);
		return 0;
	}
	/* A relay holds fewer privileges than main: what it says is checked. */
	if (message.header.count > CHANNEL_BATCH ||
	    (size_t)length !=
		    sizeof(message.header) + message.header.count * sizeof(message.records[0])) {
		log_error("relay %u sent a malformed message", relay->index);
		return 0;
	}
	if (message.header.type == CHANNEL_READY) {
		relay->phase = RELAY_SERVING;
		log_debug("relay %u serves (pid %d)", relay->index, (int)relay->pid);
		announce(relay->supervisor);
	} else {
		flow_collection_message(relay->supervisor, relay, &message);
	}
	return 0;
}

static int start(struct relay_process *relay)
{
	sd_event *event = relay->supervisor->options.event;
	int result;

	relay->started_us = now_us();
	result = relay_spawn(relay);
	if (result) {
		log_error("relay %u cannot be started: %s", relay->index, strerror(-result));
		schedule_restart(relay);
		return result;
	}
	relay->phase = RELAY_STARTING;
	result = sd_event_add_child(event, &relay->child_source, relay->pid, WEXITED, on_death,
				    relay);
	if (result >= 0)
		result = sd_event_add_io(event, &relay->channel_source, relay->channel, EPOLLIN,
					 on_message, relay);
	if (result < 0)
		log_error("relay %u: %s", relay->index, strerror(-result));
	return result < 0 ? result : 0;
}

static int map_shared(struct relay_process *relay)
{
	relay->shared_size = sizeof(*relay->shared) + relay->supervisor->options.max_ports *
							      sizeof(relay->shared->port_flows[0]);
	relay->shared = mmap(NULL, relay->shared_size, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (relay->shared != MAP_FAILED)
		return 0;
	relay->shared = NULL;
	return -ENOMEM;
}

int supervisor_new(const struct supervisor_options *options, struct supervisor **supervisor)
{
	struct supervisor *new = calloc(1, sizeof(*new));
	int result = 0;

	*supervisor = NULL;
	if (!new)
		return -ENOMEM;
	new->options = *options;
	list_init(&new->collections);
	for (unsigned i = 0; i < options->relays; i++) {
		new->relays[i].supervisor = new;
		new->relays[i].index = i;
		new->relays[i].channel = -1;
	}
	for (unsigned i = 0; i < options->relays && !result; i++)
		result = map_shared(&new->relays[i]);
	for (unsigned i = 0; i < options->relays && !result; i++)
		result = start(&new->relays[i]);
	if (result) {
		supervisor_free(new);
		return result;
	}
	*supervisor = new;
	return 0;
}

/* Waits for a relay that was told to stop, then makes sure of it. */
static void reap(struct relay_process *relay, uint64_t deadline_us)
{
	while (waitpid(relay->pid, NULL, WNOHANG) == 0) {
		static const struct timespec pause = { .tv_nsec = 2000000 };

		if (now_us() >= deadline_us) {
			log_warning("relay %u does not stop, killing it", relay->index);
			kill(relay->pid, SIGKILL);
			waitpid(relay->pid, NULL, 0);
			return;
		}
		nanosleep(&pause, NULL);
	}
}

void supervisor_let_go(struct supervisor *supervisor)
{
	static const struct channel_header let_go = { .type = CHANNEL_LET_GO };

	for (unsigned i = 0; i < supervisor->options.relays; i++)
		if (supervisor->relays[i].phase == RELAY_SERVING)
			send(supervisor->relays[i].channel, &let_go, sizeof(let_go),
			     MSG_DONTWAIT | MSG_NOSIGNAL);
}

void supervisor_free(struct supervisor *supervisor)
{
	static const struct channel_header stop = { .type = CHANNEL_STOP };
	uint64_t deadline_us = now_us() + STOP_TIMEOUT_MS * 1000ULL;

	if (!supervisor)
		return;
	flow_collection_end_all(supervisor);
	for (unsigned i = 0; i < supervisor->options.relays; i++) {
		struct relay_process *relay = &supervisor->relays[i];

		sd_event_source_disable_unref(relay->restart_timer);
		sd_event_source_disable_unref(relay->child_source);
		relay->child_source = relay->restart_timer = NULL;
		if (relay->pid)
			send(relay->channel, &stop, sizeof(stop), MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	for (unsigned i = 0; i < supervisor->options.relays; i++) {
		struct relay_process *relay = &supervisor->relays[i];

		if (relay->pid)
			reap(relay, deadline_us);
		if (relay->shared) {
			forget(relay);
			munmap(relay->shared, relay->shared_size);
		}
	}
	free(supervisor);
}

unsigned supervisor_relay_count(const struct supervisor *supervisor)
{
	return supervisor->options.relays;
}

struct relay_report supervisor_report(const struct supervisor *supervisor, unsigned relay)
{
	const struct relay_process *process = &supervisor->relays[relay];

	return (struct relay_report){ .pid = process->pid,
				      .phase = process->phase,
				      .flows = process->shared->flows,
				      .restarts = process->restarts,
				      .counters = process->shared->counters };
}

uint64_t supervisor_flows(const struct supervisor *supervisor)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < supervisor->options.relays; i++)
		sum += supervisor->relays[i].shared->flows;
	return sum;
}

uint64_t supervisor_port_flows(const struct supervisor *supervisor, uint32_t port_id)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < supervisor->options.relays; i++)
		sum += supervisor->relays[i].shared->port_flows[port_id];
	return sum;
}
