/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The relay's figures of its flows (flow_stats.h): passes over all of them, a few
 * at a turn, while main wants it; and what is counted when a flow ends.
 */
#ifndef SLUICE_FLOW_SAMPLING_H
#define SLUICE_FLOW_SAMPLING_H

#include "gateway_flow.h"

/* Goes on with a pass, or begins the next one when it is due. Once a turn. */
void flow_sampling_run(struct gateway_relay *relay);

/* A pass is under way: the next turn should come soon. */
bool flow_sampling_is_due(const struct gateway_relay *relay);

/* The flow is about to end; record describes it with its legs still open. */
void flow_sampling_end(struct gateway_flow *flow, const struct flow_record *record);

/* The flow has ended, its legs are closed; it leaves the list of flows. */
void flow_sampling_leave(struct gateway_flow *flow);

#endif
