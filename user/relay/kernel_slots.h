/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The slots of the flows that the kernel carries (include/splice.h), as their
 * relay sees them: which are free, and what goes into the maps with a flow. What
 * is done with them is kernel_engine.c's.
 */
#ifndef SLUICE_KERNEL_SLOTS_H
#define SLUICE_KERNEL_SLOTS_H

#include "relay_flow.h"
#include "splice.h"
#include "splice_program.h"

struct ring_buffer;

struct kernel_slots {
	struct splice_maps maps; /* owned */
	struct splice_direction *directions; /* mapping of that map */
	struct kernel_slot {
		struct relay_flow *flow; /* NULL: free */
		uint64_t cookies[2]; /* of the client's and the remote's leg */
	} * slots;
	uint32_t *free; /* numbers of free slots */
	uint32_t free_count;
	struct ring_buffer *events;
	struct watch events_watch;
};

/* Takes over the maps, and watches the events for the relay. 0 or a negative errno. */
int kernel_slots_open(struct relay *relay, const struct splice_maps *maps,
		      struct kernel_slots **slots);

void kernel_slots_close(struct kernel_slots *slots);

/*
 * Puts the flow's legs where the program finds them, both directions held. True
 * when at least one leg is in: legs say which (in_kernel), and directions have
 * `shared`. False when nothing has changed.
 */
bool kernel_slots_enter(struct kernel_slots *slots, struct relay_flow *flow);

/* Gives the slot of a flow back whose legs are closed. */
void kernel_slots_leave(struct kernel_slots *slots, struct relay_flow *flow);

#endif
