/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Figures of flows for metrics, of one port entry or of all: kept by relays in
 * memory that main shares (flow_sampling.c), added up by main
 * (supervisor_stats.c). Nobody walks over flows to ask for them.
 */
#ifndef SLUICE_FLOW_STATS_H
#define SLUICE_FLOW_STATS_H

#include <stdint.h>

#include "flow.h"

/* What only grows. Survives the relay. */
struct flow_totals {
	uint64_t begun; /* flows, half-open ones included */
	uint64_t ended[FLOW_END_COUNT]; /* by enum flow_end */
	uint64_t bytes_up; /* taken from clients */
	uint64_t bytes_down; /* taken from remotes */
	uint64_t kernel_up; /* of these, carried by the kernel */
	uint64_t kernel_down;
	uint64_t retrans; /* segments retransmitted on WAN legs */
};

/* A figure of several flows. */
struct flow_spread {
	uint64_t sum;
	uint32_t min;
	uint32_t max;
};

/* All flows as a relay found them in one pass over them. */
struct flow_sample {
	uint32_t pass; /* which one; of another than the last whole one: no flow was found */
	uint32_t flows[FLOW_STATE_COUNT][FLOW_ENGINE_COUNT];
	uint32_t wan_legs; /* that a round trip is known of: what the spreads are of */
	uint32_t subflows; /* of these legs */
	struct flow_spread rtt_us; /* smoothed round trips */
	struct flow_spread cwnd; /* congestion windows, segments */
	uint64_t backlog_up; /* bytes taken, not yet acknowledged by remotes */
	uint64_t backlog_down; /* nor by clients */
};

struct flow_stats {
	struct flow_totals totals;
	struct flow_sample samples[2]; /* of passes with even and odd numbers */
};

/* How many flows came by a port entry: in an array of its own, as main goes over
 * all entries often and few of them are ever used. */
struct port_flows {
	uint64_t begun;
	uint32_t alive; /* half-open ones included */
	uint32_t reserved; /* zero */
};

/* Figures of flows, over all relays. */
struct flow_figures {
	uint64_t alive; /* half-open ones included */
	struct flow_totals totals; /* of a port: since its entry was made */
	struct flow_sample now; /* within the last second or two; `pass` means nothing */
};

#endif
