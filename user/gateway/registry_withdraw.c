// SPDX-License-Identifier: GPL-2.0
/* How entries of the registry go: when they have rested, and their last flow is gone. */
#include "registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry_private.h"

/* Longer, at two sweeps a second, than a relay may be silent before SYNs that it has
 * not looked at are no longer taken up (1 s). */
#define REST_SWEEPS 3

struct port_collection {
	const struct registry *registry;
	struct port_entry **ports;
	size_t count;
	bool (*wanted)(const struct registry *registry, const struct port_entry *port,
		       const void *subject);
	const void *subject;
};

static void collect_port(const struct port_entry *port, void *context)
{
	struct port_collection *collection = context;

	if (collection->wanted(collection->registry, port, collection->subject))
		collection->ports[collection->count++] = (struct port_entry *)port;
}

/* Calls change for all wanted ports; collected first, because change may take
 * them out of the trees. */
static int for_ports(struct registry *registry,
		     bool (*wanted)(const struct registry *, const struct port_entry *,
				    const void *),
		     const void *subject, void (*change)(struct registry *, struct port_entry *))
{
	struct port_collection collection = { .registry = registry,
					      .wanted = wanted,
					      .subject = subject };

	collection.ports = calloc(registry->port_count + 1, sizeof(*collection.ports));
	if (!collection.ports)
		return -ENOMEM;
	registry_each_port(registry, collect_port, &collection);
	for (size_t i = 0; i < collection.count; i++)
		change(registry, collection.ports[i]);
	free(collection.ports);
	return 0;
}

static void withdraw(struct registry *registry, struct port_entry *port)
{
	/* It stays until it has rested, even without a flow: a SYN that is held may not be
	 * known as one yet, and without the entry it would pass to the remote when it is
	 * given back, which the relay is connected to already. */
	port->rested = 0;
	registry_count_active(port, -1);
	port->value.flags |= PORT_DRAINING;
	registry_write_port(registry, port);
	registry->draining = true;
}

/* A question about agents' active entries. */
struct leased {
	bool (*wanted)(const struct registry *registry, const struct port_entry *port,
		       const void *subject);
	const void *subject;
	size_t count; /* entries for which the answer was yes */
};

static bool is_leased(const struct registry *registry, const struct port_entry *port,
		      const void *question)
{
	struct leased *leased = (struct leased *)question;

	if (!port->lease || port_is_draining(port) ||
	    !leased->wanted(registry, port, leased->subject))
		return false;
	leased->count++;
	return true;
}

static bool is_port_of(const struct registry *registry, const struct port_entry *port,
		       const void *proxy)
{
	(void)registry;
	return port->proxy == proxy && !port_is_draining(port);
}

static void withdraw_leased(struct registry *registry, struct port_entry *port)
{
	port->lease->lapsed = true;
	withdraw(registry, port);
}

size_t registry_withdraw_leased(struct registry *registry,
				bool (*wanted)(const struct registry *registry,
					       const struct port_entry *port, const void *subject),
				const void *subject)
{
	struct leased leased = { .wanted = wanted, .subject = subject };

	/* Short of memory, the next sweep finds them again. */
	for_ports(registry, is_leased, &leased, withdraw_leased);
	return leased.count;
}

void registry_withdraw_agents(struct registry *registry, const struct proxy_entry *proxy)
{
	registry_withdraw_leased(registry, is_port_of, proxy);
}

int registry_withdraw(struct registry *registry, const uint8_t address[16], uint16_t service_port,
		      char *error)
{
	const struct proxy_entry *proxy = registry_find_proxy(registry, address);
	struct port_entry *port = NULL;
	int result;

	if (proxy && service_port)
		port = (struct port_entry *)registry_find_port(proxy, service_port);
	if (!proxy || (service_port && !port)) {
		snprintf(error, REGISTRY_ERROR_MAX, "no such entry: see `sluice show ports`");
		return -ENOENT;
	}
	if (port) {
		if (!port_is_draining(port))
			withdraw(registry, port);
	} else {
		result = for_ports(registry, is_port_of, proxy, withdraw);
		if (result) {
			snprintf(error, REGISTRY_ERROR_MAX, "%s", strerror(-result));
			return result;
		}
	}
	return 0;
}

static bool is_idle_of(const struct registry *registry, const struct port_entry *port,
		       const void *proxy)
{
	return port->proxy == proxy && registry_is_resting(registry, port);
}

void registry_remove_idle(struct registry *registry, const struct proxy_entry *proxy)
{
	for_ports(registry, is_idle_of, proxy, registry_remove_port);
}

static bool is_outdated(const struct registry *registry, const struct port_entry *port,
			const void *subject)
{
	(void)subject;
	return port->origin == ORIGIN_CONFIG && port->generation != registry->generation &&
	       !port_is_draining(port);
}

int registry_withdraw_outdated(struct registry *registry)
{
	return for_ports(registry, is_outdated, NULL, withdraw);
}

static bool is_drained(const struct registry *registry, const struct port_entry *port,
		       const void *subject)
{
	(void)subject;
	return registry_is_resting(registry, port) && port->rested >= REST_SWEEPS;
}

static void note_draining(const struct port_entry *port, void *context)
{
	struct registry *registry = context;
	struct port_entry *entry = (struct port_entry *)port;

	if (!port_is_draining(port))
		return;
	registry->draining = true;
	if (!registry_is_resting(registry, port))
		entry->rested = 0;
	else if (entry->rested < REST_SWEEPS)
		entry->rested++;
}

void registry_sweep(struct registry *registry)
{
	params_table_sweep(&registry->params);
	if (!registry->draining)
		return;
	for_ports(registry, is_drained, NULL, registry_remove_port);
	registry->draining = false;
	registry_each_port(registry, note_draining, registry);
}
