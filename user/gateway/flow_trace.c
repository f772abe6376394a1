// SPDX-License-Identifier: GPL-2.0
/* See flow_trace.h. */
#include "flow_trace.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "channel.h"
#include "engine.h"

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool matches(const struct trace_filter *filter, const struct half_open_key *tuple)
{
	static const uint8_t any[16];

	return (memcmp(filter->client, any, 16) == 0 ||
		memcmp(filter->client, tuple->client, 16) == 0) &&
	       memcmp(filter->remote, tuple->remote, 16) == 0 &&
	       (!filter->client_port || filter->client_port == tuple->client_port) &&
	       (!filter->service_port || filter->service_port == tuple->service_port);
}

void flow_trace_tell(struct gateway_flow *flow, enum trace_event_type type, uint32_t number)
{
	struct gateway_relay *relay = gateway_relay_of(flow);
	struct channel_trace message = { .header.type = CHANNEL_TRACE_EVENT };
	struct trace_event *event = &message.event;
	uint64_t since_ns = flow->core.since_ns;

	event->flow_id = flow->id;
	event->time_us = clock_us(CLOCK_REALTIME);
	event->since_us = clock_us(CLOCK_MONOTONIC) - since_ns / 1000;
	event->up = flow->core.up.bytes;
	event->down = flow->core.down.bytes;
	event->tuple = flow->tuple;
	event->number = number;
	event->lost = relay->traces_lost;
	event->trunk_port = flow->port.trunk_port;
	event->type = (__u8)type;
	event->traces = flow->traces;
	event->engine = (__u8)gateway_flow_engine(flow);
	event->end = (__u8)flow->core.end;
	event->ended_in = (__u8)flow->core.ended_in;
	if (send(relay->setup.channel, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		relay->traces_lost++;
	else
		relay->traces_lost = 0;
}

/* Notes what is so without telling it: the start of a trace is no event. */
static void note(struct gateway_flow *flow)
{
	const struct relay_flow *core = &flow->core;

	flow->told = (struct flow_told){ .first_up = core->up.bytes > 0,
					 .first_down = core->down.bytes > 0,
					 .up_closed = core->up.shut,
					 .down_closed = core->down.shut,
					 .closing = core->state == FLOW_CLOSING,
					 .engine = (uint8_t)gateway_flow_engine(flow) };
}

static void tell_once(struct gateway_flow *flow, bool *told, bool is_so, enum trace_event_type type)
{
	if (is_so && !*told)
		flow_trace_tell(flow, type, 0);
	*told |= is_so;
}

void flow_trace_look(struct relay_flow *core)
{
	struct gateway_flow *flow = gateway_flow_of(core);
	struct flow_told *told = &flow->told;
	uint8_t engine;

	if (!flow->traces || core->state < FLOW_OPEN || core->state == FLOW_ENDED)
		return;
	engine_look(core);
	engine = (uint8_t)gateway_flow_engine(flow);
	tell_once(flow, &told->first_up, core->up.bytes > 0, TRACE_FIRST_UP);
	tell_once(flow, &told->first_down, core->down.bytes > 0, TRACE_FIRST_DOWN);
	if (engine != told->engine)
		flow_trace_tell(flow, TRACE_ENGINE, 0);
	told->engine = engine;
	tell_once(flow, &told->up_closed, core->up.shut, TRACE_UP_CLOSED);
	tell_once(flow, &told->down_closed, core->down.shut, TRACE_DOWN_CLOSED);
	tell_once(flow, &told->closing, core->state == FLOW_CLOSING, TRACE_CLOSING);
}

static void set_traces(struct gateway_flow *flow, uint8_t traces)
{
	flow->traces = traces;
	flow->core.watched = traces != 0;
}

void flow_trace_begin(struct gateway_flow *flow)
{
	const struct gateway_relay *relay = gateway_relay_of(flow);
	uint8_t traces = 0;

	if (!relay->tracing)
		return;
	for (unsigned i = 0; i < TRACES_MAX; i++)
		if (relay->tracing & 1U << i && matches(&relay->traces[i], &flow->tuple))
			traces |= (uint8_t)(1U << i);
	set_traces(flow, traces);
	note(flow);
	flow_tell(flow, flow->syn->held ? TRACE_SYN_HELD : TRACE_SYN_EARLY);
}

void flow_trace_start(struct gateway_relay *relay, unsigned slot, const struct trace_filter *filter)
{
	struct list *flows = &relay->core.flows;
	uint8_t bit = (uint8_t)(1U << slot), others;

	relay->traces[slot] = *filter;
	relay->tracing |= bit;
	for (struct list *link = flows->next; link != flows; link = link->next) {
		struct gateway_flow *flow =
			gateway_flow_of(list_entry(link, struct relay_flow, link));

		if (!matches(filter, &flow->tuple))
			continue;
		engine_look(&flow->core);
		note(flow);
		others = flow->traces;
		flow->traces = bit; /* for those who trace it already it is nothing new */
		flow_trace_tell(flow, TRACE_RUNNING, 0);
		set_traces(flow, others | bit);
	}
}

void flow_trace_stop(struct gateway_relay *relay, unsigned slot)
{
	struct list *flows = &relay->core.flows;
	uint8_t bit = (uint8_t)(1U << slot);

	relay->tracing &= (uint8_t)~bit;
	for (struct list *link = flows->next; link != flows; link = link->next) {
		struct gateway_flow *flow =
			gateway_flow_of(list_entry(link, struct relay_flow, link));

		set_traces(flow, flow->traces & (uint8_t)~bit);
	}
}
