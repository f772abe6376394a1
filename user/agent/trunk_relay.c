// SPDX-License-Identifier: GPL-2.0
/* See trunk_relay.h. */
#include "trunk_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "kernel_engine.h"
#include "log.h"
#include "privileges.h"
#include "trunk_flow.h"

#define TURN_MS 1000
#define ACCEPTS_PER_TURN 128

struct listener {
	struct watch watch;
	struct trunk_relay *relay;
	int fd;
};

static void close_listeners(struct trunk_relay *relay)
{
	for (size_t i = 0; i < relay->setup.count; i++) {
		if (relay->listeners[i].fd >= 0)
			close(relay->listeners[i].fd);
		relay->listeners[i].fd = -1;
	}
}

/* True if there may be more. */
static bool accept_some(struct listener *listener)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return false;
		trunk_flow_begin(listener->relay, fd);
	}
	return true;
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct listener *listener = list_entry(watch, struct listener, watch);

	(void)events;
	if (listener->fd >= 0) /* closed earlier in this turn */
		accept_some(listener);
}

/* What waits is served: its gateways are past choosing another way. */
static void accept_all(struct trunk_relay *relay)
{
	for (size_t i = 0; i < relay->setup.count; i++)
		while (relay->listeners[i].fd >= 0 && accept_some(&relay->listeners[i]))
			;
}

static void channel_ready(struct watch *watch, uint32_t events)
{
	struct trunk_relay *relay = list_entry(watch, struct trunk_relay, channel_watch);
	char byte;
	ssize_t length = recv(relay->setup.channel, &byte, 1, MSG_DONTWAIT);

	(void)events;
	if (length < 0 && errno == EAGAIN)
		return;
	accept_all(relay);
	close_listeners(relay);
	relay->draining = true;
	if (length <= 0)
		relay->core.stopping = true;
}

static int watch_all(struct trunk_relay *relay)
{
	int result;

	relay->channel_watch.ready = channel_ready;
	result = relay_watch(&relay->core, relay->setup.channel, EPOLLIN, &relay->channel_watch);
	for (size_t i = 0; i < relay->setup.count && !result; i++) {
		struct listener *listener = &relay->listeners[i];

		listener->relay = relay;
		listener->fd = relay->setup.listeners[i];
		listener->watch.ready = listener_ready;
		result = relay_watch(&relay->core, listener->fd, EPOLLIN, &listener->watch);
	}
	return result;
}

static int start(struct trunk_relay *relay)
{
	char error[160];
	int result = relay_init(&relay->core, &trunk_front, &relay->counters);

	relay->listeners = calloc(relay->setup.count, sizeof(*relay->listeners));
	if (!relay->listeners)
		return -ENOMEM;
	if (relay->setup.splice_maps.flows)
		result = result ?: kernel_engine_open(&relay->core, &relay->setup.splice_maps);
	result = result ?: watch_all(relay);
	if (result)
		return result;
	if (!relay->setup.user)
		return 0;
	result = privileges_drop(relay->setup.user, NULL, 0, error, sizeof(error));
	if (result)
		log_error("%s", error);
	return result;
}

static void stop(struct trunk_relay *relay)
{
	while (!list_empty(&relay->core.flows))
		flow_end(list_entry(relay->core.flows.next, struct relay_flow, link),
			 FLOW_END_SHUTDOWN);
	close_listeners(relay);
	relay_free(&relay->core);
	free(relay->listeners);
}

int trunk_relay_run(const struct trunk_relay_setup *setup)
{
	struct trunk_relay *relay = calloc(1, sizeof(*relay));
	int result;

	if (!relay)
		return EXIT_FAILURE;
	relay->setup = *setup;
	result = start(relay);
	if (result) {
		log_error("trunk end cannot start: %s", strerror(-result));
		return EXIT_FAILURE;
	}
	if (!child_bind_to_main(setup->main_pid))
		return EXIT_FAILURE;
	while (!relay->core.stopping && !(relay->draining && relay->core.flow_count == 0))
		relay_turn(&relay->core, TURN_MS, NULL);
	stop(relay);
	free(relay);
	return EXIT_SUCCESS;
}
