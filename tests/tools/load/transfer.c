/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bulk: bytes up, down, or both ways. What counts is when the receiver has them,
 * so the server reports uploads; what a gateway still holds has not arrived.
 */
#include "bins.h"
#include "endpoint.h"
#include "load.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 64

struct flow {
	int fd;
	struct order order;
	uint64_t ordered; /* bytes of the order that are sent */
	uint64_t sent, received; /* payload */
	int64_t connected, first_byte, done; /* ns, 0: not yet */
	bool shut; /* nothing more will be sent */
	bool failed;
	uint64_t arrived_up; /* as the server reported, within the time if there is one */
	/* the last bytes that have arrived: a report, unless it is a download */
	char tail[sizeof(struct report) + BINS_MAX * sizeof(uint64_t)];
	size_t tail_size;
};

struct transfer {
	const struct settings *settings;
	int epoll;
	int64_t start, stop_sending; /* ns; stop_sending INT64_MAX: when the bytes are sent */
	unsigned running;
	struct flow *flows;
	struct bins bins; /* of all flows */
};

static bool downloads(const struct flow *flow)
{
	return flow->order.kind == ORDER_ANSWER;
}

static void finish(struct transfer *transfer, struct flow *flow)
{
	connection_reset(flow->fd);
	flow->fd = -1;
	transfer->running--;
}

static void take_report(struct transfer *transfer, struct flow *flow)
{
	struct report report;
	const char *at = flow->tail;
	uint64_t *bytes;
	uint32_t within;

	if (flow->order.kind == ORDER_DUPLEX && flow->tail_size > sizeof(report))
		at += flow->tail_size - sizeof(report);
	if (flow->tail_size < sizeof(report)) {
		flow->failed = true;
		return;
	}
	memcpy(&report, at, sizeof(report));
	if (report.magic != ORDER_MAGIC || report.bins > BINS_MAX ||
	    flow->tail_size < sizeof(report) + report.bins * sizeof(*bytes)) {
		flow->failed = true;
		return;
	}
	flow->arrived_up = report.received;
	if (!report.bins)
		return;
	bytes = (uint64_t *)(void *)(flow->tail + sizeof(report));
	bins_merge(&transfer->bins, bytes, report.bins);
	if (transfer->stop_sending == INT64_MAX)
		return;
	within = (uint32_t)((transfer->stop_sending - transfer->start) / BIN_NS);
	flow->arrived_up = 0;
	for (uint32_t i = 0; i < report.bins && i < within; i++)
		flow->arrived_up += bytes[i];
}

/* Keeps the end of what has arrived. */
static void keep_tail(struct flow *flow, const char *part, size_t size)
{
	size_t keep = flow->order.kind == ORDER_DUPLEX ? sizeof(struct report) : sizeof(flow->tail);

	if (size >= keep) {
		memcpy(flow->tail, part + size - keep, keep);
		flow->tail_size = keep;
		return;
	}
	if (flow->tail_size + size > keep) {
		size_t drop = flow->tail_size + size - keep;

		memmove(flow->tail, flow->tail + drop, flow->tail_size - drop);
		flow->tail_size -= drop;
	}
	memcpy(flow->tail + flow->tail_size, part, size);
	flow->tail_size += size;
}

/* False when the flow is over. */
static bool flow_receive(struct transfer *transfer, struct flow *flow)
{
	static char buffer[BUFFER_SIZE];

	for (unsigned turn = 0; turn < 4; turn++) {
		ssize_t count = recv(flow->fd, buffer, sizeof(buffer), 0);
		int64_t now = clock_ns();

		if (count < 0) {
			if (errno == EAGAIN)
				return true;
			flow->failed = true;
			return false;
		}
		if (!flow->first_byte)
			flow->first_byte = now;
		if (!count) {
			if (!downloads(flow))
				take_report(transfer, flow);
			flow->failed |= downloads(flow) && flow->received < flow->order.down;
			flow->done = flow->done ? flow->done : now;
			return false;
		}
		flow->received += (uint64_t)count;
		if (downloads(flow)) {
			bins_add(&transfer->bins, transfer->start, now, (uint64_t)count);
			if (flow->received >= flow->order.down)
				flow->done = now;
		} else {
			if (flow->order.kind == ORDER_UPLOAD && !flow->done)
				flow->done = now;
			keep_tail(flow, buffer, (size_t)count);
		}
	}
	return true;
}

/* False when the flow is over. */
static bool flow_send(struct transfer *transfer, struct flow *flow)
{
	ssize_t count;

	while (flow->ordered < sizeof(flow->order)) {
		count = send(flow->fd, (char *)&flow->order + flow->ordered,
			     sizeof(flow->order) - flow->ordered, MSG_NOSIGNAL);
		if (count < 0)
			goto failed;
		flow->ordered += (uint64_t)count;
	}
	for (unsigned turn = 0; turn < 4; turn++) {
		uint64_t left = flow->order.up - flow->sent;

		if (!left || clock_ns() >= transfer->stop_sending) {
			if (!flow->shut && flow->order.kind != ORDER_ANSWER)
				shutdown(flow->fd, SHUT_WR);
			flow->shut = true;
			watch(transfer->epoll, EPOLL_CTL_MOD, flow->fd, EPOLLIN, flow);
			return true;
		}
		count = send(flow->fd, noise(), left < BUFFER_SIZE ? left : BUFFER_SIZE,
			     MSG_NOSIGNAL);
		if (count < 0)
			goto failed;
		flow->sent += (uint64_t)count;
	}
	return true;

failed:
	if (errno == EAGAIN)
		return true;
	flow->failed = true;
	return false;
}

static bool flow_go_on(struct transfer *transfer, struct flow *flow, uint32_t events)
{
	if (!flow->connected) {
		int error = 0;
		socklen_t length = sizeof(error);

		getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error) {
			flow->failed = true;
			return false;
		}
		flow->connected = clock_ns();
	}
	if (!flow->shut && events & EPOLLOUT && !flow_send(transfer, flow))
		return false;
	return !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || flow_receive(transfer, flow);
}

static void order_flow(struct transfer *transfer, struct order *order, uint64_t up, uint64_t down)
{
	bool endless = transfer->stop_sending != INT64_MAX;

	*order = (struct order){ .magic = ORDER_MAGIC, .start = transfer->start };
	order->kind = up && down ? ORDER_DUPLEX : up ? ORDER_UPLOAD : ORDER_ANSWER;
	order->up = up && endless ? UINT64_MAX : up;
	order->down = down && endless ? UINT64_MAX : down;
}

static void start_flows(struct transfer *transfer)
{
	const struct settings *settings = transfer->settings;
	struct sockaddr_storage address;
	socklen_t length = address_read(&address, settings->address, settings->port);

	unsigned share = transfer->stop_sending == INT64_MAX ? settings->connections : 1;

	for (unsigned i = 0; i < settings->connections; i++) {
		struct flow *flow = &transfer->flows[i];

		order_flow(transfer, &flow->order, settings->up / share, settings->down / share);
		flow->fd = connection_start(&address, length, settings->congestion);
		if (flow->fd < 0)
			die("connecting");
		watch(transfer->epoll, EPOLL_CTL_ADD, flow->fd, EPOLLIN | EPOLLOUT, flow);
		transfer->running++;
	}
}

/* Downloads without end are over for all at once. */
static void stop_downloads(struct transfer *transfer, int64_t now)
{
	for (unsigned i = 0; i < transfer->settings->connections; i++) {
		struct flow *flow = &transfer->flows[i];

		if (flow->fd >= 0 && downloads(flow)) {
			flow->done = now;
			finish(transfer, flow);
		}
	}
}

static void carry(struct transfer *transfer)
{
	int64_t limit = transfer->start + (int64_t)(transfer->settings->limit * NS_PER_S);

	while (transfer->running) {
		struct epoll_event events[EVENTS];
		int64_t now = clock_ns();
		int64_t until = limit < transfer->stop_sending ? limit : transfer->stop_sending;
		int count;

		if (now >= limit)
			break;
		if (now >= transfer->stop_sending) { /* uploads still have their report to come */
			stop_downloads(transfer, now);
			if (!transfer->running)
				break;
			until = limit;
		}
		count = epoll_wait(transfer->epoll, events, EVENTS,
				   (int)((until - now) / 1000000) + 1);
		for (int i = 0; i < count; i++) {
			struct flow *flow = events[i].data.ptr;

			if (flow->fd >= 0 && !flow_go_on(transfer, flow, events[i].events))
				finish(transfer, flow);
		}
	}
}

static json_t *since(const struct transfer *transfer, int64_t when)
{
	return when ? json_real((double)(when - transfer->start) / 1e9) : json_null();
}

static int print(struct transfer *transfer)
{
	json_t *flows = json_array(), *series = json_array(), *object;
	int64_t end = transfer->start;
	bool stopped = false, failed = false;
	uint64_t up = 0, down = 0;

	for (unsigned i = 0; i < transfer->settings->connections; i++) {
		struct flow *flow = &transfer->flows[i];
		uint64_t got = flow->order.down ? flow->received : 0;

		stopped |= flow->fd >= 0;
		failed |= flow->failed;
		if (flow->done > end)
			end = flow->done;
		up += flow->arrived_up;
		down += got;
		json_array_append_new(flows,
				      json_pack("{s:o, s:o, s:o, s:I, s:I}", "connect",
						since(transfer, flow->connected), "first_byte",
						since(transfer, flow->first_byte), "seconds",
						since(transfer, flow->done), "up",
						(json_int_t)flow->arrived_up, "down",
						(json_int_t)got));
	}
	if (stopped)
		end = transfer->start + (int64_t)(transfer->settings->limit * NS_PER_S);
	for (uint32_t i = 0; i < transfer->bins.count; i++)
		json_array_append_new(series, json_integer((json_int_t)transfer->bins.bytes[i]));
	object = json_pack("{s:o, s:b, s:b, s:I, s:I, s:f, s:o, s:{s:f, s:o}}", "seconds",
			   since(transfer, end), "stopped", stopped, "failed", failed, "up",
			   (json_int_t)up, "down", (json_int_t)down, "cpu", cpu_seconds(), "flows",
			   flows, "series", "interval", BIN_NS / 1e9, "bytes", series);
	if (!object || json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) < 0)
		die("printing the result");
	putchar('\n');
	json_decref(object);
	return failed ? 1 : 0;
}

int transfer(const struct settings *settings)
{
	struct transfer *transfer = calloc(1, sizeof(*transfer));
	int status;

	if (!transfer)
		die("memory");
	transfer->settings = settings;
	transfer->flows = calloc(settings->connections, sizeof(*transfer->flows));
	transfer->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!transfer->flows || transfer->epoll < 0)
		die("memory");
	transfer->start = clock_ns();
	transfer->stop_sending = INT64_MAX;
	if (settings->seconds > 0)
		transfer->stop_sending = transfer->start + (int64_t)(settings->seconds * NS_PER_S);
	start_flows(transfer);
	carry(transfer);
	status = print(transfer);
	for (unsigned i = 0; i < settings->connections; i++) {
		if (transfer->flows[i].fd >= 0)
			connection_reset(transfer->flows[i].fd);
	}
	close(transfer->epoll);
	free(transfer->flows);
	free(transfer);
	return status;
}
