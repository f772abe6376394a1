// SPDX-License-Identifier: GPL-2.0
/* See kernel_engine.h. */
#include "kernel_engine.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/socket.h>

#include "kernel_slots.h"
#include "socket_option.h"

/* Passed bytes that are read at once. */
#define COPY_BYTES (256 * 1024)

/* How often the numbers of a socket are read until they fit together. */
#define SENT_TRIES 100

int kernel_engine_open(struct relay *relay, const struct splice_maps *maps)
{
	return kernel_slots_open(relay, maps, &relay->kernel);
}

void kernel_engine_close(struct relay *relay)
{
	kernel_slots_close(relay->kernel);
	relay->kernel = NULL;
}

static int read_info(const struct leg *leg, struct tcp_info *info)
{
	socklen_t length = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return getsockopt(leg->fd, IPPROTO_TCP, TCP_INFO, info, &length) < 0 ? -errno : 0;
}

/*
 * Bytes that the leg was given to send, give or take a constant. What is
 * acknowledged is read before what is queued: an acknowledgement in between makes
 * the sum too small, never too large.
 */
static int read_sent(const struct leg *leg, uint64_t *sent)
{
	struct tcp_info info;
	int queued = 0, result = read_info(leg, &info);

	if (!result && ioctl(leg->fd, SIOCOUTQ, &queued) < 0)
		result = -errno;
	*sent = info.tcpi_bytes_acked + (uint64_t)queued;
	return result;
}

/* The same while nothing is sent, and exact: read again until nothing was
 * acknowledged in between. */
static int read_sent_exactly(const struct leg *leg, uint64_t *sent)
{
	struct tcp_info before, after;

	for (int i = 0; i < SENT_TRIES; i++) {
		int result = read_info(leg, &before);

		result = result ?: read_sent(leg, sent);
		result = result ?: read_info(leg, &after);
		if (result)
			return result;
		if (before.tcpi_bytes_acked == after.tcpi_bytes_acked)
			return 0;
	}
	return -EAGAIN;
}

static uint32_t send_buffer(const struct leg *leg)
{
	uint32_t size = 0;
	socklen_t length = sizeof(size);

	return getsockopt(leg->fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0 ? 0 : size;
}

/* The kernel's worker stalls for a jiffy when the send queue fills half of the
 * buffer, so this holds twice the budget (the kernel doubles what it is given), or
 * the budget is what fits. Without CAP_NET_ADMIN the buffer is left as it is: SO_SNDBUF
 * could end its autotuning below what that reaches. */
static uint32_t fit_budget(const struct leg *leg, uint32_t budget)
{
	if (send_buffer(leg) / 2 < budget)
		socket_set_int(leg->fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)budget);
	return MIN(send_buffer(leg) / 2, budget);
}

/* What wakes the relay for a leg. Not what arrives, if the program sees to that:
 * each segment would. */
static void watch_leg(struct leg *leg)
{
	uint32_t events = EPOLLRDHUP | EPOLLET;

	if (!leg->in_kernel)
		events |= EPOLLIN | EPOLLPRI;
	if (!leg->writable)
		events |= EPOLLOUT;
	relay_rewatch(leg->flow->relay, leg->fd, events, &leg->watch);
}

bool kernel_engine_take(struct relay_flow *flow)
{
	struct relay *relay = flow->relay;

	/* The kernel takes no MPTCP socket. */
	if (!relay->kernel || flow->client.mptcp || flow->remote.mptcp || flow->up.in_pipe ||
	    flow->down.in_pipe || flow->up.finished || flow->down.finished ||
	    relay->kernel->free_count == 0)
		return false;
	if (!flow->budget)
		flow->budget = KERNEL_BUDGET_DEFAULT;
	flow->up.budget = fit_budget(&flow->remote, flow->budget);
	flow->down.budget = fit_budget(&flow->client, flow->budget);
	if (read_sent_exactly(&flow->client, &flow->down.sent_before) ||
	    read_sent_exactly(&flow->remote, &flow->up.sent_before) ||
	    !kernel_slots_enter(relay->kernel, flow))
		return false;
	/* Segments that came before wait for somebody to read. */
	flow->client.readable = flow->remote.readable = true;
	flow->client.writable = flow->remote.writable = true;
	watch_leg(&flow->client);
	watch_leg(&flow->remote);
	relay_count(&relay->counters->kernel_flows, 1);
	return true;
}

static uint64_t passed(const struct direction *direction)
{
	if (!direction->from->in_kernel) /* the program never sees this leg's bytes */
		return direction->taken;
	return __atomic_load_n(&direction->shared->passed, __ATOMIC_SEQ_CST);
}

static bool has_passed(const struct direction *direction)
{
	return passed(direction) != direction->taken;
}

static bool is_broken(const struct direction *direction)
{
	return __atomic_load_n(&direction->shared->broken, __ATOMIC_RELAXED);
}

bool kernel_engine_needs_relay(const struct direction *direction)
{
	return direction->shared && (is_broken(direction) || has_passed(direction));
}

bool kernel_engine_is_passing(const struct direction *direction)
{
	return passed(direction) != direction->shared->forwarded;
}

void kernel_engine_look(struct direction *direction)
{
	uint64_t redirected;

	if (!direction->shared)
		return;
	redirected = __atomic_load_n(&direction->shared->redirected, __ATOMIC_RELAXED);
	direction->bytes += redirected - direction->kernel_bytes;
	direction->kernel_bytes = redirected;
}

/*
 * True when all that was redirected is with the other leg's TCP: what the relay
 * writes then comes after it.
 */
static bool is_drained(const struct direction *direction)
{
	uint64_t redirected = __atomic_load_n(&direction->shared->redirected, __ATOMIC_ACQUIRE);
	uint64_t sent;

	if (redirected == 0)
		return true;
	return read_sent(direction->to, &sent) == 0 &&
	       sent - direction->sent_before == redirected + direction->shared->forwarded;
}

/* Tells the program that so many passed bytes more are out. It may redirect again
 * from the moment that this is all it has passed. */
static void forward(struct direction *direction, size_t count)
{
	struct splice_direction *shared = direction->shared;
	uint64_t forwarded = shared->forwarded + count;

	direction->drained = passed(direction) > forwarded;
	__atomic_store_n(&shared->forwarded, forwarded, __ATOMIC_SEQ_CST);
}

/* Writes what it can. A count, or -1 with errno set. */
static ssize_t write_out(struct direction *direction, const char *bytes, size_t count)
{
	ssize_t sent = send(direction->to->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno == EAGAIN)
		sent = 0;
	if (sent >= 0 && (size_t)sent < count) {
		direction->to->writable = false;
		watch_leg(direction->to);
	}
	if (sent > 0)
		forward(direction, (size_t)sent);
	return sent;
}

/* Keeps bytes that the other leg does not take yet. */
static int keep(struct direction *direction, const char *bytes, size_t count)
{
	direction->kept = malloc(count);
	if (!direction->kept)
		return -ENOMEM;
	memcpy(direction->kept, bytes, count);
	direction->kept_size = count;
	direction->kept_sent = 0;
	return 0;
}

static enum step write_kept(struct relay_flow *flow, struct direction *direction)
{
	ssize_t sent;

	if (!direction->drained && !is_drained(direction)) {
		flow_look_soon(flow);
		return STEP_WAIT;
	}
	direction->drained = true;
	sent = write_out(direction, direction->kept + direction->kept_sent,
			 direction->kept_size - direction->kept_sent);
	if (sent < 0)
		return STEP_TO_FAILED;
	direction->kept_sent += (size_t)sent;
	if (direction->kept_sent < direction->kept_size)
		return STEP_WAIT;
	free(direction->kept);
	direction->kept = NULL;
	return STEP_MOVED;
}

/* Bytes that were just read: out, in order. */
static enum step pass_on(struct relay_flow *flow, struct direction *direction, const char *bytes,
			 size_t count)
{
	ssize_t sent = 0;

	direction->taken += count;
	direction->bytes += count;
	if (direction->drained || is_drained(direction)) {
		direction->drained = true;
		sent = write_out(direction, bytes, count);
		if (sent < 0)
			return STEP_TO_FAILED;
	} else {
		flow_look_soon(flow);
	}
	if ((size_t)sent == count)
		return STEP_MOVED;
	if (keep(direction, bytes + sent, count - (size_t)sent)) {
		errno = ENOMEM;
		return STEP_FROM_FAILED;
	}
	return STEP_WAIT;
}

/* The FIN was read. It stands behind all bytes when so many were received as were
 * redirected or read, and the FIN, which TCP counts as one. */
static enum step end(struct relay_flow *flow, struct direction *direction)
{
	struct tcp_info info;

	kernel_engine_look(direction);
	if (read_info(direction->from, &info))
		return STEP_FROM_FAILED;
	if (has_passed(direction) ||
	    info.tcpi_bytes_received != direction->read_before + direction->bytes + 1) {
		flow_look_soon(flow);
		return STEP_WAIT;
	}
	direction->finished = true;
	return STEP_MOVED;
}

/* Reads passed bytes, as recv(2) does. Bytes are counted before they can be read:
 * those that are not there yet come when the socket is unlocked. */
static ssize_t read_passed(const struct direction *direction, char *bytes, size_t size)
{
	ssize_t got = recv(direction->from->fd, bytes, size, MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN && has_passed(direction))
		got = recv(direction->from->fd, bytes, size, MSG_DONTWAIT);
	return got;
}

/* Nothing is left to read: all that comes now is the kernel's to carry. */
static enum step caught_up(struct relay_flow *flow, struct direction *direction)
{
	if (has_passed(direction)) {
		flow_look_soon(flow); /* still readable: a held direction comes back here */
		return STEP_WAIT;
	}
	direction->from->readable = false;
	if (direction->shared->held)
		__atomic_store_n(&direction->shared->held, 0, __ATOMIC_SEQ_CST);
	return STEP_WAIT;
}

enum step kernel_engine_move(struct relay_flow *flow, struct direction *direction)
{
	static char bytes[COPY_BYTES];
	ssize_t got;

	kernel_engine_look(direction);
	if (is_broken(direction)) {
		errno = EPROTO;
		return STEP_FROM_FAILED;
	}
	if (!direction->to->writable)
		return STEP_WAIT;
	if (direction->kept)
		return write_kept(flow, direction);
	if (direction->finished || (!direction->from->readable && !has_passed(direction)))
		return STEP_WAIT;
	/* Rather wait in the receive buffer than here. */
	if (!direction->drained && has_passed(direction) && !is_drained(direction)) {
		flow_look_soon(flow);
		return STEP_WAIT;
	}
	got = read_passed(direction, bytes, sizeof(bytes));
	if (got > 0)
		return pass_on(flow, direction, bytes, (size_t)got);
	if (got == 0)
		return end(flow, direction);
	return errno == EAGAIN ? caught_up(flow, direction) : STEP_FROM_FAILED;
}

bool kernel_engine_is_through(struct relay_flow *flow, const struct direction *direction)
{
	if (!direction->kept && is_drained(direction))
		return true;
	flow_look_soon(flow);
	return false;
}

uint64_t kernel_engine_backlog(const struct direction *direction)
{
	const struct splice_direction *shared = direction->shared;
	uint64_t given = shared->redirected + shared->forwarded, sent;
	uint64_t hidden = 0;

	if (read_sent(direction->to, &sent) == 0 && given > sent - direction->sent_before)
		hidden = given - (sent - direction->sent_before);
	return hidden + passed(direction) - shared->forwarded;
}

void kernel_engine_release(struct relay_flow *flow)
{
	if (!flow->up.shared)
		return;
	kernel_slots_leave(flow->relay->kernel, flow);
	free(flow->up.kept);
	free(flow->down.kept);
	flow->up.kept = flow->down.kept = NULL;
}
