/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by registry.c and registry_walk.c only. */
#ifndef SLUICE_REGISTRY_PRIVATE_H
#define SLUICE_REGISTRY_PRIVATE_H

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

/* Writes an entry as it is into port_table. 0 or a negative errno. */
int registry_write_port(struct registry *registry, const struct port_entry *port);

#endif
