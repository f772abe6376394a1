/* SPDX-License-Identifier: GPL-2.0 */
/* The server: every connection begins with an order that says what to do on it. */
#include "bins.h"
#include "endpoint.h"
#include "load.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define BACKLOG 4096

struct session {
	int fd;
	uint32_t ordered; /* bytes of the order that have arrived */
	struct order order;
	uint64_t received; /* since the order, or the last answer */
	uint64_t unsent; /* of the answer */
	bool ended; /* the client has sent its FIN */
	bool last; /* a FIN follows what is unsent */
	uint32_t watched; /* events that epoll reports */
	struct bins *bins; /* of an upload */
	char *report; /* sent when all else has been; reported bytes of it have */
	size_t report_size, reported;
};

static char scrap[BUFFER_SIZE];

static void session_end(struct session *session)
{
	close(session->fd);
	free(session->bins);
	free(session->report);
	free(session);
}

static void prepare_report(struct session *session)
{
	uint32_t bins = session->bins ? session->bins->count : 0;
	struct report report = { session->received, bins, ORDER_MAGIC };

	session->report_size = sizeof(report) + bins * sizeof(uint64_t);
	session->report = malloc(session->report_size);
	if (!session->report)
		die("memory");
	memcpy(session->report, &report, sizeof(report));
	if (bins)
		memcpy(session->report + sizeof(report), session->bins->bytes,
		       bins * sizeof(uint64_t));
	session->unsent = 0;
	session->last = true;
}

/* What follows from what has been received so far. */
static void advance(struct session *session)
{
	const struct order *order = &session->order;
	bool complete = session->received >= order->up;

	if (session->last || session->ordered < sizeof(*order))
		return;
	switch (order->kind) {
	case ORDER_ANSWER:
		if (complete) {
			session->unsent = order->down;
			session->last = true;
		}
		break;
	case ORDER_REPEAT:
		if (complete && !session->ended) {
			session->unsent += order->down;
			session->received -= order->up;
		}
		session->last = session->ended;
		break;
	case ORDER_UPLOAD:
		if (complete || session->ended)
			prepare_report(session);
		break;
	default:
		session->unsent = UINT64_MAX;
		if (session->ended)
			prepare_report(session);
	}
}

static bool begin(struct session *session)
{
	if (session->order.magic != ORDER_MAGIC || session->order.kind > ORDER_DUPLEX)
		return false;
	if (session->order.kind == ORDER_UPLOAD) {
		session->bins = calloc(1, sizeof(*session->bins));
		if (!session->bins)
			die("memory");
	}
	return true;
}

/* 1: something was received, 0: nothing is there, -1: the connection is over. */
static int take(struct session *session)
{
	bool ordering = session->ordered < sizeof(session->order);
	ssize_t count;

	if (ordering)
		count = recv(session->fd, (char *)&session->order + session->ordered,
			     sizeof(session->order) - session->ordered, 0);
	else
		count = recv(session->fd, scrap, sizeof(scrap), 0);
	if (count < 0)
		return errno == EAGAIN ? 0 : -1;
	if (!count) {
		session->ended = true;
		advance(session);
		return ordering ? -1 : 0;
	}
	if (ordering) {
		session->ordered += (uint32_t)count;
		if (session->ordered == sizeof(session->order) && !begin(session))
			return -1;
	} else {
		session->received += (uint64_t)count;
		if (session->bins)
			bins_add(session->bins, session->order.start, clock_ns(), (uint64_t)count);
	}
	advance(session);
	return 1;
}

/* 1: all is sent, 0: the socket is full, -1: the connection is over. */
static int give(struct session *session)
{
	while (session->unsent) {
		size_t size = session->unsent < BUFFER_SIZE ? session->unsent : BUFFER_SIZE;
		ssize_t count = send(session->fd, noise(), size, MSG_NOSIGNAL);

		if (count < 0)
			return errno == EAGAIN ? 0 : -1;
		if (session->order.kind != ORDER_DUPLEX)
			session->unsent -= (uint64_t)count;
		else if (count > 0)
			return 0; /* without end: others have their turn */
	}
	while (session->reported < session->report_size) {
		ssize_t count = send(session->fd, session->report + session->reported,
				     session->report_size - session->reported, MSG_NOSIGNAL);

		if (count < 0)
			return errno == EAGAIN ? 0 : -1;
		session->reported += (size_t)count;
	}
	return session->last ? -1 : 1;
}

static void serve_session(int epoll, struct session *session, uint32_t events)
{
	uint32_t wanted = EPOLLIN;
	int got, gave;

	if (events & (EPOLLERR | EPOLLHUP)) {
		session_end(session);
		return;
	}
	/* a turn of bounded length, as others wait */
	for (unsigned turn = 0; turn < 4 && !session->ended; turn++) {
		got = take(session);
		if (got < 0) {
			session_end(session);
			return;
		}
		if (!got)
			break;
	}
	gave = give(session);
	if (gave < 0) {
		session_end(session);
		return;
	}
	if (!gave)
		wanted |= EPOLLOUT;
	if (session->ended)
		wanted &= ~(uint32_t)EPOLLIN;
	if (wanted != session->watched)
		watch(epoll, EPOLL_CTL_MOD, session->fd, wanted, session);
	session->watched = wanted;
}

static void accept_all(int epoll, int listener)
{
	for (;;) {
		struct session *session;
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		session = calloc(1, sizeof(*session));
		if (!session)
			die("memory");
		session->fd = fd;
		session->watched = EPOLLIN;
		watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, session);
	}
}

static int listener_make(const struct settings *settings)
{
	int fd = socket_make(AF_INET6, settings->congestion);
	struct sockaddr_storage any;
	socklen_t length = address_read(&any, "::", settings->port);
	int on = 1, off = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, length) < 0 || listen(fd, BACKLOG) < 0)
		die("listening");
	return fd;
}

int serve(const struct settings *settings)
{
	int listener = listener_make(settings);
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		die("epoll");
	watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				serve_session(epoll, events[i].data.ptr, events[i].events);
			else
				accept_all(epoll, listener);
		}
	}
}
