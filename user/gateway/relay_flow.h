/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A flow inside its relay: two legs, two directions, and what is needed until
 * they are joined. Made by half_open.c, run by splice_engine.c, ended here.
 */
#ifndef SLUICE_RELAY_FLOW_H
#define SLUICE_RELAY_FLOW_H

#include "events.h"
#include "flow.h"
#include "relay.h"

struct relay_flow;

/* One TCP connection of a flow. */
struct leg {
	struct watch watch;
	struct relay_flow *flow;
	int fd; /* -1: not open */
	bool readable; /* edge-triggered state: true until a read would block */
	bool writable; /* true until a write would block */
	bool urgent; /* splice(2) stops at urgent data; cleared once past it */
	bool failed; /* error or reset seen while the flow was not joined yet */
};

/* One direction: from leg `from` to leg `to`, by a pipe. */
struct direction {
	struct leg *from;
	struct leg *to;
	struct pipe *pipe; /* held only while it has bytes */
	size_t in_pipe;
	uint64_t bytes; /* taken from `from` */
	bool finished; /* `from` sent FIN and all before it was taken */
	bool shut; /* FIN passed on to `to` */
};

struct relay_flow {
	struct relay *relay;
	struct list link; /* relay->flows, or relay->ended */
	struct list hash_link; /* relay->half_open[...] until joined */
	struct list run_link; /* relay->runnable */
	uint64_t id;
	struct half_open_key tuple;
	struct port_value port;
	struct wan_params params;
	enum flow_state state;
	enum flow_end end;
	struct syn_event *syn; /* until joined; owned */
	unsigned reinjections; /* how often the held SYN went back in */
	uint64_t since_ns; /* CLOCK_MONOTONIC of its SYN */
	uint64_t deadline_ns; /* until joined: when to give up */
	uint64_t active_ns; /* CLOCK_MONOTONIC of its last byte */
	size_t closing_queued; /* in FLOW_CLOSING: what both legs had to deliver when last looked at */
	struct leg lan;
	struct leg wan;
	struct direction up; /* client to remote */
	struct direction down; /* remote to client */
};

/* A flow for a SYN, in state FLOW_CONNECTING, without legs. NULL: out of memory. */
struct relay_flow *flow_new(struct relay *relay, const struct syn_event *syn);

/* Takes a descriptor as a leg and watches it. 0 or a negative errno; the
 * descriptor belongs to the leg in either case. */
int leg_open(struct leg *leg, int fd);

/*
 * Ends a flow and closes its legs, which resets those that are not done: no
 * peer can take a cut stream for a whole one. The flow is
 * freed when the relay's turn is over; its state is FLOW_ENDED until then.
 */
void flow_end(struct relay_flow *flow, enum flow_end end);

/* Frees a flow that has ended. */
void flow_free(struct relay_flow *flow);

/* Fills record with the flow's present state, TCP_INFO of both legs included. */
void flow_describe(const struct relay_flow *flow, struct flow_record *record);

#endif
