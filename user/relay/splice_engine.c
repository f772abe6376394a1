// SPDX-License-Identifier: GPL-2.0
/* See splice_engine.h. */
#include "splice_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes moved at once where splice(2) cannot serve. */
#define COPY_BYTES 16384

/* Up to so many bytes in one run are copied before splice(2) takes over; two pages. */
#define SMALL_BYTES 8192

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

/*
 * Moves a small piece. It costs fewer system calls than splice(2), as less than was
 * asked for says that there is no more: short questions, answers and flows consist of
 * nothing else. What the receiver does not take at once goes into the pipe, in which
 * there is room for it: the smallest that the kernel makes has two pages.
 */
static enum step copy_small(struct direction *direction)
{
	static char bytes[SMALL_BYTES];
	ssize_t got, sent;

	got = recv(direction->from->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN) {
		direction->from->readable = false;
		return STEP_WAIT;
	}
	if (got < 0)
		return STEP_FROM_FAILED;
	if (got == 0) {
		direction->finished = true;
		return STEP_MOVED;
	}
	if ((size_t)got < sizeof(bytes) && !direction->from->hung_up)
		direction->from->readable = false;
	direction->in_run = direction->from->readable ? direction->in_run + (size_t)got : 0;
	direction->bytes += (uint64_t)got;
	sent = send(direction->to->fd, bytes, (size_t)got, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		return STEP_TO_FAILED;
	if (sent == got)
		return STEP_MOVED;
	if (sent < 0)
		sent = 0;
	direction->to->writable = false;
	if (write(direction->pipe->write, bytes + sent, (size_t)(got - sent)) != got - sent) {
		errno = EIO; /* cannot happen: an empty pipe has room for it */
		return STEP_FROM_FAILED;
	}
	direction->in_pipe = (size_t)(got - sent);
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
		direction->in_run += (size_t)got;
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
	direction->in_run = 0;
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
enum step splice_engine_move(struct relay *relay, struct direction *direction)
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
	if (direction->in_run < SMALL_BYTES)
		return copy_small(direction);
	step = fill_pipe(direction);
	if (step == STEP_WAIT && direction->from->urgent)
		return copy_bytes(direction);
	return step;
}
