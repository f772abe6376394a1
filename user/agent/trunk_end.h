/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trunks that the agent ends itself: listens on their ports, has a process
 * for each service (trunk_relay.h) and keeps it running.
 */
#ifndef SLUICE_AGENT_TRUNK_END_H
#define SLUICE_AGENT_TRUNK_END_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "agent_config.h"

#define TRUNK_END_ERROR_MAX 256

struct trunk_end;

/* All zero but event: none. */
struct trunk_ends {
	sd_event *event; /* borrowed */
	struct trunk_end **ends; /* owned, array_add() */
	size_t count;
	struct mptcp_manager *manager; /* once MPTCP is asked for; owned */
	uint32_t limit_before; /* of subflows, to be put back */
	bool has_limit;
	enum { KERNEL_ENGINE_UNTRIED, KERNEL_ENGINE_WORKS, KERNEL_ENGINE_FAILED } kernel_engine;
	void (*idle)(void *context); /* a trunk has ended that was to */
	void *context;
};

/*
 * Makes the ended trunks those of a configuration: one that is not named any
 * more takes no new connections and ends with its last flow. 0, or a negative
 * errno with one line in error (TRUNK_END_ERROR_MAX bytes) and nothing changed.
 */
int trunk_ends_apply(struct trunk_ends *ends, const struct agent_config *config, char *error);

/* No new connections at any trunk. */
void trunk_ends_drain(struct trunk_ends *ends);

/* Whether the last process has ended after trunk_ends_drain(). */
bool trunk_ends_are_idle(const struct trunk_ends *ends);

/* Resets the flows that are left. */
void trunk_ends_free(struct trunk_ends *ends);

#endif
