// SPDX-License-Identifier: GPL-2.0
/* Making and freeing the gateway's flows, and what ends with them; see gateway_flow.h. */
#include "gateway_flow.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "half_open.h"
#include "log.h"

static void count_flow(struct gateway_relay *relay, const struct gateway_flow *flow, uint32_t by)
{
	uint32_t port_id = flow->port.port_id;

	if (memcmp(&flow->landing, &flow->tuple, sizeof(flow->tuple)) != 0)
		relay->setup.shared->rewritten_flows += (int32_t)by;
	relay->setup.shared->flows = relay->core.flow_count;
	__atomic_add_fetch(&relay->setup.shared->port_flows[port_id], by, __ATOMIC_RELAXED);
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

static void log_end(const struct gateway_flow *flow)
{
	char client[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];

	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	log_debug("flow %llu %s -> %s %s after %llu ms, %llu bytes up, %llu down",
		  (unsigned long long)flow->id,
		  endpoint_format(flow->tuple.client, flow->tuple.client_port, client),
		  endpoint_format(flow->tuple.remote, flow->tuple.service_port, remote),
		  flow_end_name(flow->core.end),
		  (unsigned long long)(flow->core.relay->now_ns - flow->core.since_ns) / 1000000,
		  (unsigned long long)flow->core.up.bytes,
		  (unsigned long long)flow->core.down.bytes);
}

void gateway_flow_ended(struct relay_flow *ended)
{
	struct gateway_flow *flow = gateway_flow_of(ended);
	struct gateway_relay *relay = gateway_relay_of(flow);

	half_open_leave(flow);
	log_end(flow);
	count_flow(relay, flow, (uint32_t)-1);
	if (relay->listing == &ended->link)
		relay->listing = ended->link.next;
}

void gateway_flow_free(struct relay_flow *ended)
{
	struct gateway_flow *flow = gateway_flow_of(ended);

	free(flow->syn);
	free(flow);
}
