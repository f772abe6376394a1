/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What main tells the metrics process (metrics_server.c): one snapshot in memory
 * that the two share and that main alone writes, and words of one number over a
 * SOCK_SEQPACKET pair. The process asks; main writes and answers; until it is
 * asked again, what it wrote stays.
 */
#ifndef SLUICE_METRICS_SNAPSHOT_H
#define SLUICE_METRICS_SNAPSHOT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "counters.h"
#include "flow_stats.h"
#include "registration.h"
#include "tables.h"

enum metrics_word {
	METRICS_READY, /* to main: it serves */
	METRICS_ASK, /* to main: a snapshot, please */
	METRICS_TAKEN, /* from main: there it is */
};

/* Port entries in a snapshot; so many series may a gateway have at most. */
#define METRICS_REMOTES_MAX 1000

#define METRICS_INTERFACES_MAX 64

/* main, registrar and metrics beside the relays. */
#define METRICS_PROCESSES_MAX (SLUICE_MAX_RELAYS + 3)

#define METRICS_STATE_MAX 12

struct metrics_process_figures {
	const char *name; /* of its kind; a literal, the same in both processes */
	uint32_t index; /* among its kind */
	char state[METRICS_STATE_MAX]; /* "serving", "hung", ... */
	pid_t pid; /* 0: there is none */
	uint32_t restarts;
	uint64_t cpu_us; /* user and system time of the present one */
	uint64_t resident_bytes;
	bool is_relay; /* the rest is meant */
	uint64_t flows;
	uint64_t flow_limit; /* that its descriptors suffice for; 0: not known */
};

struct metrics_interface {
	char dev[IFNAMSIZ];
	bool is_lan;
	const char *attached_by; /* "tcx", "clsact" or "gone"; a literal */
};

struct metrics_table {
	uint64_t entries;
	uint64_t limit;
};

/* A port entry that flows have come by. */
struct metrics_remote {
	uint8_t address[16]; /* network byte order, v4-mapped */
	uint16_t service_port;
	uint16_t trunk_port;
	bool nexthop; /* the address is a router's */
	bool draining;
	char identity[IDENTITY_NAME_MAX]; /* "": static */
	struct flow_figures figures;
};

struct metrics_snapshot {
	uint64_t taken_us; /* CLOCK_MONOTONIC */
	uint64_t uptime_us;
	uint64_t started_ms; /* since 1970 */
	char state[METRICS_STATE_MAX]; /* "running", "draining" or "stopping" */
	struct metrics_table proxies, ports, params, half_open;
	uint64_t services; /* entries that agents have registered */
	struct intercept_counters intercept;
	struct relay_counters relays; /* of all together */
	struct registrar_counters registrar;
	struct log_counters log;
	struct flow_figures figures; /* of all flows */
	uint32_t process_count, interface_count, remote_count;
	uint32_t remotes_omitted; /* port entries with flows beyond METRICS_REMOTES_MAX */
	struct metrics_process_figures processes[METRICS_PROCESSES_MAX];
	struct metrics_interface interfaces[METRICS_INTERFACES_MAX];
	struct metrics_remote remotes[METRICS_REMOTES_MAX]; /* in order of address and port */
};

#endif
