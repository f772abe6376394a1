// SPDX-License-Identifier: GPL-2.0
/* See supervisor.h. */
#include "supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "supervisor_private.h"

/* How long relays may take to stop. */
#define STOP_TIMEOUT_MS 3000

/* Room for "relay 4294967295". */
#define NAME_MAX_LENGTH 24

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
	int result = sd_event_add_time_relative(relay->supervisor->options.event,
						&relay->restart_timer, CLOCK_MONOTONIC,
						child_restart_delay(&relay->restarts), 0,
						on_restart, relay);

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
	relay->shared->rewritten_flows = 0;
	relay->phase = RELAY_DEAD;
	relay->pid = 0;
	relay->channel_source = sd_event_source_disable_unref(relay->channel_source);
	relay->child_source = sd_event_source_disable_unref(relay->child_source);
	if (relay->channel >= 0)
		close(relay->channel);
	relay->channel = -1;
	flow_collection_relay_gone(supervisor, relay);
}

static void name_of(const struct relay_process *relay, char name[NAME_MAX_LENGTH])
{
	snprintf(name, NAME_MAX_LENGTH, "relay %u", relay->index);
}

static int on_death(sd_event_source *source, const siginfo_t *info, void *context)
{
	struct relay_process *relay = context;
	char name[NAME_MAX_LENGTH];

	(void)source;
	name_of(relay, name);
	child_log_death(name, relay->pid, info, "its flows are reset");
	relay->restarts.count++;
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

	relay->restarts.started_us = child_now_us();
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
	uint64_t deadline_us = child_now_us() + STOP_TIMEOUT_MS * 1000ULL;
	char name[NAME_MAX_LENGTH];

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

		name_of(relay, name);
		if (relay->pid)
			child_reap(name, relay->pid, deadline_us);
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

/* As the intercept program judges it. */
static bool is_hung(const struct relay_process *relay)
{
	const struct relay_state *state =
		&intercept_relay_states(relay->supervisor->options.intercept)[relay->index];
	uint64_t heartbeat_ns = __atomic_load_n(&state->heartbeat_ns, __ATOMIC_RELAXED);

	return child_now_us() * 1000 >= heartbeat_ns + RELAY_STALE_NS;
}

struct relay_report supervisor_report(const struct supervisor *supervisor, unsigned relay)
{
	const struct relay_process *process = &supervisor->relays[relay];
	bool hung = process->phase == RELAY_SERVING && is_hung(process);

	return (struct relay_report){ .pid = process->pid,
				      .phase = hung ? RELAY_HUNG : process->phase,
				      .flows = process->shared->flows,
				      .restarts = process->restarts.count,
				      .counters = process->shared->counters };
}

uint64_t supervisor_flows(const struct supervisor *supervisor)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < supervisor->options.relays; i++)
		sum += supervisor->relays[i].shared->flows;
	return sum;
}

uint64_t supervisor_way_flows(const struct supervisor *supervisor, enum way_in way)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < supervisor->options.relays; i++) {
		const struct relay_shared *shared = supervisor->relays[i].shared;

		sum += way == WAY_XDP ? shared->rewritten_flows
				      : shared->flows - shared->rewritten_flows;
	}
	return sum;
}

uint64_t supervisor_port_flows(const struct supervisor *supervisor, uint32_t port_id)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < supervisor->options.relays; i++)
		sum += supervisor->relays[i].shared->port_flows[port_id];
	return sum;
}
