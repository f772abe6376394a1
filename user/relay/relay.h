/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A relay: joins pairs of TCP connections and moves bytes between them. One
 * thread, one epoll loop, nothing shared with other relays. This is what the
 * gateway's relays (user/gateway/gateway_relay.c) and the agent's trunk ends
 * (user/agent/trunk_relay.c) have in common: the loop, the flows
 * (relay_flow.c) and the engines that join their legs (engine.c).
 */
#ifndef SLUICE_RELAY_H
#define SLUICE_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"
#include "list.h"
#include "pipe_pool.h"

struct kernel_slots;
struct relay_flow;

/* Something in the relay's epoll set. Embedded in what it watches. */
struct watch {
	void (*ready)(struct watch *watch, uint32_t events);
};

/* What each kind of relay does in its own way: how its flows come to be joined. */
struct relay_front {
	/* Something happened to a leg of a flow that is not joined yet. */
	void (*progress)(struct relay_flow *flow);
	/* Once a second, for every flow that lives: deadlines. */
	void (*check)(struct relay_flow *flow);
	/* A flow that is watched has been run: for a front that watches some. */
	void (*looked)(struct relay_flow *flow);
	/* The flow is about to end: its end is known, its legs are still open.
	 * NULL: the front does not care. */
	void (*ending)(struct relay_flow *flow);
	/* The flow ends: its state is FLOW_ENDED, its legs are closed, and it is still
	 * in the list of flows. */
	void (*ended)(struct relay_flow *flow);
	/* Frees a flow that has ended. */
	void (*free)(struct relay_flow *flow);
};

struct relay {
	const struct relay_front *front;
	struct relay_counters *counters; /* the front's */
	int epoll;
	uint64_t now_ns; /* CLOCK_MONOTONIC at the start of this turn */
	uint64_t next_sweep_ns;
	uint64_t flow_limit; /* flows that the descriptors suffice for */
	uint64_t flow_count; /* flows alive */
	int busy; /* descriptors that had something to say in this turn */
	bool stopping;
	struct pipe_pool pipes;
	struct kernel_slots *kernel; /* NULL: no flow is given to the kernel */
	struct list flows; /* all, oldest first */
	struct list runnable; /* have more to do than one turn's share */
	struct list soon; /* have to be run at their time */
	struct list ended; /* freed when the turn is over */
};

/* front and counters must outlive the relay. 0 or a negative errno. */
int relay_init(struct relay *relay, const struct relay_front *front,
	       struct relay_counters *counters);

/* Frees what relay_init() made. All flows must have ended. */
void relay_free(struct relay *relay);

/* Adds fd to the epoll set. watch must outlive fd. 0 or a negative errno. */
int relay_watch(struct relay *relay, int fd, uint32_t events, struct watch *watch);

/* Changes what is waited for, and tells of it if it is there already. */
void relay_rewatch(struct relay *relay, int fd, uint32_t events, struct watch *watch);

/*
 * One turn: waits for something to do, timeout_ms at most, and does each flow's
 * share of it. tick is called once now_ns is that of this turn and before any
 * work is done; it may be NULL.
 */
void relay_turn(struct relay *relay, int timeout_ms, void (*tick)(struct relay *relay));

static inline void relay_count(__u64 *counter, uint64_t by)
{
	/* Read by main while it changes: never torn, order does not matter. */
	__atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

#endif
