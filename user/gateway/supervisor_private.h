/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by supervisor.c, relay_spawn.c and flow_collection.c only. */
#ifndef SLUICE_SUPERVISOR_PRIVATE_H
#define SLUICE_SUPERVISOR_PRIVATE_H

#include "channel.h"
#include "child.h"
#include "ended_ring.h"
#include "gateway_relay.h"
#include "list.h"
#include "supervisor.h"

/* A relay as main sees it. */
struct relay_process {
	struct supervisor *supervisor;
	unsigned index;
	enum relay_phase phase;
	pid_t pid;
	int channel;
	sd_event_source *channel_source;
	sd_event_source *child_source;
	sd_event_source *restart_timer;
	struct relay_shared *shared; /* outlives its relays */
	size_t shared_size;
	struct flow_stats *port_stats; /* so does this; max_ports */
	struct ended_ring *ended; /* in memory shared with the relay; outlives it */
	struct child_restarts restarts;
};

struct supervisor {
	struct supervisor_options options;
	struct relay_process relays[SLUICE_MAX_RELAYS];
	bool announced; /* all_serving was called */
	struct flow_totals *port_bases; /* by port_id: what it had when its present entry was made */
	uint32_t next_cookie;
	struct list collections; /* struct flow_collection */
	struct trace_filter traces[TRACES_MAX];
	uint8_t tracing; /* bit mask of those in use */
	sd_event_source *ended_timer; /* on: relays have said that flows ended */
};

/* Memory for figures of all ports: takes room only as it is used. NULL: there is none. */
struct flow_stats *port_stats_new(uint32_t max_ports);
void port_stats_free(struct flow_stats *stats, uint32_t max_ports);

/* A relay is gone: its flows are. */
void port_stats_forget(struct relay_process *relay);

/* Starts a relay process; on success pid and channel are set. */
int relay_spawn(struct relay_process *relay);

/* A message with flows, or the end of a relay's list, came in. */
void flow_collection_message(struct supervisor *supervisor, const struct relay_process *relay,
			     const struct channel_message *message);

/* A relay is gone: nobody waits for its flows any longer. */
void flow_collection_relay_gone(struct supervisor *supervisor, const struct relay_process *relay);

/* Answers all collections under way with what they have. */
void flow_collection_end_all(struct supervisor *supervisor);

#endif
