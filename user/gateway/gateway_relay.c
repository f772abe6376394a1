// SPDX-License-Identifier: GPL-2.0
/* See gateway_relay.h. */
#include "gateway_relay.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "channel.h"
#include "child.h"
#include "flow_sampling.h"
#include "flow_trace.h"
#include "gateway_flow.h"
#include "half_open.h"
#include "kernel_engine.h"
#include "log.h"
#include "mptcp.h"
#include "parallel.h"
#include "privileges.h"

/* Well below RELAY_STALE_NS: a relay with nothing to do still shows it lives. */
#define TURN_MS 200
#define ACCEPTS_PER_TURN 128

/* IP_TRANSPARENT and AF_PACKET need NET_RAW; buffers beyond net.core.rmem_max,
 * SO_MARK and restricted congestion controls NET_ADMIN; a client's port below
 * 1024 (source = client) NET_BIND_SERVICE. */
static const int capabilities[] = { CAP_NET_RAW, CAP_NET_ADMIN, CAP_NET_BIND_SERVICE };

static struct gateway_relay *of(struct relay *relay)
{
	return list_entry(relay, struct gateway_relay, core);
}

static void heartbeat(struct relay *relay)
{
	__u64 *beat = &of(relay)->setup.state->heartbeat_ns;
	uint64_t before = __atomic_load_n(beat, __ATOMIC_RELAXED);

	if (before && relay->now_ns - before >= RELAY_STALE_NS)
		of(relay)->overslept_ns = relay->now_ns;
	__atomic_store_n(beat, relay->now_ns, __ATOMIC_RELAXED);
}

static int ring_sample(void *context, void *sample, size_t size)
{
	struct gateway_relay *relay = context;

	if (size == sizeof(struct syn_event))
		half_open_syn(relay, sample);
	return 0;
}

static void ring_ready(struct watch *watch, uint32_t events)
{
	struct gateway_relay *relay = list_entry(watch, struct gateway_relay, ring_watch);

	(void)events;
	ring_buffer__consume(relay->ring);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct gateway_listener *listener = list_entry(watch, struct gateway_listener, watch);

	(void)events;
	/* The event of an early SYN was written before its handshake began. */
	ring_buffer__consume(listener->relay->ring);
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage client;
		socklen_t length = sizeof(client);
		int fd = accept4(listener->fd, (struct sockaddr *)&client, &length,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		half_open_accepted(listener->relay, fd, &client);
	}
}

/* Sends main the next flows of the list, one message a turn: flows are not to wait
 * for those who look at them. Returns how long the next turn may wait, ms. */
static int continue_listing(struct gateway_relay *relay)
{
	static struct channel_message message;
	struct list *link = relay->listing;

	if (!link)
		return TURN_MS;
	message.header = (struct channel_header){ .type = CHANNEL_FLOWS,
						  .cookie = relay->listing_cookie };
	for (; link != &relay->core.flows && message.header.count < CHANNEL_BATCH;
	     link = link->next)
		gateway_flow_describe(gateway_flow_of(list_entry(link, struct relay_flow, link)),
				      &message.records[message.header.count++]);
	if (message.header.count == 0)
		message.header.type = CHANNEL_FLOWS_END;
	if (send(relay->setup.channel, &message,
		 sizeof(message.header) + message.header.count * sizeof(struct flow_record),
		 MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return 1; /* full: from where we were, a little later */
	relay->listing = message.header.count ? link : NULL;
	return relay->listing ? 0 : TURN_MS;
}

/* Which flows are traced. */
static void trace_changed(struct gateway_relay *relay, const struct channel_trace *message)
{
	if (message->slot >= TRACES_MAX)
		return;
	if (message->header.type == CHANNEL_TRACE_START)
		flow_trace_start(relay, message->slot, &message->filter);
	else
		flow_trace_stop(relay, message->slot);
}

static void channel_ready(struct watch *watch, uint32_t events)
{
	struct gateway_relay *relay = list_entry(watch, struct gateway_relay, channel_watch);
	struct channel_trace message; /* the longest there is */
	ssize_t length;

	(void)events;
	length = recv(relay->setup.channel, &message, sizeof(message), MSG_DONTWAIT);
	if (length < 0 && errno == EAGAIN)
		return;
	if (length < (ssize_t)sizeof(message.header)) {
		relay->core.stopping = true; /* main is gone */
		return;
	}
	switch (message.header.type) {
	case CHANNEL_LET_GO:
		relay->letting_go = true;
		break;
	case CHANNEL_LIST:
		relay->listing = relay->core.flows.next;
		relay->listing_cookie = message.header.cookie;
		break;
	case CHANNEL_TRACE_START:
	case CHANNEL_TRACE_STOP:
		if (length == sizeof(message))
			trace_changed(relay, &message);
		break;
	default: /* CHANNEL_STOP */
		relay->core.stopping = true;
	}
}

/* Deadlines of what is not joined yet, connections that what is joined lacks. */
static void check(struct relay_flow *flow)
{
	if (flow->watched)
		flow_trace_look(flow);
	if (flow->state == FLOW_CONNECTING || flow->state == FLOW_JOINING)
		half_open_check(gateway_flow_of(flow));
	else if (flow->state < FLOW_CLOSING)
		parallel_complete(gateway_flow_of(flow));
}

static void progress(struct relay_flow *flow)
{
	half_open_progress(gateway_flow_of(flow));
}

static const struct relay_front front = {
	.progress = progress,
	.check = check,
	.looked = flow_trace_look,
	.ending = gateway_flow_ending,
	.ended = gateway_flow_ended,
	.free = gateway_flow_free,
};

static int watch_listeners(struct gateway_relay *relay)
{
	int result = 0;

	for (int i = 0; i < 2 && !result; i++) {
		struct gateway_listener *listener = &relay->listeners[i];

		listener->relay = relay;
		listener->fd = relay->setup.listeners[i];
		listener->watch.ready = listener_ready;
		if (listener->fd >= 0)
			result = relay_watch(&relay->core, listener->fd, EPOLLIN, &listener->watch);
	}
	return result;
}

static int start(struct gateway_relay *relay)
{
	char error[160];
	int result = relay_init(&relay->core, &front, &relay->setup.shared->counters);

	result = result ?: half_open_init(relay);
	if (result)
		return result;
	if (relay->setup.splice_maps.flows)
		result = kernel_engine_open(&relay->core, &relay->setup.splice_maps);
	if (result)
		return result;
	relay->ring = ring_buffer__new(relay->setup.ring_map, ring_sample, relay, NULL);
	if (!relay->ring)
		return -errno;
	relay->ring_watch.ready = ring_ready;
	result = relay_watch(&relay->core, ring_buffer__epoll_fd(relay->ring), EPOLLIN,
			     &relay->ring_watch);
	relay->channel_watch.ready = channel_ready;
	result = result
			 ?: relay_watch(&relay->core, relay->setup.channel, EPOLLIN,
					&relay->channel_watch);
	result = result ?: watch_listeners(relay);
	if (result)
		return result;
	result = privileges_drop(relay->setup.user, capabilities,
				 sizeof(capabilities) / sizeof(capabilities[0]), error,
				 sizeof(error));
	if (result)
		log_error("%s", error);
	return result;
}

/* Ends what is left: held SYNs are forwarded, everything else is reset. */
static void stop(struct gateway_relay *relay)
{
	struct list *flows = &relay->core.flows;

	__atomic_store_n(&relay->setup.state->heartbeat_ns, 0, __ATOMIC_RELAXED);
	ring_buffer__consume(relay->ring); /* SYNs taken until this moment */
	while (!list_empty(flows)) {
		struct relay_flow *flow = list_entry(flows->next, struct relay_flow, link);

		half_open_let_go(gateway_flow_of(flow));
		flow_end(flow, FLOW_END_SHUTDOWN);
	}
	relay_free(&relay->core);
	half_open_free(relay);
	mptcp_manager_close(relay->manager);
	ring_buffer__free(relay->ring);
}

int gateway_relay_run(const struct gateway_relay_setup *setup)
{
	struct channel_header ready = { .type = CHANNEL_READY };
	struct gateway_relay *relay = calloc(1, sizeof(*relay));
	int result, wait_ms = TURN_MS;

	if (!relay)
		return EXIT_FAILURE;
	relay->setup = *setup;
	result = start(relay);
	if (result) {
		log_error("relay cannot start: %s", strerror(-result));
		return EXIT_FAILURE;
	}
	if (!child_bind_to_main(setup->main_pid))
		return EXIT_FAILURE;
	setup->shared->flow_limit = relay->core.flow_limit;
	heartbeat(&relay->core);
	send(setup->channel, &ready, sizeof(ready), MSG_NOSIGNAL);
	while (!relay->core.stopping) {
		relay_turn(&relay->core, wait_ms, heartbeat);
		wait_ms = continue_listing(relay);
		flow_sampling_run(relay);
		if (wait_ms > 1 && flow_sampling_is_due(relay))
			wait_ms = 1;
	}
	stop(relay);
	free(relay);
	return EXIT_SUCCESS;
}
