// SPDX-License-Identifier: GPL-2.0
/* See relay_flow.h. */
#include "relay_flow.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine.h"
#include "kernel_engine.h"
#include "splice_engine.h"

/* How soon a flow is looked at again; doubled each time in vain. The kernel's
 * worker, for which this waits most often, needs less than the shortest. */
#define SOON_MIN_NS 50000ULL
#define SOON_MAX_NS (128 * 1000000ULL)

static void leg_init(struct leg *leg, struct relay_flow *flow)
{
	leg->flow = flow;
	leg->fd = -1;
}

void flow_init(struct relay_flow *flow, struct relay *relay)
{
	flow->relay = relay;
	flow->state = FLOW_CONNECTING;
	flow->since_ns = relay->now_ns;
	flow->active_ns = relay->now_ns;
	leg_init(&flow->client, flow);
	leg_init(&flow->remote, flow);
	flow->up.from = flow->down.to = &flow->client;
	flow->down.from = flow->up.to = &flow->remote;
	list_init(&flow->run_link);
	list_init(&flow->soon_link);
	list_append(&relay->flows, &flow->link);
	relay->flow_count++;
}

static void leg_ready(struct watch *watch, uint32_t events)
{
	struct leg *leg = list_entry(watch, struct leg, watch);
	struct relay_flow *flow = leg->flow;

	if (flow->state == FLOW_ENDED) /* by an earlier event of this turn */
		return;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		leg->readable = true;
	if (events & EPOLLOUT)
		leg->writable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		leg->hung_up = true;
	if (events & EPOLLPRI)
		leg->urgent = true;
	if (events & EPOLLERR)
		leg->failed = true;
	if (flow->state == FLOW_CONNECTING || flow->state == FLOW_JOINING) {
		/* All that MPTCP says of a connection that was refused. */
		leg->failed |= (events & EPOLLHUP) != 0;
		flow->relay->front->progress(flow);
	} else {
		engine_run(flow);
	}
}

int leg_open(struct leg *leg, int fd)
{
	leg->fd = fd;
	leg->watch.ready = leg_ready;
	return relay_watch(leg->flow->relay, fd,
			   EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET, &leg->watch);
}

/* All legs carry SO_LINGER {1,0}: whatever is not acknowledged yet makes this a
 * reset, and so does the death of this process. A leg that is done (see
 * engine.c) has nothing left to reset. */
static void leg_close(struct leg *leg, enum flow_end end)
{
	static const struct linger none = { 0 };

	/* TCP has nothing left to say by now. MPTCP still has connections to close. */
	if (leg->mptcp && end == FLOW_END_CLOSED)
		setsockopt(leg->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	if (leg->fd >= 0)
		close(leg->fd);
	leg->fd = -1;
}

void flow_look_soon(struct relay_flow *flow)
{
	uint64_t now_ns = flow->relay->now_ns;
	bool again = flow->soon_ns > flow->active_ns && flow->soon_ns <= now_ns;

	if (!list_empty(&flow->soon_link))
		return;
	flow->soon_wait_ns = again ? flow->soon_wait_ns * 2 : SOON_MIN_NS;
	if (flow->soon_wait_ns > SOON_MAX_NS)
		flow->soon_wait_ns = SOON_MAX_NS;
	flow->soon_ns = now_ns + flow->soon_wait_ns;
	list_append(&flow->relay->soon, &flow->soon_link);
}

/* Keepalive is for flows that live: most are over before they are first looked at, and
 * are spared its eight system calls. */
static void keep_alive(struct relay_flow *flow)
{
	if (flow->kept_alive || flow->state < FLOW_OPEN || flow->state == FLOW_ENDED)
		return;
	flow->kept_alive = true;
	if (flow->keepalive_s == 0)
		return;
	leg_keep_alive(flow->client.fd, flow->keepalive_s);
	leg_keep_alive(flow->remote.fd, flow->keepalive_s);
}

void flow_check(struct relay_flow *flow)
{
	uint64_t limit_ns = flow->idle_timeout_s * 1000000000ULL;

	keep_alive(flow);
	engine_look(flow);
	if (flow->state == FLOW_CLOSING || kernel_engine_needs_relay(&flow->up) ||
	    kernel_engine_needs_relay(&flow->down))
		engine_run(flow);
	engine_consider_idle(flow);
	if (flow->state >= FLOW_OPEN && flow->state < FLOW_ENDED && limit_ns &&
	    flow->relay->now_ns - flow->active_ns >= limit_ns)
		flow_end(flow, FLOW_END_IDLE);
}

/* The counter of each way to end; 0 (that of SYNs): it is not counted. */
static const size_t counter_of_end[] = {
#define COUNTER(name) offsetof(struct relay_counters, name)
	[FLOW_END_CLOSED] = COUNTER(closed),
	[FLOW_END_CLIENT_RESET] = COUNTER(reset_by_client),
	[FLOW_END_REMOTE_RESET] = COUNTER(reset_by_remote),
	[FLOW_END_CLIENT_TIMEOUT] = COUNTER(leg_timed_out),
	[FLOW_END_REMOTE_TIMEOUT] = COUNTER(leg_timed_out),
	[FLOW_END_IDLE] = COUNTER(idle),
	[FLOW_END_REFUSED] = COUNTER(refused),
	[FLOW_END_UNREACHABLE] = COUNTER(unreachable),
	[FLOW_END_NO_ANSWER] = COUNTER(timed_out),
	[FLOW_END_ABANDONED] = COUNTER(abandoned),
	[FLOW_END_FORWARDED] = COUNTER(forwarded),
	[FLOW_END_SHUTDOWN] = 0,
	[FLOW_END_FAILED] = COUNTER(failed),
#undef COUNTER
};

static void count_end(struct relay_counters *counters, enum flow_end end)
{
	size_t offset = counter_of_end[end];

	if (offset)
		relay_count((__u64 *)((char *)counters + offset), 1);
}

void flow_end(struct relay_flow *flow, enum flow_end end)
{
	struct relay *relay = flow->relay;

	if (flow->state == FLOW_ENDED)
		return;
	flow->end = end;
	flow->ended_in = flow->state;
	if (relay->front->ending)
		relay->front->ending(flow);
	leg_close(&flow->client, end);
	leg_close(&flow->remote, end);
	engine_look(flow);
	kernel_engine_release(flow);
	direction_release(relay, &flow->up);
	direction_release(relay, &flow->down);
	flow->state = FLOW_ENDED;
	count_end(relay->counters, end);
	relay->flow_count--;
	relay->front->ended(flow);
	list_remove(&flow->run_link);
	list_remove(&flow->soon_link);
	list_remove(&flow->link);
	list_append(&relay->ended, &flow->link);
}
