/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The intercept program in the kernel: loading, its pinned tables, and the
 * interfaces it is attached to. The only place that knows the skeleton.
 */
#ifndef SLUICE_INTERCEPT_H
#define SLUICE_INTERCEPT_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "counters.h"
#include "list.h"
#include "tables.h"
#include "xdp_program.h"

#define INTERCEPT_ERROR_MAX 256

struct intercept;

struct intercept_options {
	const char *pin_dir; /* on a bpffs; made when missing */
	uint32_t relays; /* 1..SLUICE_MAX_RELAYS */
	uint32_t max_proxies;
	uint32_t max_ports;
	uint32_t half_open; /* connections in all */
	uint32_t half_open_per_client;
	uint32_t syn_rate; /* SYNs a second of one client; 0: any */
};

enum intercept_side { SIDE_LAN, SIDE_WAN };

/* One interface the program is attached to. */
struct intercept_interface {
	struct list link;
	char dev[IFNAMSIZ];
	int ifindex;
	enum intercept_side side;
	enum xdp_mode xdp;
	bool tcx; /* by a tcx link; otherwise by clsact filters */
	int links[2]; /* ingress, egress; -1: none */
	bool made_qdisc; /* the clsact qdisc is ours to remove */
	bool unwanted; /* to be detached as soon as no flow runs */
};

/* Descriptors of the tables; borrowed. */
struct intercept_maps {
	int proxy_table;
	int port_table;
	int param_table;
	int half_open;
	int nexthop_flows;
	int listeners;
	int held_syns;
	int counters;
	int listen_table;
};

/*
 * Loads the program and pins its tables. Takes the lock on the pin directory,
 * which is how a second daemon on the same pins is refused, and removes pins
 * that a crashed one left. On error nothing is left behind and error holds one line.
 */
int intercept_load(const struct intercept_options *options, struct intercept **intercept,
		   char *error);

/* Detaches from all interfaces, removes the pins and unloads. */
void intercept_free(struct intercept *intercept);

/* 0 or a negative errno with one line in error (INTERCEPT_ERROR_MAX bytes). */
int intercept_attach(struct intercept *intercept, const char *dev, enum intercept_side side,
		     char *error);
int intercept_detach(struct intercept *intercept, const char *dev, char *error);

/* The interface was removed, and the program with it. */
bool intercept_interface_is_gone(const struct intercept_interface *interface);

/* "tcx" or "clsact"; "gone" when it was removed. */
const char *intercept_attached_by(const struct intercept_interface *interface);

/* Forgets the interfaces that were removed and made anew, so that they can be
 * attached again. */
void intercept_forget_remade(struct intercept *intercept);

/* The configuration does (not) name the interface any longer: see
 * intercept_detach_unwanted(). Unknown names are no error. */
void intercept_set_wanted(struct intercept *intercept, const char *dev, bool wanted);

/* Detaches from what is unwanted. Running flows would lose their packets: the
 * caller sees to it that there are none. */
void intercept_detach_unwanted(struct intercept *intercept);

/* The interface of that name, or NULL. */
const struct intercept_interface *intercept_find(const struct intercept *intercept,
						 const char *dev);

/* Whether an interface is attached as one of the LAN. */
bool intercept_is_lan(const struct intercept *intercept, int ifindex);

/* List of struct intercept_interface. */
const struct list *intercept_interfaces(const struct intercept *intercept);

struct intercept_maps intercept_maps(const struct intercept *intercept);

/* Mapped memory of relays and half_open_by_client. */
struct relay_state *intercept_relay_states(struct intercept *intercept);
uint64_t *intercept_half_open_by_client(struct intercept *intercept);

/* Whether the gateway has an address of the family on the LAN interface: by XDP, legs
 * land there. */
bool intercept_has_address(const struct intercept *intercept, int ifindex, bool ipv4);

/* How many next-hop entries proxy_table holds. */
void intercept_set_nexthop_entries(struct intercept *intercept, uint32_t count);

/* How many SYNs have passed that an old LAN leg in TIME_WAIT keeps from being
 * forwarded (time_wait.h). Only grows, and wraps. */
uint32_t intercept_old_legs_met(const struct intercept *intercept);

/* false: all SYNs pass from now on, running flows are still found. */
void intercept_set_accepting(struct intercept *intercept, bool accepting);

/*
 * New connections are taken by this way from now on; those of the other way are
 * still found. With WAY_XDP the XDP program is attached to all LAN interfaces, and
 * to those that come. On error, one line in error, nothing has changed.
 */
int intercept_set_way(struct intercept *intercept, enum way_in way, char *error);
enum way_in intercept_way(const struct intercept *intercept);

/* No connection of the way that does not take them runs any more. */
void intercept_end_other_way(struct intercept *intercept);

/* Reads the addresses of LAN interfaces again. */
void intercept_read_addresses(struct intercept *intercept);

/* A relay was started: see xdp_holder_watch(). */
void intercept_watch_relay(struct intercept *intercept, pid_t relay);

/* How many entries listen_table holds. */
void intercept_set_listen_ports(struct intercept *intercept, uint32_t count);

/* A new ring buffer for the relay, entered into held_syns: its descriptor,
 * owned by the caller, or a negative errno. */
int intercept_new_ring(struct intercept *intercept, uint32_t relay);

/* Sums of all CPUs. 0 or a negative errno. */
int intercept_read_counters(const struct intercept *intercept, struct intercept_counters *sum);

/* Entries of half_open now. */
uint32_t intercept_half_open_count(const struct intercept *intercept);

/* Removes the half-open entries of a relay that died, and their places in the budgets. */
void intercept_forget_relay(struct intercept *intercept, uint32_t relay);

#endif
