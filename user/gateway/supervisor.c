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

/* How long flows that ended are left to gather. */
#define ENDED_DELAY_US 50000ULL

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

/* Hands on what a relay has said of flows that ended. */
static void drain_ended(struct relay_process *relay)
{
	const struct supervisor_options *options = &relay->supervisor->options;
	struct flow_record record;

	while (ended_ring_take(relay->ended, &record))
		options->flow_ended(&record, options->context);
}

static int on_ended_timer(sd_event_source *source, uint64_t us, void *context)
{
	struct supervisor *supervisor = context;

	(void)source;
	(void)us;
	for (unsigned i = 0; i < supervisor->options.relays; i++)
		drain_ended(&supervisor->relays[i]);
	return 0;
}

/* Not at once: many that end together are one turn of main, not one each. */
static void drain_soon(struct supervisor *supervisor)
{
	sd_event_source_set_time_relative(supervisor->ended_timer, ENDED_DELAY_US);
	sd_event_source_set_enabled(supervisor->ended_timer, SD_EVENT_ONESHOT);
}

/* What a dead relay leaves: its flows were reset by the kernel, its half-open
 * connections must not keep their clients' SYNs from being forwarded. */
static void forget(struct relay_process *relay)
{
	struct supervisor *supervisor = relay->supervisor;

	intercept_forget_relay(supervisor->options.intercept, relay->index);
	port_stats_forget(relay);
	relay->phase = RELAY_DEAD;
	relay->pid = 0;
	relay->channel_source = sd_event_source_disable_unref(relay->channel_source);
	relay->child_source = sd_event_source_disable_unref(relay->child_source);
	if (relay->channel >= 0)
		close(relay->channel);
	relay->channel = -1;
	flow_collection_relay_gone(supervisor, relay);
	drain_ended(relay);
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

static void send_trace(const struct relay_process *relay, enum channel_type type, unsigned slot)
{
	struct channel_trace message = { .header.type = type,
					 .slot = slot,
					 .filter = relay->supervisor->traces[slot] };

	if (relay->phase == RELAY_SERVING)
		send(relay->channel, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void supervisor_trace_start(struct supervisor *supervisor, unsigned slot,
			    const struct trace_filter *filter)
{
	supervisor->traces[slot] = *filter;
	supervisor->tracing |= (uint8_t)(1U << slot);
	for (unsigned i = 0; i < supervisor->options.relays; i++)
		send_trace(&supervisor->relays[i], CHANNEL_TRACE_START, slot);
}

void supervisor_trace_stop(struct supervisor *supervisor, unsigned slot)
{
	supervisor->tracing &= (uint8_t) ~(1U << slot);
	for (unsigned i = 0; i < supervisor->options.relays; i++)
		send_trace(&supervisor->relays[i], CHANNEL_TRACE_STOP, slot);
}

/* A relay that was started anew knows nothing of the traces. */
static void send_traces(const struct relay_process *relay)
{
	for (unsigned i = 0; i < TRACES_MAX; i++)
		if (relay->supervisor->tracing & 1U << i)
			send_trace(relay, CHANNEL_TRACE_START, i);
}

/* A relay holds fewer privileges than main: what it says is checked. */
static bool is_whole(const struct channel_message *message, size_t length)
{
	if (message->header.type == CHANNEL_TRACE_EVENT)
		return length == sizeof(struct channel_trace);
	return message->header.count <= CHANNEL_BATCH &&
	       length == sizeof(message->header) +
				 message->header.count * sizeof(message->records[0]);
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
	if (!is_whole(&message, (size_t)length)) {
		log_error("relay %u sent a malformed message", relay->index);
		return 0;
	}
	if (message.header.type == CHANNEL_READY) {
		relay->phase = RELAY_SERVING;
		log_debug("relay %u serves (pid %d)", relay->index, (int)relay->pid);
		send_traces(relay);
		announce(relay->supervisor);
	} else if (message.header.type == CHANNEL_TRACE_EVENT) {
		relay->supervisor->options.flow_event(&((struct channel_trace *)&message)->event,
						      relay->supervisor->options.context);
	} else if (message.header.type == CHANNEL_ENDED) {
		if (ended_ring_is_filling(relay->ended))
			drain_ended(relay);
		else
			drain_soon(relay->supervisor);
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
	if (relay->shared == MAP_FAILED) {
		relay->shared = NULL;
		return -ENOMEM;
	}
	relay->port_stats = port_stats_new(relay->supervisor->options.max_ports);
	relay->ended = ended_ring_new();
	return relay->port_stats && relay->ended ? 0 : -ENOMEM;
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
	result = sd_event_add_time_relative(options->event, &new->ended_timer, CLOCK_MONOTONIC,
					    ENDED_DELAY_US, 0, on_ended_timer, new);
	if (result >= 0)
		result = sd_event_source_set_enabled(new->ended_timer, SD_EVENT_OFF);
	new->port_bases = calloc(options->max_ports, sizeof(*new->port_bases));
	if (result >= 0 && !new->port_bases)
		result = -ENOMEM;
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
		if (relay->ended)
			forget(relay);
		if (relay->shared)
			munmap(relay->shared, relay->shared_size);
		port_stats_free(relay->port_stats, supervisor->options.max_ports);
		ended_ring_free(relay->ended);
	}
	sd_event_source_disable_unref(supervisor->ended_timer);
	free(supervisor->port_bases);
	free(supervisor);
}

const char *relay_phase_name(enum relay_phase phase)
{
	static const char *const names[] = { "dead", "starting", "serving", "hung" };

	return names[phase];
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
				      .flow_limit = process->shared->flow_limit,
				      .restarts = process->restarts.count,
				      .counters = process->shared->counters };
}
