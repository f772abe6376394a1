// SPDX-License-Identifier: GPL-2.0
/* Going over all entries of the registry, and adding up what they have. */
#include <search.h>

#include "registry_private.h"

/* ---- walking ---- */

struct walk {
	void (*visit_proxy)(const struct proxy_entry *proxy, void *context);
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
	const struct walk *walk = closure;

	if (order != postorder && order != leaf)
		return;
	if (walk->visit_proxy)
		walk->visit_proxy(proxy, walk->context);
	if (walk->visit_port)
		twalk_r(proxy->ports, walk_port, closure);
}

static void walk_params(const void *node, VISIT order, void *closure)
{
	const struct walk *walk = closure;

	if (order == postorder || order == leaf)
		walk->visit_params(*(struct params_entry *const *)node, walk->context);
}

void registry_each_proxy(const struct registry *registry,
			 void (*visit)(const struct proxy_entry *, void *), void *context)
{
	struct walk walk = { .visit_proxy = visit, .context = context };

	twalk_r(registry->proxies, walk_proxy, &walk);
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

size_t registry_proxy_count(const struct registry *registry)
{
	return registry->proxy_count;
}

size_t registry_port_count(const struct registry *registry)
{
	return registry->port_count;
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
