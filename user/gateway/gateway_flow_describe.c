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

static void describe_leg(const struct leg *leg, struct flow_leg *out)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof(info);

	if (leg->fd < 0 || getsockopt(leg->fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return;
	out->rtt_us = info.tcpi_rtt;
	out->cwnd = info.tcpi_snd_cwnd;
	out->retrans = info.tcpi_total_retrans;
	out->subflows = 1;
	/* All ones mean "not paced". */
	out->pacing_bps = info.tcpi_pacing_rate == UINT64_MAX ? 0 : info.tcpi_pacing_rate * 8;
	out->delivery_bps = info.tcpi_delivery_rate * 8;
	length = sizeof(out->cc);
	if (getsockopt(leg->fd, IPPROTO_TCP, TCP_CONGESTION, out->cc, &length) < 0)
		memset(out->cc, 0, sizeof(out->cc));
	out->cc[sizeof(out->cc) - 1] = '\0';
}

static void describe_direction(const struct direction *direction, struct flow_direction *out)
{
	int queued = 0;

	if (direction->to->fd >= 0)
		ioctl(direction->to->fd, SIOCOUTQ, &queued);
	out->bytes = direction->bytes;
	out->kernel_bytes = direction->kernel_bytes;
	out->relay_bytes = direction->bytes - direction->kernel_bytes;
	out->backlog = direction->in_pipe + (uint64_t)(queued > 0 ? queued : 0);
	if (direction->shared)
		out->backlog += kernel_engine_backlog(direction);
}

static enum flow_engine engine_now(const struct relay_flow *flow)
{
	if (!flow->up.shared)
		return FLOW_ENGINE_SPLICE;
	if (kernel_engine_is_passing(&flow->up) || kernel_engine_is_passing(&flow->down))
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
	record->engine = (__u8)engine_now(core);
	record->params = flow->params;
	record->age_ms = (core->relay->now_ns - core->since_ns) / 1000000;
	record->idle_ms = (core->relay->now_ns - core->active_ns) / 1000000;
	describe_direction(&core->up, &record->up);
	describe_direction(&core->down, &record->down);
	describe_leg(&core->client, &record->lan);
	describe_leg(&core->remote, &record->wan);
}
