/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The relay process: owns the flows that BPF hands it, from the held SYN
 * (half_open.c) over the joined legs (flow engine: splice_engine.c) to the
 * last byte. One thread, one epoll loop; shares nothing with other relays.
 */
#ifndef SLUICE_RELAY_H
#define SLUICE_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "counters.h"
#include "list.h"
#include "pipe_pool.h"
#include "tables.h"

struct ring_buffer;

/* Something in the relay's epoll set. Embedded in what it watches. */
struct watch {
	void (*ready)(struct watch *watch, uint32_t events);
};

/* Memory that main and one relay share; outlives the relay. */
struct relay_shared {
	struct relay_counters counters;
	uint64_t flows; /* flows alive, half-open ones included */
	uint32_t port_flows[]; /* of these, by port_id; as many as port_table has entries */
};

/* What main gives a relay at birth. Descriptors belong to the relay. */
struct relay_setup {
	unsigned index;
	pid_t main_pid;
	int listeners[2]; /* listening, transparent: IPv4, IPv6; -1: no such family */
	int channel; /* to main, SOCK_SEQPACKET */
	int ring_map; /* ring buffer of syn_events */
	int half_open_map;
	int param_map;
	int socket_map; /* see tune_socket(); -1: sockets are not tuned */
	uint64_t *half_open_by_client; /* mapping of that map */
	struct relay_state *state; /* this relay's entry of the map relays */
	struct relay_shared *shared;
	const char *user; /* whom to run as */
};

#define HALF_OPEN_HASH_SIZE 4096

struct relay {
	struct relay_setup setup;
	int epoll;
	struct ring_buffer *ring;
	int packet_reinject; /* AF_PACKET sockets: marked to reach the listener, */
	int packet_forward; /* marked to be forwarded, */
	int packet_reply; /* and unmarked, to the client */
	uint64_t now_ns; /* CLOCK_MONOTONIC at the start of this turn */
	uint64_t next_sweep_ns;
	uint64_t next_flow;
	uint64_t flow_limit; /* flows that the descriptors suffice for */
	bool stopping;
	bool letting_go; /* SYNs that are held for long are forwarded */
	struct pipe_pool pipes;
	struct list flows; /* all, oldest first */
	struct list runnable; /* have more to do than one turn's share */
	struct list ended; /* freed when the turn is over */
	struct list half_open[HALF_OPEN_HASH_SIZE]; /* by tuple, until joined */
	struct watch channel_watch;
	struct watch ring_watch;
	struct relay_listener {
		struct watch watch;
		struct relay *relay;
		int fd;
	} listeners[2];
	struct list *listing; /* next flow of the list being sent to main; NULL: none */
	uint32_t listing_cookie;
};

/* Runs a relay until main tells it to stop or goes away; returns the exit status. */
int relay_run(const struct relay_setup *setup);

/* Adds fd to the epoll set. watch must outlive fd. 0 or a negative errno. */
int relay_watch(struct relay *relay, int fd, uint32_t events, struct watch *watch);

static inline void relay_count(__u64 *counter, uint64_t by)
{
	/* Read by main while it changes: never torn, order does not matter. */
	__atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

#endif
