/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel engine: a flow whose bytes bpf/splice.bpf.c carries, while the relay
 * sleeps. The relay's part is what the program passes to it because a direction's
 * budget is used up, and to know when all has arrived.
 *
 * A flow that was given to the kernel stays there to its end: a socket that
 * leaves the kernel's map loses what it was passed at that moment.
 */
#ifndef SLUICE_KERNEL_ENGINE_H
#define SLUICE_KERNEL_ENGINE_H

#include "engine.h"
#include "splice_program.h"

/* Budget of a direction, bytes, of a flow that is not told another. */
#define KERNEL_BUDGET_DEFAULT (8U << 20)

/* Lets the relay give flows to the kernel. maps belong to the relay from now on. */
int kernel_engine_open(struct relay *relay, const struct splice_maps *maps);

void kernel_engine_close(struct relay *relay);

/*
 * Gives a joined flow to the kernel. Nothing of it may be in a pipe, and neither
 * peer may have finished. True when the flow is kernel_engine_move()'s from now
 * on; false when it is as it was, but maybe for larger send buffers.
 */
bool kernel_engine_take(struct relay_flow *flow);

/* One step of one direction: of bytes that the program passed. */
enum step kernel_engine_move(struct relay_flow *flow, struct direction *direction);

/* True when the other leg has been given all bytes of a direction that is finished. */
bool kernel_engine_is_through(struct relay_flow *flow, const struct direction *direction);

/* Adds what the kernel has carried meanwhile to the direction's bytes. */
void kernel_engine_look(struct direction *direction);

/* True when the program has passed bytes that were not taken, or has given up. */
bool kernel_engine_needs_relay(const struct direction *direction);

/* True when the relay carries the direction's bytes: some are passed and not forwarded. */
bool kernel_engine_is_passing(const struct direction *direction);

/* Bytes of the sending peer that are under way in the gateway, less those in the
 * other leg's send queue. */
uint64_t kernel_engine_backlog(const struct direction *direction);

/* The flow's legs are closed: forgets it. */
void kernel_engine_release(struct relay_flow *flow);

#endif
