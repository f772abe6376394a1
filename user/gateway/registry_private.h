/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by registry.c and registry_*.c only. */
#ifndef SLUICE_REGISTRY_PRIVATE_H
#define SLUICE_REGISTRY_PRIVATE_H

#include "lease.h"
#include "listen_ports.h"
#include "registry_params.h"

struct registry {
	struct registry_options options;
	struct params_table params;
	struct listen_ports listen_ports;
	void *proxies; /* tsearch(3) tree of struct proxy_entry */
	size_t proxy_count;
	size_t port_count;
	uint32_t next_proxy_id;
	uint32_t nexthop_count;
	struct port_entry **by_id; /* options.max_ports */
	uint32_t *free_ids; /* stack of unused port numbers */
	uint32_t free_count;
	uint64_t generation;
	uint64_t removals;
	size_t leased_count; /* entries of agents, draining ones included */
	bool draining; /* some entry is */
};

/* Whose service it is; NULL for a static entry. */
static inline struct identity *identity_of(const struct registration *registration)
{
	return registration->lease ? registration->lease->identity : NULL;
}

/* ---- registry_entries.c ---- */

/* Finds or makes the entry for a registration, with room in all tables. 0, or a
 * negative errno with what is wrong in error. */
int registry_enter(struct registry *registry, const struct registration *registration,
		   struct port_entry **port, char *error);

/* Whether registry_enter() will find room once agents' entries of the address have
 * been withdrawn. 0, or a negative errno with what is wrong in error. */
int registry_check_room(const struct registry *registry, const struct registration *registration,
			char *error);

/* Sets what a registration says of an entry, which is as it was if that fails. 0, or
 * a negative errno with what is wrong in error. */
int registry_set_port(struct registry *registry, struct port_entry *port,
		      const struct registration *registration, char *error);

/* Writes an entry as it is into port_table. 0 or a negative errno. */
int registry_write_port(struct registry *registry, const struct port_entry *port);

/* Takes an entry out of all tables and frees it, and its proxy with the last one. */
void registry_remove_port(struct registry *registry, struct port_entry *port);

/* How many flows of the entry run. */
uint64_t registry_flows_of(const struct registry *registry, const struct port_entry *port);

/* True when new connections by the entry are taken. */
bool registry_is_active(const struct port_entry *port);

/* Counts an entry among its proxy's active ones (1), or no longer (-1). */
void registry_count_active(struct port_entry *port, int by);

/* ---- registry_walk.c ---- */

/* How many flows of all entries of a proxy run. */
uint64_t registry_proxy_flows(const struct registry *registry, const struct proxy_entry *proxy);

/* ---- registry_listen.c ---- */

/* Gives the entry a listen port. 0 or a negative errno, -EADDRNOTAVAIL: all are in use. */
int registry_take_listen_port(struct registry *registry, struct port_entry *port);

/* Takes it away; nothing if there is none. */
void registry_give_back_listen_port(struct registry *registry, struct port_entry *port);

/* Says in error that all are in use. Returns -ENOSPC. */
int registry_no_listen_port(const struct registry *registry, char *error);

/* ---- registry_withdraw.c ---- */

/* Withdraws what agents have registered of the proxy. */
void registry_withdraw_agents(struct registry *registry, const struct proxy_entry *proxy);

/* Removes what is withdrawn of the proxy and has no flow, rested or not; the proxy
 * itself goes with its last entry. */
void registry_remove_idle(struct registry *registry, const struct proxy_entry *proxy);

/* Withdraws what the configuration had and has no more. 0 or -ENOMEM. */
int registry_withdraw_outdated(struct registry *registry);

#endif
