// SPDX-License-Identifier: GPL-2.0
/* See splice_engine.h. */
#include "splice_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Bytes one direction may move before other flows have their turn. */
#define TURN_BYTES (1024 * 1024)

/* Bytes moved at once where splice(2) cannot serve. */
#define COPY_BYTES 16384

/* What a step of a direction came to. */
enum step {
	STEP_MOVED, /* bytes moved or a FIN seen; there may be more */
	STEP_WAIT, /* nothing to do until epoll says so */
	STEP_FROM_FAILED, /* the leg `from` is dead, errno says why */
	STEP_TO_FAILED,
};

void direction_release(struct relay *relay, struct direction *direction)
{
	if (!direction->pipe)
		return;
	if (direction->in_pipe == 0)
		pipe_pool_put(&relay->pipes, direction->pipe);
	else
		pipe_discard(&relay->pipes, direction->pipe);
	direction->pipe = NULL;
	direction->in_pipe = 0;
}

/*
 * Moves bytes by copying, without keeping any: what was looked at is sent, and
 * what was sent is then taken. Urgent data need it (splice(2) stops in front
 * of them; with SO_OOBINLINE they arrive in line here), and so does a relay
 * that can get no more pipes.
 */
static enum step copy_bytes(struct direction *direction)
{
	static char bytes[COPY_BYTES];
	ssize_t seen, sent;

	seen = recv(direction->from->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	if (seen < 0 && errno == EAGAIN) {
		direction->from->readable = false;
		direction->from->urgent = false;
		return STEP_WAIT;
	}
	if (seen < 0)
		return STEP_FROM_FAILED;
	if (seen == 0) {
		direction->finished = true;
		return STEP_MOVED;
	}
	sent = send(direction->to->fd, bytes, (size_t)seen, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno == EAGAIN) {
		direction->to->writable = false;
		return STEP_WAIT;
	}
	if (sent < 0)
		return STEP_TO_FAILED;
	if (recv(direction->from->fd, NULL, (size_t)sent, MSG_TRUNC | MSG_DONTWAIT) != sent) {
		errno = EIO; /* cannot happen: these bytes were just seen */
		return STEP_FROM_FAILED;
	}
	direction->bytes += (uint64_t)sent;
	return STEP_MOVED;
}

/* From the sending peer into the pipe, which is empty. */
static enum step fill_pipe(struct direction *direction)
{
	ssize_t got = splice(direction->from->fd, NULL, direction->pipe->write, NULL, TURN_BYTES,
			     SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (got > 0) {
		direction->in_pipe = (size_t)got;
		direction->bytes += (uint64_t)got;
		return STEP_MOVED;
	}
	/* The end, or urgent data that the FIN has followed: before epoll has told of
	 * them, splice(2) says the same of both. */
	if (got == 0)
		return copy_bytes(direction);
	if (errno != EAGAIN)
		return STEP_FROM_FAILED;
	/* It also says "try again" in front of urgent data. */
	if (!direction->from->urgent)
		direction->from->readable = false;
	return STEP_WAIT;
}

/* From the pipe to the receiving peer. */
static enum step empty_pipe(struct direction *direction)
{
	ssize_t sent = splice(direction->pipe->read, NULL, direction->to->fd, NULL,
			      direction->in_pipe, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (sent > 0) {
		direction->in_pipe -= (size_t)sent;
		return STEP_MOVED;
	}
	if (sent < 0 && errno != EAGAIN)
		return STEP_TO_FAILED;
	direction->to->writable = false;
	return STEP_WAIT;
}

/* One step. The pipe is filled only when it is empty: a full pipe and an empty
 * socket look the same to splice(2). */
static enum step move(struct relay *relay, struct direction *direction)
{
	enum step step;

	if (direction->in_pipe)
		return direction->to->writable ? empty_pipe(direction) : STEP_WAIT;
	if (direction->finished || !direction->from->readable || !direction->to->writable)
		return STEP_WAIT;
	if (direction->from->urgent)
		return copy_bytes(direction);
	if (!direction->pipe)
		direction->pipe = pipe_pool_get(&relay->pipes);
	if (!direction->pipe)
		return copy_bytes(direction);
	step = fill_pipe(direction);
	if (step == STEP_WAIT && direction->from->urgent)
		return copy_bytes(direction);
	return step;
}

/* Passes the FIN on once everything before it is with the receiver's socket. */
static enum step finish(struct direction *direction)
{
	if (!direction->finished || direction->shut || direction->in_pipe)
		return STEP_WAIT;
	if (shutdown(direction->to->fd, SHUT_WR) < 0)
		return STEP_TO_FAILED;
	direction->shut = true;
	return STEP_MOVED;
}

/* How the flow ends when this leg has failed with this errno. */
static enum flow_end end_of_leg(const struct relay_flow *flow, const struct leg *leg, int error)
{
	bool client = leg == &flow->client;

	switch (error) {
	case ECONNRESET:
	case EPIPE:
	case ECONNREFUSED:
		return client ? FLOW_END_CLIENT_RESET : FLOW_END_REMOTE_RESET;
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return client ? FLOW_END_CLIENT_TIMEOUT : FLOW_END_REMOTE_TIMEOUT;
	default:
		return FLOW_END_FAILED;
	}
}

/* Bytes that the peer has not acknowledged yet; the kernel counts a FIN as one. */
static size_t leg_queued(const struct leg *leg)
{
	int queued = 0;

	if (ioctl(leg->fd, SIOCOUTQ, &queued) < 0 || queued < 0)
		return 0;
	return (size_t)queued;
}

/* Both streams are with the kernel, but a flow is not over before its peers
 * have them: until then packets must find the legs. The kernel wakes us when a
 * FIN is acknowledged. A peer that takes some of it is not idle. */
static void close_when_done(struct relay_flow *flow)
{
	size_t queued = leg_queued(&flow->client) + leg_queued(&flow->remote);

	if (flow->state != FLOW_CLOSING || queued != flow->closing_queued)
		flow->active_ns = flow->relay->now_ns;
	flow->state = FLOW_CLOSING;
	flow->closing_queued = queued;
	if (queued == 0)
		flow_end(flow, FLOW_END_CLOSED);
}

/* Runs one direction for a turn's share. False when the flow has ended. */
static bool run_direction(struct relay_flow *flow, struct direction *direction, bool *more)
{
	__u64 *counter = direction == &flow->up ? &flow->relay->counters->bytes_up
						: &flow->relay->counters->bytes_down;
	uint64_t before = direction->bytes;
	enum step step;

	do {
		step = move(flow->relay, direction);
	} while (step == STEP_MOVED && !direction->finished &&
		 direction->bytes - before < TURN_BYTES);
	*more |= step == STEP_MOVED;
	if (direction->bytes != before) {
		flow->active_ns = flow->relay->now_ns;
		relay_count(counter, direction->bytes - before);
	}
	if (step == STEP_WAIT || step == STEP_MOVED) {
		if (direction->in_pipe == 0)
			direction_release(flow->relay, direction);
		step = finish(direction);
	}
	if (step == STEP_FROM_FAILED)
		flow_end(flow, end_of_leg(flow, direction->from, errno));
	else if (step == STEP_TO_FAILED)
		flow_end(flow, end_of_leg(flow, direction->to, errno));
	return flow->state != FLOW_ENDED;
}

/* A reset or time-out that epoll reported: the other leg is reset at once. */
static bool leg_failed(struct relay_flow *flow, struct leg *leg)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (!leg->failed)
		return false;
	leg->failed = false;
	getsockopt(leg->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (!error)
		return false;
	flow_end(flow, end_of_leg(flow, leg, error));
	return true;
}

void splice_engine_run(struct relay_flow *flow)
{
	bool more = false;

	list_remove(&flow->run_link);
	if (leg_failed(flow, &flow->client) || leg_failed(flow, &flow->remote))
		return;
	if (!run_direction(flow, &flow->up, &more) || !run_direction(flow, &flow->down, &more))
		return;
	if (flow->up.shut && flow->down.shut) {
		close_when_done(flow);
		return;
	}
	if (flow->up.shut)
		flow->state = FLOW_UP_CLOSED;
	else if (flow->down.shut)
		flow->state = FLOW_DOWN_CLOSED;
	if (more)
		list_append(&flow->relay->runnable, &flow->run_link);
}

void splice_engine_join(struct relay_flow *flow)
{
	flow->state = FLOW_OPEN;
	flow->active_ns = flow->relay->now_ns;
	/* What arrived before is announced by edges that are gone: try all. */
	flow->client.readable = flow->client.writable = true;
	flow->remote.readable = flow->remote.writable = true;
	splice_engine_run(flow);
}
