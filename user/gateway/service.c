// SPDX-License-Identifier: GPL-2.0
/* See service.h. */
#include "service.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "child.h"
#include "log.h"

#define LISTEN_BACKLOG 1024

/* So that a request and an answer of every connection fit into the channel. */
#define CHANNEL_BUFFER (4 << 20)

/* How long a child may take to stop: it has nothing to finish. */
#define STOP_TIMEOUT_US 1000000ULL

enum phase { PHASE_OFF, PHASE_DEAD, PHASE_STARTING, PHASE_SERVING };

/* A listening socket and where it listens. */
struct listener {
	int fd; /* -1: none */
	uint8_t address[16];
	uint16_t port; /* 0: none is wanted */
};

struct service {
	sd_event *event;
	const struct service_type *type;
	void *context; /* type's */
	struct listener listener, next_listener;
	enum phase phase;
	pid_t pid;
	int channel;
	sd_event_source *channel_source;
	sd_event_source *child_source;
	sd_event_source *restart_timer;
	struct child_restarts restarts;
	char message[]; /* type->message_max, and one more to tell a longer one */
};

static int start(struct service *service);

/* ---- the listening socket ---- */

/* now: the socket that listens there until the new one takes over. Of the same port,
 * "[::]" and one address of it could not listen side by side otherwise. */
static int open_listener(const uint8_t address[16], uint16_t port, const struct listener *now)
{
	struct sockaddr_storage sa;
	socklen_t length = endpoint_to_sockaddr(address, port, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, off = 0, result = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (now->fd >= 0 && now->port == port) {
		setsockopt(now->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	}
	/* "[::]" is for peers of both families, whatever the host's default is. */
	if (sa.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&sa, length) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		result = -errno;
	if (!result)
		return fd;
	close(fd);
	return result;
}

static void close_listener(struct listener *listener)
{
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
}

/* The socket that is open is the one that the next configuration wants. */
static bool same_listener(const struct service *service)
{
	const struct listener *now = &service->listener, *next = &service->next_listener;

	return now->port == next->port && memcmp(now->address, next->address, 16) == 0;
}

int service_listen(struct service *service, const uint8_t address[16], uint16_t port, char *error)
{
	struct listener *next = &service->next_listener;
	char endpoint[ENDPOINT_TEXT_MAX];
	int fd;

	close_listener(next);
	memcpy(next->address, address, 16);
	next->port = port;
	if (port == 0 || same_listener(service))
		return 0;
	fd = open_listener(address, port, &service->listener);
	if (fd < 0) {
		snprintf(error, SERVICE_ERROR_MAX, "%s cannot listen on %s: %s",
			 service->type->name, endpoint_format(address, port, endpoint),
			 strerror(-fd));
		return fd;
	}
	next->fd = fd;
	return 0;
}

void service_listen_cancel(struct service *service)
{
	close_listener(&service->next_listener);
}

/* ---- the process ---- */

static int open_channel(int channel[2])
{
	int size = CHANNEL_BUFFER, result;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		if (setsockopt(channel[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == 0)
			continue;
		result = -errno;
		close(channel[0]);
		close(channel[1]);
		return result;
	}
	return 0;
}

static int spawn(struct service *service)
{
	int channel[2], result = open_channel(channel);
	pid_t pid;

	if (result)
		return result;
	pid = service->type->fork(service->context, service->listener.fd, channel[1]);
	close(channel[1]);
	if (pid < 0) {
		close(channel[0]);
		return pid;
	}
	service->pid = pid;
	service->channel = channel[0];
	return 0;
}

static int on_restart(sd_event_source *source, uint64_t us, void *context)
{
	struct service *service = context;

	(void)source;
	(void)us;
	service->restart_timer = sd_event_source_disable_unref(service->restart_timer);
	start(service);
	return 0;
}

static void schedule_restart(struct service *service)
{
	int result = sd_event_add_time_relative(service->event, &service->restart_timer,
						CLOCK_MONOTONIC,
						child_restart_delay(&service->restarts), 0,
						on_restart, service);

	if (result < 0)
		log_error("%s stays down: %s", service->type->name, strerror(-result));
}

static void forget(struct service *service)
{
	service->phase = PHASE_DEAD;
	service->pid = 0;
	service->channel_source = sd_event_source_disable_unref(service->channel_source);
	service->child_source = sd_event_source_disable_unref(service->child_source);
	if (service->channel >= 0)
		close(service->channel);
	service->channel = -1;
	service->type->gone(service->context);
}

static int on_death(sd_event_source *source, const siginfo_t *info, void *context)
{
	struct service *service = context;

	(void)source;
	child_log_death(service->type->name, service->pid, info, service->type->lost);
	service->restarts.count++;
	forget(service);
	schedule_restart(service);
	return 0;
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct service *service = context;
	size_t most = service->type->message_max;
	ssize_t length = recv(fd, service->message, most + 1, MSG_DONTWAIT);
	const char *why;

	(void)events;
	if (length == 0) /* closed: the child source says how it ended */
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (length <= 0)
		return 0;
	why = (size_t)length > most ? "it sent a malformed message"
				    : service->type->message(service, service->context,
							     service->message, (size_t)length);
	if (!why)
		return 0;
	log_error("killing the %s: %s", service->type->name, why);
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	kill(service->pid, SIGKILL);
	return 0;
}

static int start(struct service *service)
{
	int result;

	service->restarts.started_us = child_now_us();
	result = spawn(service);
	if (result) {
		log_error("%s cannot be started: %s", service->type->name, strerror(-result));
		schedule_restart(service);
		return result;
	}
	service->phase = PHASE_STARTING;
	result = sd_event_add_child(service->event, &service->child_source, service->pid, WEXITED,
				    on_death, service);
	if (result >= 0)
		result = sd_event_add_io(service->event, &service->channel_source, service->channel,
					 EPOLLIN, on_message, service);
	if (result < 0)
		log_error("%s: %s", service->type->name, strerror(-result));
	return result < 0 ? result : 0;
}

static void stop(struct service *service)
{
	pid_t pid = service->pid;

	service->restart_timer = sd_event_source_disable_unref(service->restart_timer);
	forget(service); /* which closes the channel, and so tells it */
	if (pid)
		child_reap(service->type->name, pid, child_now_us() + STOP_TIMEOUT_US);
	service->phase = PHASE_OFF;
}

/* ---- from outside ---- */

int service_new(sd_event *event, const struct service_type *type, void *context,
		struct service **service)
{
	struct service *new = calloc(1, sizeof(*new) + type->message_max + 1);

	*service = new;
	if (!new)
		return -ENOMEM;
	new->event = event;
	new->type = type;
	new->context = context;
	new->channel = new->listener.fd = new->next_listener.fd = -1;
	return 0;
}

void service_free(struct service *service)
{
	if (!service)
		return;
	stop(service);
	close_listener(&service->listener);
	close_listener(&service->next_listener);
	free(service);
}

void service_apply(struct service *service, bool same)
{
	if (same_listener(service) && same && service->phase != PHASE_OFF)
		return;
	stop(service);
	if (!same_listener(service)) {
		close_listener(&service->listener);
		service->listener = service->next_listener;
		service->next_listener.fd = -1;
	}
	if (service->listener.fd >= 0)
		start(service);
}

void service_serves(struct service *service)
{
	service->phase = PHASE_SERVING;
	log_debug("%s serves (pid %d)", service->type->name, (int)service->pid);
}

int service_send(const struct service *service, const void *message, size_t length)
{
	return send(service->channel, message, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno
											: 0;
}

void service_hear(struct service *service, bool hear)
{
	if (service->channel_source)
		sd_event_source_set_enabled(service->channel_source,
					    hear ? SD_EVENT_ON : SD_EVENT_OFF);
}

struct service_report service_report(const struct service *service)
{
	static const char *const states[] = { "off", "dead", "starting", "serving" };

	return (struct service_report){ .pid = service->pid,
					.state = states[service->phase],
					.restarts = service->restarts.count };
}
