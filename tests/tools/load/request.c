/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests and answers: on connections that stay (request), on one each
 * (reconnect), or a single one before a long rest (idle).
 */
#include "endpoint.h"
#include "load.h"
#include "samples.h"
#include "wire.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

/* Connections of idle that are being made at once; more would overrun a backlog. */
#define IDLE_AT_ONCE 256

enum how { HOW_REQUEST, HOW_RECONNECT, HOW_IDLE };

struct caller {
	int fd;
	bool connected, ready; /* ready: the first answer has come */
	int64_t asked; /* ns: connect, or the request on its way */
	uint64_t received; /* of the answer */
};

struct calls {
	const struct settings *settings;
	enum how how;
	int epoll;
	struct sockaddr_storage address;
	socklen_t address_length;
	struct caller *callers;
	unsigned begun, ready; /* callers */
	bool counting, over;
	uint64_t answers, errors; /* while counting */
	struct samples connects, latencies;
	char *message; /* order and request */
	size_t message_size;
};

static void call(struct calls *calls, struct caller *caller)
{
	*caller = (struct caller){ .asked = clock_ns() };
	caller->fd = connection_start(&calls->address, calls->address_length,
				      calls->settings->congestion);
	if (caller->fd < 0)
		die("connecting");
	watch(calls->epoll, EPOLL_CTL_ADD, caller->fd, EPOLLOUT, caller);
}

/* A socket with an empty send buffer takes all of a request. */
static bool ask(struct calls *calls, struct caller *caller, bool first)
{
	const char *from = first ? calls->message : calls->message + sizeof(struct order);
	size_t size = first ? calls->message_size : calls->message_size - sizeof(struct order);

	caller->received = 0;
	return send(caller->fd, from, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool connected(struct calls *calls, struct caller *caller)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(caller->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error)
		return false;
	caller->connected = true;
	if (calls->counting)
		samples_add(&calls->connects, clock_ns() - caller->asked);
	if (calls->how == HOW_REQUEST)
		caller->asked = clock_ns();
	watch(calls->epoll, EPOLL_CTL_MOD, caller->fd, EPOLLIN, caller);
	return ask(calls, caller, true);
}

static void count_answer(struct calls *calls, struct caller *caller, int64_t now)
{
	if (calls->counting) {
		calls->answers++;
		samples_add(&calls->latencies, now - caller->asked);
	}
	if (!caller->ready) {
		caller->ready = true;
		calls->ready++;
	}
}

static void failed(struct calls *calls, struct caller *caller)
{
	bool ready = caller->ready;

	connection_reset(caller->fd);
	if (calls->how != HOW_RECONNECT)
		die("a connection that was to stay");
	calls->errors += calls->counting;
	call(calls, caller);
	caller->ready = ready;
}

static void answered(struct calls *calls, struct caller *caller)
{
	static char buffer[BUFFER_SIZE];
	uint64_t size = calls->settings->down;
	ssize_t count = recv(caller->fd, buffer, sizeof(buffer), 0);
	int64_t now;

	if (count < 0 && errno == EAGAIN)
		return;
	if (count < 0 || (!count && caller->received != size)) {
		failed(calls, caller);
		return;
	}
	caller->received += (uint64_t)count;
	if (calls->how == HOW_RECONNECT ? count > 0 : caller->received < size)
		return;
	now = clock_ns();
	if (calls->how == HOW_RECONNECT) {
		count_answer(calls, caller, now);
		close(caller->fd);
		call(calls, caller);
		caller->ready = true;
		return;
	}
	count_answer(calls, caller, now);
	if (calls->how == HOW_IDLE)
		return;
	caller->asked = now;
	if (!ask(calls, caller, false))
		failed(calls, caller);
}

static void turn(struct calls *calls, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(calls->epoll, events, EVENTS, timeout_ms);

	for (int i = 0; i < count; i++) {
		struct caller *caller = events[i].data.ptr;

		if (!caller->connected) {
			if (!connected(calls, caller))
				failed(calls, caller);
		} else {
			answered(calls, caller);
		}
	}
}

/* All callers have had their first answer. */
static void begin_all(struct calls *calls)
{
	unsigned wanted = calls->settings->connections;
	int64_t limit = clock_ns() + (int64_t)(calls->settings->limit * NS_PER_S);

	while (calls->ready < wanted) {
		while (calls->begun < wanted && calls->begun - calls->ready < IDLE_AT_ONCE)
			call(calls, &calls->callers[calls->begun++]);
		turn(calls, 100);
		if (clock_ns() > limit) {
			errno = ETIMEDOUT;
			die("first answers");
		}
	}
}

static void calls_init(struct calls *calls, const struct settings *settings, enum how how)
{
	struct order order = {
		.magic = ORDER_MAGIC,
		.kind = how == HOW_RECONNECT ? ORDER_ANSWER : ORDER_REPEAT,
		.up = settings->up,
		.down = settings->down,
	};

	if (!settings->up || !settings->down || settings->up > BUFFER_SIZE) {
		errno = EINVAL;
		die("sizes of request (at most 256 KiB) and answer");
	}
	*calls = (struct calls){ .settings = settings, .how = how };
	calls->address_length = address_read(&calls->address, settings->address, settings->port);
	calls->callers = calloc(settings->connections, sizeof(*calls->callers));
	calls->message_size = sizeof(order) + settings->up;
	calls->message = malloc(calls->message_size);
	calls->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!calls->callers || !calls->message || calls->epoll < 0)
		die("memory");
	memcpy(calls->message, &order, sizeof(order));
	memcpy(calls->message + sizeof(order), noise(), settings->up);
}

static void calls_free(struct calls *calls)
{
	for (unsigned i = 0; i < calls->begun; i++)
		connection_reset(calls->callers[i].fd);
	close(calls->epoll);
	samples_free(&calls->connects);
	samples_free(&calls->latencies);
	free(calls->callers);
	free(calls->message);
}

static int measure(const struct settings *settings, enum how how)
{
	struct calls calls;
	json_t *object;
	double cpu, seconds;
	int64_t start, end;

	calls_init(&calls, settings, how);
	begin_all(&calls);
	calls.counting = true;
	cpu = cpu_seconds();
	start = clock_ns();
	end = start + (int64_t)(settings->seconds * NS_PER_S);
	while (clock_ns() < end)
		turn(&calls, 10);
	seconds = (double)(clock_ns() - start) / NS_PER_S;
	object = json_pack("{s:f, s:I, s:I, s:f, s:o, s:o}", "seconds", seconds, "answers",
			   (json_int_t)calls.answers, "errors", (json_int_t)calls.errors, "cpu",
			   cpu_seconds() - cpu, "connect", samples_describe(&calls.connects),
			   "latency", samples_describe(&calls.latencies));
	if (!object || json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) < 0)
		die("printing the result");
	putchar('\n');
	json_decref(object);
	calls_free(&calls);
	return 0;
}

int request(const struct settings *settings)
{
	return measure(settings, HOW_REQUEST);
}

int reconnect(const struct settings *settings)
{
	return measure(settings, HOW_RECONNECT);
}

int idle(const struct settings *settings)
{
	struct settings small = *settings;
	struct calls calls;
	char end;

	small.up = small.down = 64;
	calls_init(&calls, &small, HOW_IDLE);
	begin_all(&calls);
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &end, 1) > 0)
		;
	calls_free(&calls);
	return 0;
}
