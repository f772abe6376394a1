// SPDX-License-Identifier: GPL-2.0
/* Making and freeing the gateway's flows, and what ends with them; see gateway_flow.h. */
#include "gateway_flow.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "channel.h"
#include "ended_ring.h"
#include "flow_sampling.h"
#include "flow_trace.h"
#include "half_open.h"
#include "nexthop_flow.h"

bool gateway_flow_is_rewritten(const struct gateway_flow *flow)
{
	return memcmp(&flow->landing, &flow->tuple, sizeof(flow->tuple)) != 0;
}

static void count_flow(struct gateway_relay *relay, const struct gateway_flow *flow, int by)
{
	struct relay_shared *shared = relay->setup.shared;
	struct port_flows *of_port = &shared->port_flows[flow->port.port_id];

	shared->flows = relay->core.flow_count;
	if (gateway_flow_is_rewritten(flow))
		shared->rewritten_flows += by;
	__atomic_add_fetch(&of_port->alive, by, __ATOMIC_RELAXED);
	if (by < 0)
		return;
	relay_count((__u64 *)&of_port->begun, 1);
	relay_count((__u64 *)&shared->stats.totals.begun, 1);
}

struct gateway_flow *gateway_flow_new(struct gateway_relay *relay, const struct syn_event *syn)
{
	struct gateway_flow *flow = calloc(1, sizeof(*flow));

	if (!flow)
		return NULL;
	flow->syn = malloc(sizeof(*syn));
	if (!flow->syn) {
		free(flow);
		return NULL;
	}
	*flow->syn = *syn;
	flow_init(&flow->core, &relay->core);
	/* Never 0, and unique among relays. */
	flow->id = (uint64_t)relay->setup.index << 40 | ++relay->next_flow;
	flow->tuple = syn->tuple;
	flow->landing = syn->landing;
	flow->port = syn->port;
	list_init(&flow->hash_link);
	count_flow(relay, flow, 1);
	return flow;
}

/* Main is told; it may not listen, and is not waited for. */
void gateway_flow_ending(struct relay_flow *ending)
{
	static const struct channel_header poke = { .type = CHANNEL_ENDED };
	struct gateway_flow *flow = gateway_flow_of(ending);
	struct gateway_relay *relay = gateway_relay_of(flow);
	struct flow_record *place = ended_ring_next(relay->setup.ended), last;
	struct flow_record *record = place ?: &last;
	struct timespec now;

	flow_trace_look(ending);
	flow_tell(flow, TRACE_ENDED);
	gateway_flow_describe(flow, record);
	flow_sampling_end(flow, record);
	if (!place) {
		relay_count(&relay->setup.shared->counters.ended_lost, 1);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	record->state = FLOW_ENDED;
	record->ended_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	if (ended_ring_push(relay->setup.ended) &&
	    send(relay->setup.channel, &poke, sizeof(poke), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		ended_ring_poke_lost(relay->setup.ended);
}

void gateway_flow_ended(struct relay_flow *ended)
{
	struct gateway_flow *flow = gateway_flow_of(ended);
	struct gateway_relay *relay = gateway_relay_of(flow);

	half_open_leave(flow);
	nexthop_flow_forget(relay, flow->syn);
	count_flow(relay, flow, -1);
	if (relay->listing == &ended->link)
		relay->listing = ended->link.next;
	flow_sampling_leave(flow);
}

void gateway_flow_free(struct relay_flow *ended)
{
	struct gateway_flow *flow = gateway_flow_of(ended);

	free(flow->syn);
	free(flow);
}
