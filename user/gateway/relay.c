// SPDX-License-Identifier: GPL-2.0
/* The relay's loop; see relay.h. */
#include "relay.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "child.h"
#include "half_open.h"
#include "log.h"
#include "privileges.h"
#include "relay_flow.h"
#include "splice_engine.h"

/* Well below RELAY_STALE_NS: a relay with nothing to do still shows it lives. */
#define TURN_MS 200
#define SWEEP_NS 1000000000ULL
#define EVENTS_PER_TURN 256
#define ACCEPTS_PER_TURN 128
#define RESERVED_DESCRIPTORS (2 * PIPE_POOL_MAX + 64)

/* IP_TRANSPARENT and AF_PACKET need NET_RAW; buffers beyond net.core.rmem_max,
 * SO_MARK and restricted congestion controls NET_ADMIN; a client's port below
 * 1024 (source = client) NET_BIND_SERVICE. */
static const int capabilities[] = { CAP_NET_RAW, CAP_NET_ADMIN, CAP_NET_BIND_SERVICE };

int relay_watch(struct relay *relay, int fd, uint32_t events, struct watch *watch)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	return epoll_ctl(relay->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void read_clock(struct relay *relay)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	relay->now_ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void heartbeat(struct relay *relay)
{
	__atomic_store_n(&relay->setup.state->heartbeat_ns, relay->now_ns, __ATOMIC_RELAXED);
}

static int ring_sample(void *context, void *sample, size_t size)
{
	struct relay *relay = context;

	if (size == sizeof(struct syn_event))
		half_open_syn(relay, sample);
	return 0;
}

static void ring_ready(struct watch *watch, uint32_t events)
{
	struct relay *relay = list_entry(watch, struct relay, ring_watch);

	(void)events;
	ring_buffer__consume(relay->ring);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct relay_listener *listener = list_entry(watch, struct relay_listener, watch);

	(void)events;
	/* The event of an early SYN was written before its handshake began. */
	ring_buffer__consume(listener->relay->ring);
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		half_open_accepted(listener->relay, fd);
	}
}

/* Sends main as much of the list of flows as the socket takes now. */
static void continue_listing(struct relay *relay)
{
	static struct channel_message message;
	struct list *link = relay->listing;

	while (link) {
		message.header = (struct channel_header){ .type = CHANNEL_FLOWS,
							  .cookie = relay->listing_cookie };
		for (; link != &relay->flows && message.header.count < CHANNEL_BATCH;
		     link = link->next)
			flow_describe(list_entry(link, struct relay_flow, link),
				      &message.records[message.header.count++]);
		if (message.header.count == 0)
			message.header.type = CHANNEL_FLOWS_END;
		if (send(relay->setup.channel, &message,
			 sizeof(message.header) + message.header.count * sizeof(struct flow_record),
			 MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return; /* full: from where we were, next turn */
		relay->listing = message.header.count ? link : NULL;
		link = relay->listing;
	}
}

static void channel_ready(struct watch *watch, uint32_t events)
{
	struct relay *relay = list_entry(watch, struct relay, channel_watch);
	struct channel_header header;
	ssize_t length;

	(void)events;
	length = recv(relay->setup.channel, &header, sizeof(header), MSG_DONTWAIT);
	if (length < 0 && errno == EAGAIN)
		return;
	if (length != sizeof(header) || header.type == CHANNEL_STOP) {
		relay->stopping = true; /* told to, or main is gone */
		return;
	}
	if (header.type == CHANNEL_LET_GO)
		relay->letting_go = true;
	if (header.type == CHANNEL_LIST) {
		relay->listing = relay->flows.next;
		relay->listing_cookie = header.cookie;
	}
}

/* Deadlines and idle time-outs, once a second. */
static void sweep(struct relay *relay)
{
	struct list *link = relay->flows.next;

	relay->next_sweep_ns = relay->now_ns + SWEEP_NS;
	while (link != &relay->flows) {
		struct relay_flow *flow = list_entry(link, struct relay_flow, link);
		uint64_t limit_ns = flow->params.idle_timeout_s * 1000000000ULL;

		link = link->next;
		if (flow->state == FLOW_CONNECTING || flow->state == FLOW_JOINING)
			half_open_check(flow);
		else if (flow->state == FLOW_CLOSING)
			splice_engine_run(flow);
		if (flow->state >= FLOW_OPEN && flow->state < FLOW_ENDED && limit_ns &&
		    relay->now_ns - flow->active_ns >= limit_ns)
			flow_end(flow, FLOW_END_IDLE);
	}
}

/* Flows whose share of an earlier turn was used up. */
static void run_runnable(struct relay *relay)
{
	struct list *last = relay->runnable.previous;

	while (!list_empty(&relay->runnable)) {
		struct list *link = relay->runnable.next;
		bool was_last = link == last;

		splice_engine_run(list_entry(link, struct relay_flow, run_link));
		if (was_last)
			break;
	}
}

static void free_ended(struct relay *relay)
{
	while (!list_empty(&relay->ended))
		flow_free(list_entry(relay->ended.next, struct relay_flow, link));
}

static void turn(struct relay *relay)
{
	struct epoll_event events[EVENTS_PER_TURN];
	int count, timeout = list_empty(&relay->runnable) ? TURN_MS : 0;

	if (relay->listing)
		timeout = timeout ? 1 : 0;
	count = epoll_wait(relay->epoll, events, EVENTS_PER_TURN, timeout);
	read_clock(relay);
	heartbeat(relay);
	for (int i = 0; i < count; i++) {
		struct watch *watch = events[i].data.ptr;

		watch->ready(watch, events[i].events);
	}
	run_runnable(relay);
	continue_listing(relay);
	if (relay->now_ns >= relay->next_sweep_ns)
		sweep(relay);
	free_ended(relay);
}

static int watch_listeners(struct relay *relay)
{
	int result = 0;

	for (int i = 0; i < 2 && !result; i++) {
		struct relay_listener *listener = &relay->listeners[i];

		listener->relay = relay;
		listener->fd = relay->setup.listeners[i];
		listener->watch.ready = listener_ready;
		if (listener->fd >= 0)
			result = relay_watch(relay, listener->fd, EPOLLIN, &listener->watch);
	}
	return result;
}

/* Two descriptors a flow; what is left over is for pipes and everything else. */
static uint64_t flow_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur <= RESERVED_DESCRIPTORS)
		return 1;
	return (files.rlim_cur - RESERVED_DESCRIPTORS) / 2;
}

static int start(struct relay *relay)
{
	char error[160];
	int result;

	list_init(&relay->flows);
	list_init(&relay->runnable);
	list_init(&relay->ended);
	pipe_pool_init(&relay->pipes);
	relay->flow_limit = flow_limit();
	read_clock(relay);
	relay->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (relay->epoll < 0)
		return -errno;
	result = half_open_init(relay);
	if (result)
		return result;
	relay->ring = ring_buffer__new(relay->setup.ring_map, ring_sample, relay, NULL);
	if (!relay->ring)
		return -errno;
	relay->ring_watch.ready = ring_ready;
	result = relay_watch(relay, ring_buffer__epoll_fd(relay->ring), EPOLLIN,
			     &relay->ring_watch);
	relay->channel_watch.ready = channel_ready;
	result = result ?: relay_watch(relay, relay->setup.channel, EPOLLIN, &relay->channel_watch);
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
static void stop(struct relay *relay)
{
	__atomic_store_n(&relay->setup.state->heartbeat_ns, 0, __ATOMIC_RELAXED);
	ring_buffer__consume(relay->ring); /* SYNs taken until this moment */
	while (!list_empty(&relay->flows)) {
		struct relay_flow *flow = list_entry(relay->flows.next, struct relay_flow, link);

		half_open_let_go(flow);
		flow_end(flow, FLOW_END_SHUTDOWN);
	}
	free_ended(relay);
	pipe_pool_free(&relay->pipes);
	half_open_free(relay);
	ring_buffer__free(relay->ring);
}

int relay_run(const struct relay_setup *setup)
{
	struct channel_header ready = { .type = CHANNEL_READY };
	struct relay *relay = calloc(1, sizeof(*relay));
	int result;

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
	heartbeat(relay);
	send(setup->channel, &ready, sizeof(ready), MSG_NOSIGNAL);
	while (!relay->stopping)
		turn(relay);
	stop(relay);
	free(relay);
	return EXIT_SUCCESS;
}
