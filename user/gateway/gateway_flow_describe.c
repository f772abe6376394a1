// SPDX-License-Identifier: GPL-2.0
/* A flow as `sluice show flows` sees it; declared in gateway_flow.h. */
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "engine.h"
#include "gateway_flow.h"
#include "kernel_engine.h"
#include "mptcp.h"

/* Connections of one leg share what they send; the rest is that of their sum. */
static void add_connection(const struct tcp_info *info, struct flow_leg *out)
{
	/* The longest: it is what the stream waits for. */
	if (info->tcpi_rtt > out->rtt_us)
		out->rtt_us = info->tcpi_rtt;
	out->cwnd += info->tcpi_snd_cwnd;
	out->retrans += info->tcpi_total_retrans;
	/* All ones mean "not paced". */
	if (info->tcpi_pacing_rate != UINT64_MAX)
		out->pacing_bps += info->tcpi_pacing_rate * 8;
	out->delivery_bps += info->tcpi_delivery_rate * 8;
	out->subflows++;
}

static void describe_leg(const struct leg *leg, bool is_mptcp, struct flow_leg *out)
{
	struct tcp_info infos[MPTCP_SUBFLOWS_MAX + 1] = { 0 };
	socklen_t length = sizeof(infos[0]);
	int count = 0;

	if (leg->fd < 0)
		return;
	if (is_mptcp)
		count = mptcp_connections_info(leg->fd, infos, MPTCP_SUBFLOWS_MAX + 1);
	if (count <= 0 && getsockopt(leg->fd, IPPROTO_TCP, TCP_INFO, &infos[0], &length) == 0)
		count = 1;
	for (int i = 0; i < count; i++)
		add_connection(&infos[i], out);
	length = sizeof(out->cc);
	if (getsockopt(leg->fd, IPPROTO_TCP, TCP_CONGESTION, out->cc, &length) < 0)
		memset(out->cc, 0, sizeof(out->cc));
	out->cc[sizeof(out->cc) - 1] = '\0';
}

static void describe_direction(const struct direction *direction, bool delivered,
			       struct flow_direction *out)
{
	int queued = 0;

	if (direction->to->fd >= 0 && !delivered)
		ioctl(direction->to->fd, SIOCOUTQ, &queued);
	out->bytes = direction->bytes;
	out->kernel_bytes = direction->kernel_bytes;
	out->relay_bytes = direction->bytes - direction->kernel_bytes;
	out->backlog = direction->in_pipe + (uint64_t)(queued > 0 ? queued : 0);
	if (direction->shared)
		out->backlog += kernel_engine_backlog(direction);
}

enum flow_engine gateway_flow_engine(const struct gateway_flow *flow)
{
	const struct relay_flow *core = &flow->core;

	if (!core->up.shared)
		return FLOW_ENGINE_SPLICE;
	if (!core->client.in_kernel || !core->remote.in_kernel)
		return FLOW_ENGINE_RELAY;
	if (kernel_engine_is_passing(&core->up) || kernel_engine_is_passing(&core->down))
		return FLOW_ENGINE_RELAY;
	return FLOW_ENGINE_KERNEL;
}

void gateway_flow_describe(struct gateway_flow *flow, struct flow_record *record)
{
	struct relay_flow *core = &flow->core;

	engine_look(core);
	memset(record, 0, sizeof(*record));
	record->id = flow->id;
	record->tuple = flow->tuple;
	record->port_id = flow->port.port_id;
	record->trunk_port = flow->port.trunk_port;
	record->state = (__u8)core->state;
	record->end = (__u8)core->end;
	record->ended_in = (__u8)(core->end ? core->ended_in : core->state);
	record->one_connection = flow->one_connection;
	record->engine = (__u8)gateway_flow_engine(flow);
	record->params = flow->params;
	record->age_ms = (core->relay->now_ns - core->since_ns) / 1000000;
	record->idle_ms = (core->relay->now_ns - core->active_ns) / 1000000;
	/* A flow is closed when its peers have everything. */
	describe_direction(&core->up, core->end == FLOW_END_CLOSED, &record->up);
	describe_direction(&core->down, core->end == FLOW_END_CLOSED, &record->down);
	describe_leg(&core->client, false, &record->lan);
	describe_leg(&core->remote, flow->params.parallel > 1, &record->wan);
}
