/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The splice(2) engine: moves a flow's bytes between its legs through a pipe,
 * with true backpressure (what the receiver does not take stays in the
 * sender's window), half-close both ways and resets carried as resets.
 */
#ifndef SLUICE_SPLICE_ENGINE_H
#define SLUICE_SPLICE_ENGINE_H

#include "relay_flow.h"

/* Both legs of the flow are up: it is FLOW_OPEN from now on. */
void splice_engine_join(struct relay_flow *flow);

/* Moves what can be moved, within one turn's share. May end the flow. */
void splice_engine_run(struct relay_flow *flow);

/* Returns or discards the direction's pipe. */
void direction_release(struct relay *relay, struct direction *direction);

#endif
