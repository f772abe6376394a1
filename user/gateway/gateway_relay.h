/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The gateway's relay process: a relay (user/relay/relay.h) whose flows begin
 * with a SYN that BPF hands it (half_open.c) and end with the last byte.
 */
#ifndef SLUICE_GATEWAY_RELAY_H
#define SLUICE_GATEWAY_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "counters.h"
#include "flow_stats.h"
#include "list.h"
#include "relay.h"
#include "splice_program.h"
#include "tables.h"
#include "trace.h"

struct mptcp_manager;
struct ended_ring;
struct ring_buffer;

/* Memory that main and one relay share; outlives the relay. */
struct relay_shared {
	struct relay_counters counters;
	uint64_t flows; /* flows alive, half-open ones included */
	uint64_t rewritten_flows; /* of these, those that XDP took */
	uint64_t flow_limit; /* as many as there may be; 0: not known yet */
	bool sampling; /* main wants stats, here and of the ports */
	uint32_t pass; /* the last whole one over all flows: samples[pass & 1] are of it */
	struct flow_stats stats; /* of all flows */
	struct port_flows port_flows[]; /* by port_id; as many as port_table has entries */
};

/* What main gives a relay at birth. Descriptors belong to the relay. */
struct gateway_relay_setup {
	unsigned index;
	pid_t main_pid;
	int listeners[2]; /* listening, transparent: IPv4, IPv6; -1: no such family */
	int channel; /* to main, SOCK_SEQPACKET */
	int ring_map; /* ring buffer of syn_events */
	int half_open_map;
	int nexthop_map; /* nexthop_flows */
	int param_map;
	int socket_map; /* see tune_socket(); -1: sockets are not tuned */
	struct splice_maps splice_maps; /* of the kernel engine; none: it is not offered */
	unsigned engine; /* enum engine_choice, of ports that say auto */
	uint64_t *half_open_by_client; /* mapping of that map */
	struct relay_state *state; /* this relay's entry of the map relays */
	struct relay_shared *shared;
	struct flow_stats *port_stats; /* shared with main as well; by port_id */
	struct ended_ring *ended; /* for main */
	const char *user; /* whom to run as */
};

/* A pass over all flows: see flow_sampling.c. */
struct flow_sampling {
	struct list *next; /* flow to be looked at; NULL: no pass is under way */
	uint64_t began_ns; /* CLOCK_MONOTONIC */
	uint64_t spent_ns; /* on this pass, of the relay's time */
	uint64_t next_pass_ns; /* CLOCK_MONOTONIC */
};

#define HALF_OPEN_HASH_SIZE 4096

struct gateway_relay {
	struct relay core;
	struct gateway_relay_setup setup;
	struct ring_buffer *ring;
	int packet_reinject; /* AF_PACKET sockets: marked to reach the listener, */
	int packet_forward; /* marked to be forwarded, */
	int packet_reply; /* and unmarked, to the client */
	struct mptcp_manager *manager; /* parallel.c; NULL: not needed yet */
	uint64_t next_flow;
	bool letting_go; /* SYNs that are held for long are forwarded */
	uint64_t overslept_ns; /* when it woke last from being stale (CLOCK_MONOTONIC); 0: never */
	struct list half_open[HALF_OPEN_HASH_SIZE]; /* flows by tuple, until joined */
	struct watch channel_watch;
	struct watch ring_watch;
	struct gateway_listener {
		struct watch watch;
		struct gateway_relay *relay;
		int fd;
	} listeners[2];
	struct trace_filter traces[TRACES_MAX];
	uint8_t tracing; /* bit mask of those in use */
	uint32_t traces_lost; /* events that main had no room for, since the last it took */
	struct list *listing; /* next flow of the list being sent to main; NULL: none */
	uint32_t listing_cookie;
	struct flow_sampling sampling;
};

/* Runs a relay until main tells it to stop or goes away; returns the exit status. */
int gateway_relay_run(const struct gateway_relay_setup *setup);

#endif
