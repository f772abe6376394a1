// SPDX-License-Identifier: GPL-2.0
/* See engine.h. */
#include "engine.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/socket.h>

#include "kernel_engine.h"
#include "splice_engine.h"

/* engine = auto: a flow that carried no more than so many bytes at once, so many
 * times in a row, is a talk. A silence counts as so many. It is given to the
 * kernel while no more than so many descriptors are ready at once: of many, each
 * costs less here. */
#define SMALL_BYTES 16384
#define SMALL_RUNS 32
#define SILENT_NS 1000000000ULL
#define SILENT_RUNS 8
#define BUSY 3

/* One step of the engine that carries the flow. */
static enum step move(struct relay_flow *flow, struct direction *direction)
{
	if (direction->shared)
		return kernel_engine_move(flow, direction);
	return splice_engine_move(flow->relay, direction);
}

/* Passes the FIN on once everything before it is with the receiver's socket. */
static enum step finish(struct relay_flow *flow, struct direction *direction)
{
	if (!direction->finished || direction->shut || direction->in_pipe)
		return STEP_WAIT;
	if (direction->shared && !kernel_engine_is_through(flow, direction))
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
	case ENOTCONN: /* of shutdown(2): reset since epoll was asked */
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

/* The direction has carried more than these bytes, of which the kernel had carried
 * so many: counts the difference. */
static void count_bytes(struct relay_flow *flow, const struct direction *direction, uint64_t bytes,
			uint64_t kernel_bytes)
{
	struct relay_counters *counters = flow->relay->counters;

	if (direction->bytes == bytes)
		return;
	flow->active_ns = flow->relay->now_ns;
	relay_count(direction == &flow->up ? &counters->bytes_up : &counters->bytes_down,
		    direction->bytes - bytes);
	relay_count(&counters->bytes_kernel, direction->kernel_bytes - kernel_bytes);
}

/* Runs one direction for a turn's share. False when the flow has ended. */
static bool run_direction(struct relay_flow *flow, struct direction *direction, bool *more)
{
	uint64_t before = direction->bytes, kernel_before = direction->kernel_bytes;
	enum step step;

	do {
		step = move(flow, direction);
	} while (step == STEP_MOVED && !direction->finished &&
		 direction->bytes - before < TURN_BYTES);
	*more |= step == STEP_MOVED;
	count_bytes(flow, direction, before, kernel_before);
	if (step == STEP_WAIT || step == STEP_MOVED) {
		if (direction->in_pipe == 0)
			direction_release(flow->relay, direction);
		step = finish(flow, direction);
	}
	if (step == STEP_FROM_FAILED)
		flow_end(flow, end_of_leg(flow, direction->from, errno));
	else if (step == STEP_TO_FAILED)
		flow_end(flow, end_of_leg(flow, direction->to, errno));
	return flow->state != FLOW_ENDED;
}

static void look(struct relay_flow *flow, struct direction *direction)
{
	uint64_t before = direction->bytes, kernel_before = direction->kernel_bytes;

	kernel_engine_look(direction);
	count_bytes(flow, direction, before, kernel_before);
}

void engine_look(struct relay_flow *flow)
{
	look(flow, &flow->up);
	look(flow, &flow->down);
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

/* Nothing is on its way between the legs, and neither peer has finished. */
static bool is_quiet(const struct relay_flow *flow)
{
	return flow->state == FLOW_OPEN && !flow->up.in_pipe && !flow->down.in_pipe &&
	       !flow->client.readable && !flow->remote.readable && !flow->up.finished &&
	       !flow->down.finished;
}

/*
 * engine = auto: a flow begins on the splice engine, and is given to the kernel when
 * it has shown that it is a talk, not a transfer. docs/design.md has the figures.
 */
static void consider_kernel(struct relay_flow *flow)
{
	if (flow->small_runs < SMALL_RUNS || !is_quiet(flow))
		return;
	/* Either way this is decided. */
	flow->engine = kernel_engine_take(flow) ? ENGINE_KERNEL : ENGINE_SPLICE;
	if (flow->engine == ENGINE_KERNEL)
		list_append(&flow->relay->runnable, &flow->run_link);
}

/* So many bytes were carried in one run. */
static void note_run(struct relay_flow *flow, uint64_t moved)
{
	if (moved > SMALL_BYTES)
		flow->small_runs = 0;
	else if (moved > 0 && flow->small_runs < SMALL_RUNS)
		flow->small_runs++;
	if (flow->relay->busy <= BUSY)
		consider_kernel(flow);
}

void engine_consider_idle(struct relay_flow *flow)
{
	if (flow->engine != ENGINE_AUTO || flow->state != FLOW_OPEN ||
	    flow->relay->now_ns - flow->active_ns < SILENT_NS)
		return;
	flow->small_runs = MIN(flow->small_runs + SILENT_RUNS, SMALL_RUNS);
	consider_kernel(flow);
}

static void run(struct relay_flow *flow)
{
	uint64_t before = flow->up.bytes + flow->down.bytes;
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
	else if (flow->engine == ENGINE_AUTO)
		note_run(flow, flow->up.bytes + flow->down.bytes - before);
}

void engine_run(struct relay_flow *flow)
{
	run(flow);
	if (flow->watched)
		flow->relay->front->looked(flow);
}

void engine_join(struct relay_flow *flow)
{
	flow->state = FLOW_OPEN;
	flow->active_ns = flow->relay->now_ns;
	/* What arrived before is announced by edges that are gone: try all. */
	flow->client.readable = flow->client.writable = true;
	flow->remote.readable = flow->remote.writable = true;
	/* What it cannot take now it may take in a quiet moment. */
	if (flow->engine == ENGINE_KERNEL && !kernel_engine_take(flow))
		flow->engine = ENGINE_AUTO;
	engine_run(flow);
}
