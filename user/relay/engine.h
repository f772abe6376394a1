/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Joined flows: moves what their peers send, passes on how they end, and ends
 * them. Who carries the bytes is splice_engine.c's or kernel_engine.c's; what is
 * the same for both is here: turns, half-close, resets, and when a flow is over.
 */
#ifndef SLUICE_ENGINE_H
#define SLUICE_ENGINE_H

#include "relay_flow.h"

/* Bytes one direction may move before other flows have their turn. */
#define TURN_BYTES (1024 * 1024)

/* What a step of a direction came to. */
enum step {
	STEP_MOVED, /* bytes moved or a FIN seen; there may be more */
	STEP_WAIT, /* nothing to do until epoll, or the kernel's engine, says so */
	STEP_FROM_FAILED, /* the leg `from` is dead, errno says why */
	STEP_TO_FAILED,
};

/* Both legs of the flow are up: it is FLOW_OPEN from now on. */
void engine_join(struct relay_flow *flow);

/* Once a second: gives a flow that says nothing to the kernel. */
void engine_consider_idle(struct relay_flow *flow);

/* Takes note of what the kernel has carried since the flow was last looked at. */
void engine_look(struct relay_flow *flow);

/* Moves what can be moved, within one turn's share. May end the flow. */
void engine_run(struct relay_flow *flow);

#endif
