/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The relay's part of `sluice trace`: tells main what happens to the flows that
 * a trace is for. A flow that nobody traces costs a look at one byte; main is
 * never waited for.
 */
#ifndef SLUICE_FLOW_TRACE_H
#define SLUICE_FLOW_TRACE_H

#include "gateway_flow.h"
#include "trace.h"

/* Main wants a trace; flows that live already are looked through. slot is below TRACES_MAX. */
void flow_trace_start(struct gateway_relay *relay, unsigned slot,
		      const struct trace_filter *filter);
void flow_trace_stop(struct gateway_relay *relay, unsigned slot);

/* A new flow: finds out who traces it, and tells them of its SYN. */
void flow_trace_begin(struct gateway_flow *flow);

/* Tells main of an event; use flow_tell(). */
void flow_trace_tell(struct gateway_flow *flow, enum trace_event_type type, uint32_t number);

/* Of struct relay_front: tells what has changed since the flow was looked at last. */
void flow_trace_look(struct relay_flow *flow);

static inline void flow_tell(struct gateway_flow *flow, enum trace_event_type type)
{
	if (flow->traces)
		flow_trace_tell(flow, type, 0);
}

#endif
