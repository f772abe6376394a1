/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A flow of the gateway: what a relay's flow (user/relay/relay_flow.h) is, and
 * what is known of the SYN it came by. Made by half_open.c.
 */
#ifndef SLUICE_GATEWAY_FLOW_H
#define SLUICE_GATEWAY_FLOW_H

#include "events.h"
#include "gateway_relay.h"
#include "relay_flow.h"

/* What of a flow is in the totals of flow_stats.h already. */
struct flow_counted {
	uint64_t up, down, kernel_up, kernel_down; /* bytes */
	uint64_t retrans; /* segments */
};

struct gateway_flow {
	struct relay_flow core;
	struct list hash_link; /* the relay's half_open[...] until joined */
	uint64_t id;
	struct half_open_key tuple; /* as the client has it */
	struct half_open_key landing; /* as the LAN leg's socket has it */
	struct port_value port;
	struct wan_params params;
	struct syn_event *syn; /* owned */
	bool answered; /* the listener has answered the client, as the kernel says */
	bool asked; /* the agent that ends the trunk has been asked and has not answered yet */
	uint8_t additions; /* rounds in which connections were added to no avail */
	unsigned connections; /* of several, at the last look */
	uint8_t lost; /* looks in a row that found no connection at all */
	bool one_connection; /* parallel was asked for and cannot be had */
	unsigned reinjections; /* how often the held SYN went back in */
	uint64_t given_back_ns; /* when it did last (CLOCK_MONOTONIC) */
	uint8_t traces; /* bit mask of the traces that it is in (flow_trace.c) */
	struct flow_told {
		bool first_up, first_down, up_closed, down_closed, closing;
		uint8_t engine;
	} told; /* what its traces know of it */
	uint64_t wan_retrans; /* segments, when the WAN leg was last looked at */
	struct flow_counted counted;
};

static inline struct gateway_flow *gateway_flow_of(struct relay_flow *flow)
{
	return list_entry(flow, struct gateway_flow, core);
}

static inline struct gateway_relay *gateway_relay_of(const struct gateway_flow *flow)
{
	return list_entry(flow->core.relay, struct gateway_relay, core);
}

/* A flow for a SYN, in state FLOW_CONNECTING, without legs. NULL: out of memory. */
struct gateway_flow *gateway_flow_new(struct gateway_relay *relay, const struct syn_event *syn);

/* Taken by XDP: the LAN leg has the gateway's address and a listen port. */
bool gateway_flow_is_rewritten(const struct gateway_flow *flow);

/* Of struct relay_front. */
void gateway_flow_ending(struct relay_flow *flow);
void gateway_flow_ended(struct relay_flow *flow);
void gateway_flow_free(struct relay_flow *flow);

/* Who carries its bytes right now. */
enum flow_engine gateway_flow_engine(const struct gateway_flow *flow);

/* Fills record with the flow's present state, TCP_INFO of both legs included. */
void gateway_flow_describe(struct gateway_flow *flow, struct flow_record *record);

#endif
