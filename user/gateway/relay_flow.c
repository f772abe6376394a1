// SPDX-License-Identifier: GPL-2.0
/* Making, ending and freeing flows; see relay_flow.h. */
#include "relay_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "half_open.h"
#include "log.h"
#include "splice_engine.h"

static void leg_init(struct leg *leg, struct relay_flow *flow)
{
	leg->flow = flow;
	leg->fd = -1;
}

struct relay_flow *flow_new(struct relay *relay, const struct syn_event *syn)
{
	struct relay_flow *flow = calloc(1, sizeof(*flow));

	if (!flow)
		return NULL;
	flow->syn = malloc(sizeof(*syn));
	if (!flow->syn) {
		free(flow);
		return NULL;
	}
	*flow->syn = *syn;
	flow->relay = relay;
	/* Never 0, and unique among relays. */
	flow->id = (uint64_t)relay->setup.index << 40 | ++relay->next_flow;
	flow->tuple = syn->tuple;
	flow->port = syn->port;
	flow->state = FLOW_CONNECTING;
	flow->since_ns = relay->now_ns;
	flow->active_ns = relay->now_ns;
	leg_init(&flow->lan, flow);
	leg_init(&flow->wan, flow);
	flow->up.from = flow->down.to = &flow->lan;
	flow->down.from = flow->up.to = &flow->wan;
	list_init(&flow->hash_link);
	list_init(&flow->run_link);
	list_append(&relay->flows, &flow->link);
	relay->setup.shared->flows++;
	__atomic_add_fetch(&relay->setup.shared->port_flows[flow->port.port_id], 1,
			   __ATOMIC_RELAXED);
	return flow;
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
	if (events & EPOLLPRI)
		leg->urgent = true;
	if (events & EPOLLERR)
		leg->failed = true;
	if (flow->state == FLOW_CONNECTING || flow->state == FLOW_JOINING)
		half_open_progress(flow);
	else
		splice_engine_run(flow);
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
 * splice_engine.c) has nothing left to reset. */
static void leg_close(struct leg *leg)
{
	if (leg->fd >= 0)
		close(leg->fd);
	leg->fd = -1;
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

static void log_end(const struct relay_flow *flow)
{
	char client[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];

	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	log_debug("flow %llu %s -> %s %s after %llu ms, %llu bytes up, %llu down",
		  (unsigned long long)flow->id,
		  endpoint_format(flow->tuple.client, flow->tuple.client_port, client),
		  endpoint_format(flow->tuple.remote, flow->tuple.service_port, remote),
		  flow_end_name(flow->end),
		  (unsigned long long)(flow->relay->now_ns - flow->since_ns) / 1000000,
		  (unsigned long long)flow->up.bytes, (unsigned long long)flow->down.bytes);
}

void flow_end(struct relay_flow *flow, enum flow_end end)
{
	struct relay *relay = flow->relay;

	if (flow->state == FLOW_ENDED)
		return;
	half_open_leave(flow);
	leg_close(&flow->lan);
	leg_close(&flow->wan);
	direction_release(relay, &flow->up);
	direction_release(relay, &flow->down);
	flow->state = FLOW_ENDED;
	flow->end = end;
	count_end(&relay->setup.shared->counters, end);
	log_end(flow);
	relay->setup.shared->flows--;
	__atomic_sub_fetch(&relay->setup.shared->port_flows[flow->port.port_id], 1,
			   __ATOMIC_RELAXED);
	if (relay->listing == &flow->link)
		relay->listing = flow->link.next;
	list_remove(&flow->run_link);
	list_remove(&flow->link);
	list_append(&relay->ended, &flow->link);
}

void flow_free(struct relay_flow *flow)
{
	list_remove(&flow->link);
	free(flow->syn);
	free(flow);
}
