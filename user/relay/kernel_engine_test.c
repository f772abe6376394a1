// SPDX-License-Identifier: GPL-2.0
/* See kernel_engine_test.h. */
#include "kernel_engine_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kernel_engine.h"
#include "socket_option.h"

/* Small, so that little memory is needed to use it up. */
#define BUDGET (128U << 10)

/* More than the budget and all buffers on the way hold. */
#define FLOOD_BYTES (2U << 20)

/* All buffers but the legs' send buffers, before the kernel doubles them. */
#define BUFFER (64 << 10)

/* A step that takes longer has failed; a busy machine is given time. */
#define STEP_NS 2000000000ULL

/* What a reader that is stuck is given until nothing moves any more. */
#define STILL_MS 20

struct end {
	int fd;
	uint64_t sent; /* bytes, whose values follow from their place */
	uint64_t received;
	bool ended; /* a FIN was read behind them */
};

struct trial {
	struct relay relay;
	struct relay_counters counters;
	struct relay_flow flow;
	bool flow_is_over;
	struct end client, server;
	const char *step; /* for the text: what failed */
	uint64_t deadline_ns;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void begin(struct trial *trial, const char *step)
{
	trial->step = step;
	trial->deadline_ns = now_ns() + STEP_NS;
}

static int late(const struct trial *trial)
{
	return now_ns() > trial->deadline_ns ? -ETIMEDOUT : 0;
}

static char value_at(uint64_t place)
{
	return (char)(place * 7 + (place >> 8) * 13);
}

/* Sends as much as is taken now, up to this place of the stream. */
static int push(struct end *end, uint64_t until)
{
	static char bytes[65536];

	while (end->sent < until) {
		size_t count = until - end->sent < sizeof(bytes) ? until - end->sent
								 : sizeof(bytes);
		ssize_t sent;

		for (size_t i = 0; i < count; i++)
			bytes[i] = value_at(end->sent + i);
		sent = send(end->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		end->sent += (uint64_t)sent;
	}
	return 0;
}

/* Reads what is there and compares it with what was sent. */
static int pull(struct end *end)
{
	static char bytes[65536];
	ssize_t got;

	while ((got = recv(end->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		for (ssize_t i = 0; i < got; i++)
			if (bytes[i] != value_at(end->received + (uint64_t)i))
				return -EILSEQ;
		end->received += (uint64_t)got;
	}
	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	end->ended = true;
	return 0;
}

/* Waits for bytes without giving the relay a turn: the kernel has to bring them. */
static int expect_without_relay(struct trial *trial, struct end *end, uint64_t count)
{
	int result = 0;

	while (!result && end->received < count) {
		struct pollfd readable = { .fd = end->fd, .events = POLLIN };

		poll(&readable, 1, 100);
		result = pull(end);
		result = result ?: late(trial);
	}
	return result;
}

/* With the relay's help: this end gets all that the other has sent. */
static int expect(struct trial *trial, struct end *end, const struct end *other)
{
	int result = 0;

	while (!result && end->received < other->sent) {
		relay_turn(&trial->relay, 1, NULL);
		result = pull(end);
		result = result ?: late(trial);
	}
	return result;
}

static int expect_end(struct trial *trial, struct end *end)
{
	int result = 0;

	while (!result && !end->ended) {
		relay_turn(&trial->relay, 1, NULL);
		result = pull(end);
		result = result ?: late(trial);
	}
	return result;
}

/* Bytes that came before the kernel had the flow. */
static int try_early_bytes(struct trial *trial)
{
	begin(trial, "bytes that come before the flow is joined");
	trial->flow.engine = ENGINE_KERNEL;
	trial->flow.budget = BUDGET;
	engine_join(&trial->flow);
	if (!trial->flow.up.shared || !trial->flow.client.in_kernel ||
	    !trial->flow.remote.in_kernel)
		return -EOPNOTSUPP;
	return expect(trial, &trial->server, &trial->client);
}

static int try_redirect(struct trial *trial)
{
	int result;

	begin(trial, "redirect between two sockets");
	result = push(&trial->client, trial->client.sent + 1000);
	result = result ?: expect_without_relay(trial, &trial->server, trial->client.sent);
	result = result ?: push(&trial->server, 1000);
	result = result ?: expect_without_relay(trial, &trial->client, trial->server.sent);
	engine_look(&trial->flow);
	if (!result &&
	    (trial->flow.up.kernel_bytes != 1000 || trial->flow.down.kernel_bytes != 1000))
		result = -EPROTO;
	return result;
}

/* The reader reads nothing: the sender has to be stopped, then nothing lost. */
static int try_credit(struct trial *trial)
{
	uint64_t still_since = 0, sent;
	int result = 0;

	begin(trial, "holding back a sender whose reader stops");
	while (!result && now_ns() - still_since < STILL_MS * 1000000ULL) {
		sent = trial->client.sent;
		result = push(&trial->client, FLOOD_BYTES);
		relay_turn(&trial->relay, 1, NULL);
		if (trial->client.sent != sent || !still_since)
			still_since = now_ns();
		result = result ?: late(trial);
	}
	if (!result &&
	    (trial->client.sent == FLOOD_BYTES || trial->flow.up.kernel_bytes > BUDGET + 1000))
		result = -ENOBUFS;
	begin(trial, "order of what was held back");
	while (!result && trial->client.sent < FLOOD_BYTES) {
		result = push(&trial->client, FLOOD_BYTES);
		result = result ?: expect(trial, &trial->server, &trial->client);
	}
	return result ?: expect(trial, &trial->server, &trial->client);
}

/* Each side finishes while the other direction has a backlog. */
static int try_close(struct trial *trial)
{
	int result;

	begin(trial, "the end of the streams");
	result = push(&trial->server, trial->server.sent + BUDGET);
	if (!result && shutdown(trial->client.fd, SHUT_WR) < 0)
		result = -errno;
	result = result ?: expect_end(trial, &trial->server);
	if (!result && shutdown(trial->server.fd, SHUT_WR) < 0)
		result = -errno;
	result = result ?: expect_end(trial, &trial->client);
	if (!result && trial->client.received != trial->server.sent)
		result = -EPIPE;
	while (!result && !trial->flow_is_over) {
		relay_turn(&trial->relay, 1, NULL);
		result = late(trial);
	}
	if (!result && trial->flow.end != FLOW_END_CLOSED)
		result = -ECONNRESET;
	return result;
}

static void no_progress(struct relay_flow *flow)
{
	(void)flow;
}

static void over(struct relay_flow *flow)
{
	list_entry(flow, struct trial, flow)->flow_is_over = true;
}

/* A connection over loopback: both its ends. */
static int connect_ends(int listener, const struct sockaddr_in *address, int *here, int *there)
{
	*here = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*here < 0)
		return -errno;
	if (socket_set_int(*here, SOL_SOCKET, SO_SNDBUF, BUFFER) ||
	    socket_set_int(*here, SOL_SOCKET, SO_RCVBUF, BUFFER) ||
	    connect(*here, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -errno;
	*there = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return *there < 0 ? -errno : 0;
}

static int add_leg(struct leg *leg, int fd)
{
	int result = leg_set_options(fd);

	result = result ?: socket_set_int(fd, SOL_SOCKET, SO_RCVBUF, BUFFER);
	return result ?: leg_open(leg, fd);
}

/* Client and server, and between them the flow's legs, with bytes waiting. */
static int connect_all(struct trial *trial)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client_leg = -1, server_leg = -1, result;

	begin(trial, "connecting over loopback (is lo up?)");
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) < 0 ||
	    listen(listener, 2) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &length) < 0)
		result = -errno;
	else
		result = connect_ends(listener, &address, &trial->client.fd, &client_leg);
	result = result ?: connect_ends(listener, &address, &trial->server.fd, &server_leg);
	result = result ?: push(&trial->client, 5000);
	if (client_leg >= 0)
		result = result ?: add_leg(&trial->flow.client, client_leg);
	if (server_leg >= 0)
		result = result ?: add_leg(&trial->flow.remote, server_leg);
	if (listener >= 0)
		close(listener);
	return result;
}

static int run(struct trial *trial)
{
	struct splice_maps maps;
	int result;

	begin(trial, "loading the program (CONFIG_BPF_STREAM_PARSER? BTF?)");
	result = splice_program_load(1, &maps);
	if (result)
		return result;
	result = kernel_engine_open(&trial->relay, &maps);
	result = result ?: connect_all(trial);
	result = result ?: try_early_bytes(trial);
	result = result ?: try_redirect(trial);
	result = result ?: try_credit(trial);
	return result ?: try_close(trial);
}

int kernel_engine_test(char *text)
{
	static const struct relay_front front = {
		.progress = no_progress, .check = no_progress, .ended = over, .free = no_progress
	};
	struct trial *trial = calloc(1, sizeof(*trial));
	const char *wish = getenv("SLUICE_SELF_TEST");
	uint64_t start_ns = now_ns();
	int result;

	if (wish && strcmp(wish, "fail") == 0) {
		free(trial);
		snprintf(text, KERNEL_ENGINE_TEST_TEXT_MAX, "SLUICE_SELF_TEST=fail is set");
		return -ECANCELED;
	}
	if (!trial) {
		snprintf(text, KERNEL_ENGINE_TEST_TEXT_MAX, "out of memory");
		return -ENOMEM;
	}
	trial->client.fd = trial->server.fd = -1;
	begin(trial, "making a relay");
	result = relay_init(&trial->relay, &front, &trial->counters);
	if (!result) {
		flow_init(&trial->flow, &trial->relay);
		result = run(trial);
		flow_end(&trial->flow, FLOW_END_SHUTDOWN);
		relay_free(&trial->relay);
	}
	if (result)
		snprintf(text, KERNEL_ENGINE_TEST_TEXT_MAX, "self-test failed: %s: %s", trial->step,
			 strerror(-result));
	else
		snprintf(text, KERNEL_ENGINE_TEST_TEXT_MAX, "self-test passed in %llu ms",
			 (unsigned long long)(now_ns() - start_ns) / 1000000);
	if (trial->client.fd >= 0)
		close(trial->client.fd);
	if (trial->server.fd >= 0)
		close(trial->server.fd);
	free(trial);
	return result;
}
