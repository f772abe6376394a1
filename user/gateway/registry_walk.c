// SPDX-License-Identifier: GPL-2.0
/* Going over all entries of the registry, and adding up what they have. */
#include <search.h>

#include "registry_private.h"

/* ---- walking ---- */

struct walk {
	void (*visit_port)(const struct port_entry *port, void *context);
	void (*visit_params)(const struct params_entry *params, void *context);
	void *context;
};

static void walk_port(const void *node, VISIT order, void *closure)
{
	const struct walk *walk = closure;

	if (order == postorder || order == leaf)
		walk->visit_port(*(struct port_entry *const *)node, walk->context);
}

static void walk_proxy(const void *node, VISIT order, void *closure)
{
	const struct proxy_entry *proxy = *(struct proxy_entry *const *)node;

	if (order == postorder || order == leaf)
		twalk_r(proxy->ports, walk_port, closure);
}

static void walk_params(const void *node, VISIT order, void *closure)
{
	const struct walk *walk = closure;

	if (order == postorder || order == leaf)
		walk->visit_params(*(struct params_entry *const *)node, walk->context);
}

void registry_each_port(const struct registry *registry,
			void (*visit)(const struct port_entry *, void *), void *context)
{
	struct walk walk = { .visit_port = visit, .context = context };

	twalk_r(registry->proxies, walk_proxy, &walk);
}

void registry_each_params(const struct registry *registry,
			  void (*visit)(const struct params_entry *, void *), void *context)
{
	struct walk walk = { .visit_params = visit, .context = context };

	twalk_r(registry->params.by_value, walk_params, &walk);
}

bool registry_is_resting(const struct registry *registry, const struct port_entry *port)
{
	return port_is_draining(port) && registry_flows_of(registry, port) == 0;
}

struct counts {
	const struct registry *registry;
	const struct proxy_entry *last; /* of the port counted last: they come in its order */
	size_t proxies, ports;
};

static void count_port(const struct port_entry *port, void *context)
{
	struct counts *counts = context;

	if (registry_is_resting(counts->registry, port))
		return;
	counts->ports++;
	if (counts->last != port->proxy)
		counts->proxies++;
	counts->last = port->proxy;
}

static struct counts count_entries(const struct registry *registry)
{
	struct counts counts = { .registry = registry };

	if (registry->draining)
		registry_each_port(registry, count_port, &counts);
	else /* none rests */
		counts = (struct counts){ .proxies = registry->proxy_count,
					  .ports = registry->port_count };
	return counts;
}

size_t registry_proxy_count(const struct registry *registry)
{
	return count_entries(registry).proxies;
}

size_t registry_port_count(const struct registry *registry)
{
	return count_entries(registry).ports;
}

size_t registry_leased_count(const struct registry *registry)
{
	return registry->leased_count;
}

uint32_t registry_nexthop_count(const struct registry *registry)
{
	return registry->nexthop_count;
}

uint64_t registry_removals(const struct registry *registry)
{
	return registry->removals;
}

size_t registry_params_count(const struct registry *registry)
{
	return registry->params.count;
}

struct flow_sum {
	const struct registry *registry;
	uint64_t flows;
};

static void sum_flows(const struct port_entry *port, void *context)
{
	struct flow_sum *sum = context;

	sum->flows += registry_flows_of(sum->registry, port);
}

uint64_t registry_proxy_flows(const struct registry *registry, const struct proxy_entry *proxy)
{
	struct flow_sum sum = { .registry = registry };
	struct walk walk = { .visit_port = sum_flows, .context = &sum };

	twalk_r(proxy->ports, walk_port, &walk);
	return sum.flows;
}

/* ---- flows of identities ---- */

static void add_flows(const struct port_entry *port, void *context)
{
	const struct registry *registry = context;

	if (port->lease)
		port->lease->identity->flows +=
			registry->options.flows_of(port->value.port_id, registry->options.context);
}

static void set_full(const struct port_entry *entry, void *registry)
{
	struct port_entry *port = (struct port_entry *)entry;
	const struct policy_config *policy;
	struct identity *identity;

	if (!port->lease)
		return;
	identity = port->lease->identity;
	policy = identity->policy;
	identity->full = policy && policy->max_flows && identity->flows >= policy->max_flows;
	if (!!(port->value.flags & PORT_FULL) == identity->full)
		return;
	port->value.flags ^= PORT_FULL;
	registry_write_port(registry, port);
}

void registry_count_flows(struct registry *registry)
{
	if (registry->leased_count == 0)
		return;
	registry_each_port(registry, add_flows, registry);
	registry_each_port(registry, set_full, registry);
}
