/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The remote's half of the parameters: connections that this host accepts at
 * its trunk ports are run as their service says, so that what the remote sends
 * over the WAN is tuned as what the gateway sends is.
 */
#ifndef SLUICE_TRUNK_TUNING_H
#define SLUICE_TRUNK_TUNING_H

#include <stddef.h>
#include <stdint.h>

#include "agent_config.h"
#include "tune.h"

/* All zero: nothing is tuned. */
struct trunk_tuning {
	struct tune *tune; /* opened when a service first asks for something; owned */
	uint16_t *ports; /* that are tuned now; owned */
	size_t port_count;
	uint32_t rtt_us; /* stands in for a rtt that a service does not have; 0: none yet */
};

/* Makes the tuned ports those of a configuration. What cannot be tuned is
 * logged, and the services work without. 0 or -ENOMEM. */
int trunk_tuning_apply(struct trunk_tuning *tuning, const struct agent_config *config);

/* The gateways have measured another round trip: what is tuned by it is tuned anew,
 * for connections from now on. config is that of trunk_tuning_apply(). */
void trunk_tuning_path(struct trunk_tuning *tuning, const struct agent_config *config,
		       uint32_t rtt_us);

/* To be called now and then: the daemon of this host that had registered
 * linkrate may be gone, and linkrate with it. */
void trunk_tuning_keep(struct trunk_tuning *tuning);

/* Connections that are open keep what they have. */
void trunk_tuning_free(struct trunk_tuning *tuning);

#endif
