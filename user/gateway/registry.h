/* SPDX-License-Identifier: GPL-2.0 */
/*
 * main's own account of proxies, ports and parameters, and the one place that
 * writes them into proxy_table, port_table and param_table.
 */
#ifndef SLUICE_REGISTRY_H
#define SLUICE_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway_config.h"
#include "lease.h"
#include "tables.h"

#define REGISTRY_ERROR_MAX 256

struct registry;

/* Who an entry comes from. */
enum origin { ORIGIN_CONFIG, ORIGIN_CLI, ORIGIN_AGENT };

/* Parameters that at least one port uses. */
struct params_entry {
	uint32_t id; /* key of param_table */
	uint32_t ports; /* how many port entries use them */
	struct identity *identity; /* of the agent they were made for; NULL: for a static entry */
	struct wan_params params;
};

/* One remote or next-hop router. */
struct proxy_entry {
	uint8_t address[16]; /* first: the key it is found by; network byte order */
	uint32_t proxy_id;
	bool nexthop;
	enum origin origin; /* of the entry that was made last */
	const struct identity *identity; /* that made it; NULL: not an agent */
	size_t port_count; /* draining ones included */
	size_t static_ports; /* active ones from configuration or by hand */
	size_t agent_ports; /* active ones from agents, all of one identity */
	void *ports; /* tsearch(3) tree of struct port_entry */
};

/* One port of a proxy. */
struct port_entry {
	uint16_t service_port; /* first: the key it is found by; host byte order */
	enum origin origin;
	struct lease *lease; /* ORIGIN_AGENT; NULL otherwise */
	uint64_t generation; /* of the configuration that named it last */
	struct proxy_entry *proxy;
	struct params_entry *params;
	struct port_value value; /* as in port_table */
	uint8_t rested; /* draining: so many sweeps in a row have found no flow */
};

/* What to enter. */
struct registration {
	uint8_t address[16];
	bool nexthop;
	bool trunk_ended; /* by the remote's agent: PORT_TRUNK_ENDED */
	uint16_t service_port;
	uint16_t trunk_port;
	struct wan_params params;
	enum origin origin;
	struct lease *lease; /* ORIGIN_AGENT; NULL otherwise */
};

struct registry_options {
	int proxy_table, port_table, param_table, listen_table; /* descriptors, borrowed */
	uint32_t max_ports;
	/* Flows that came by this port entry and live. */
	uint64_t (*flows_of)(uint32_t port_id, void *context);
	/* A port entry was made with this number. */
	void (*port_made)(uint32_t port_id, void *context);
	/* The number of next-hop entries has changed. */
	void (*nexthop_changed)(uint32_t count, void *context);
	/* The number of listen ports has changed. */
	void (*listen_ports_changed)(uint32_t count, void *context);
	void *context;
};

int registry_new(const struct registry_options *options, struct registry **registry);
void registry_free(struct registry *registry);

/*
 * Enters a port, and its proxy if it is the first. An entry that is draining
 * comes back to life with the new values. 0, -EEXIST for one that is active,
 * -EINVAL, -ENOSPC, -EOPNOTSUPP or another negative errno, with one line in
 * error (REGISTRY_ERROR_MAX bytes) and nothing changed.
 *
 * An address belongs to one identity, or is static: agents get -EEXIST for
 * another's, and may change what is theirs. A static entry takes the address
 * from an agent, whose entries there are withdrawn.
 */
int registry_add(struct registry *registry, const struct registration *registration, char *error);

/*
 * Withdraws one port, or all of a proxy when service_port is 0. They drain: their
 * SYNs pass, and they go by registry_sweep() when they have been without flows for
 * a while. 0, or -ENOENT or -ENOMEM with error set.
 */
int registry_withdraw(struct registry *registry, const uint8_t address[16], uint16_t service_port,
		      char *error);

/* Withdraws the agents' entries that are wanted, and notes in their leases that
 * they lapsed; returns how many. */
size_t registry_withdraw_leased(struct registry *registry,
				bool (*wanted)(const struct registry *registry,
					       const struct port_entry *port, const void *subject),
				const void *subject);

/* Adds the flows of all entries to their identities, and sets or clears
 * PORT_FULL on the entries of one that is full, or is no longer. */
void registry_count_flows(struct registry *registry);

/* Whether this kernel and this version can do what the ports of a configuration
 * ask for. 0, or a negative errno with the first that they cannot in error. */
int registry_check(const struct gateway_config *config, char *error);

/* Makes the entries of origin config those of this configuration: enters new
 * ones, changes changed ones, withdraws the others. 0, or the first error; the
 * rest is applied all the same. */
int registry_apply(struct registry *registry, const struct gateway_config *config, char *error);

/*
 * Every entry has a listen port, and new ones get one: they are taken from range.
 * NULL: entries keep what they have, and new ones get none. On error, one line in
 * error, what there was stays.
 */
int registry_use_listen_ports(struct registry *registry, const struct port_range *range,
			      char *error);

/* Removes draining entries that have rested, and parameters that nobody uses. To be
 * called twice a second. */
void registry_sweep(struct registry *registry);

const struct proxy_entry *registry_find_proxy(const struct registry *registry,
					      const uint8_t address[16]);
const struct port_entry *registry_find_port(const struct proxy_entry *proxy, uint16_t service_port);

/* The port entry with this number, or NULL. */
const struct port_entry *registry_port_by_id(const struct registry *registry, uint32_t port_id);

/* Whether an entry has been withdrawn and no flow is left of it: it only waits for
 * SYNs that may still be held, and to who looks at the tables it is gone. */
bool registry_is_resting(const struct registry *registry, const struct port_entry *port);

/* Calls visit for every entry, resting ones included, in order of address and port. */
void registry_each_port(const struct registry *registry,
			void (*visit)(const struct port_entry *port, void *context), void *context);
void registry_each_params(const struct registry *registry,
			  void (*visit)(const struct params_entry *params, void *context),
			  void *context);

/* Resting entries, and proxies that have no others, do not count. */
size_t registry_proxy_count(const struct registry *registry);
size_t registry_port_count(const struct registry *registry);
uint32_t registry_nexthop_count(const struct registry *registry);

/* How many port entries have been removed since the start. */
uint64_t registry_removals(const struct registry *registry);
size_t registry_params_count(const struct registry *registry);
size_t registry_leased_count(const struct registry *registry);

static inline bool port_is_draining(const struct port_entry *port)
{
	return port->value.flags & PORT_DRAINING;
}

#endif
