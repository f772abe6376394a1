// SPDX-License-Identifier: GPL-2.0
/* Entries of the registry, in its trees and in the kernel's tables. */
#include "registry.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry_private.h"

static int compare_proxies(const void *one, const void *other)
{
	return memcmp(one, other, 16);
}

static int compare_ports(const void *one, const void *other)
{
	const struct port_entry *a = one, *b = other;

	return (int)a->service_port - (int)b->service_port;
}

const struct proxy_entry *registry_find_proxy(const struct registry *registry,
					      const uint8_t address[16])
{
	struct proxy_entry *const *found =
		(struct proxy_entry *const *)tfind(address, &registry->proxies, compare_proxies);

	return found ? *found : NULL;
}

const struct port_entry *registry_find_port(const struct proxy_entry *proxy, uint16_t service_port)
{
	struct port_entry wanted = { .service_port = service_port };
	struct port_entry *const *found = (struct port_entry *const *)tfind(&wanted, &proxy->ports,
									    compare_ports);

	return found ? *found : NULL;
}

const struct port_entry *registry_port_by_id(const struct registry *registry, uint32_t port_id)
{
	return port_id < registry->options.max_ports ? registry->by_id[port_id] : NULL;
}

/* ---- proxies ---- */

static int write_proxy(struct registry *registry, const struct proxy_entry *proxy)
{
	struct proxy_value value = { .proxy_id = proxy->proxy_id,
				     .flags = proxy->nexthop ? PROXY_NEXTHOP : 0 };
	struct proxy_key key;

	memcpy(key.address, proxy->address, sizeof(key.address));
	if (bpf_map_update_elem(registry->options.proxy_table, &key, &value, BPF_ANY) < 0)
		return -errno;
	return 0;
}

static void set_nexthop_count(struct registry *registry, uint32_t count)
{
	registry->nexthop_count = count;
	registry->options.nexthop_changed(count, registry->options.context);
}

static int add_proxy(struct registry *registry, const struct registration *registration,
		     struct proxy_entry **proxy)
{
	struct proxy_entry *new = calloc(1, sizeof(*new));
	int result;

	if (!new)
		return -ENOMEM;
	memcpy(new->address, registration->address, sizeof(new->address));
	new->proxy_id = ++registry->next_proxy_id;
	new->nexthop = registration->nexthop;
	new->origin = registration->origin;
	result = write_proxy(registry, new);
	if (!result && !tsearch(new, &registry->proxies, compare_proxies)) {
		bpf_map_delete_elem(registry->options.proxy_table, new->address);
		result = -ENOMEM;
	}
	if (result) {
		free(new);
		return result;
	}
	registry->proxy_count++;
	if (new->nexthop)
		set_nexthop_count(registry, registry->nexthop_count + 1);
	*proxy = new;
	return 0;
}

static void remove_proxy(struct registry *registry, struct proxy_entry *proxy)
{
	bpf_map_delete_elem(registry->options.proxy_table, proxy->address);
	tdelete(proxy, &registry->proxies, compare_proxies);
	registry->proxy_count--;
	if (proxy->nexthop)
		set_nexthop_count(registry, registry->nexthop_count - 1);
	free(proxy);
}

/* ---- ports ---- */

static struct port_key port_key(const struct port_entry *port)
{
	return (struct port_key){ .proxy_id = port->proxy->proxy_id,
				  .service_port = port->service_port };
}

int registry_write_port(struct registry *registry, const struct port_entry *port)
{
	struct port_key key = port_key(port);

	if (bpf_map_update_elem(registry->options.port_table, &key, &port->value, BPF_ANY) < 0)
		return -errno;
	return 0;
}

uint64_t registry_flows_of(const struct registry *registry, const struct port_entry *port)
{
	return registry->options.flows_of(port->value.port_id, registry->options.context);
}

void registry_count_active(struct port_entry *port, int by)
{
	if (port->origin == ORIGIN_AGENT)
		port->proxy->agent_ports += (size_t)by;
	else
		port->proxy->static_ports += (size_t)by;
}

bool registry_is_active(const struct port_entry *port)
{
	return port->params && !port_is_draining(port);
}

static void set_lease(struct registry *registry, struct port_entry *port, struct lease *lease)
{
	if (port->lease) {
		port->lease->ports--;
		registry->leased_count--;
	}
	if (lease) {
		lease->ports++;
		registry->leased_count++;
	}
	port->lease = lease;
}

static uint32_t flags_of(const struct registration *registration)
{
	uint32_t flags = registration->params.connect == CONNECT_EARLY ? PORT_EARLY : 0;

	if (registration->trunk_ended)
		flags |= PORT_TRUNK_ENDED;
	if (registration->lease && registration->lease->identity->full)
		flags |= PORT_FULL;
	return flags;
}

int registry_set_port(struct registry *registry, struct port_entry *port,
		      const struct registration *registration, char *error)
{
	struct port_entry before = *port;
	struct params_entry *params;
	int result = params_table_get(&registry->params, &registration->params,
				      identity_of(registration), &params, error);

	if (result)
		return result;
	port->params = params;
	port->value.params_id = params->id;
	port->value.trunk_port = registration->trunk_port;
	port->value.flags = flags_of(registration);
	result = registry_write_port(registry, port);
	if (result) {
		*port = before;
		params_table_put(params);
		snprintf(error, REGISTRY_ERROR_MAX, "port_table: %s", strerror(-result));
		return result;
	}
	if (before.params)
		params_table_put(before.params);
	if (registry_is_active(&before))
		registry_count_active(&before, -1);
	port->origin = registration->origin;
	registry_count_active(port, 1);
	set_lease(registry, port, registration->lease);
	port->proxy->origin = registration->origin;
	port->proxy->identity = identity_of(registration);
	return 0;
}

void registry_remove_port(struct registry *registry, struct port_entry *port)
{
	struct proxy_entry *proxy = port->proxy;
	struct port_key key = port_key(port);

	bpf_map_delete_elem(registry->options.port_table, &key);
	tdelete(port, &proxy->ports, compare_ports);
	if (registry_is_active(port))
		registry_count_active(port, -1);
	set_lease(registry, port, NULL);
	registry_give_back_listen_port(registry, port);
	if (port->params)
		params_table_put(port->params);
	registry->by_id[port->value.port_id] = NULL;
	registry->free_ids[registry->free_count++] = port->value.port_id;
	registry->port_count--;
	registry->removals++;
	proxy->port_count--;
	free(port);
	if (proxy->port_count == 0)
		remove_proxy(registry, proxy);
}

static int new_port(struct registry *registry, struct proxy_entry *proxy,
		    const struct registration *registration, struct port_entry **port)
{
	struct port_entry *new;
	int result;

	if (registry->free_count == 0)
		return -ENOSPC;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->service_port = registration->service_port;
	new->proxy = proxy;
	result = registry->listen_ports.range.first ? registry_take_listen_port(registry, new) : 0;
	if (result) {
		free(new);
		return result;
	}
	if (!tsearch(new, &proxy->ports, compare_ports)) {
		registry_give_back_listen_port(registry, new);
		free(new);
		return -ENOMEM;
	}
	new->value.port_id = registry->free_ids[--registry->free_count];
	registry->by_id[new->value.port_id] = new;
	registry->options.port_made(new->value.port_id, registry->options.context);
	registry->port_count++;
	proxy->port_count++;
	*port = new;
	return 0;
}

static int full_error(const struct registry *registry, int result, char *error)
{
	if (result == -EADDRNOTAVAIL)
		return registry_no_listen_port(registry, error);
	if (result == -E2BIG || result == -ENOSPC)
		snprintf(error, REGISTRY_ERROR_MAX,
			 "the tables are full: raise max-proxies and max-ports and restart");
	else
		snprintf(error, REGISTRY_ERROR_MAX, "proxy_table: %s", strerror(-result));
	return result;
}

static int other_kind_error(const struct proxy_entry *proxy, char *error)
{
	snprintf(error, REGISTRY_ERROR_MAX,
		 "this address is %s next-hop entry already: delete that one first",
		 proxy->nexthop ? "a" : "not a");
	return -EINVAL;
}

int registry_check_room(const struct registry *registry, const struct registration *registration,
			char *error)
{
	const struct proxy_entry *proxy = registry_find_proxy(registry, registration->address);

	if (proxy && proxy->nexthop != registration->nexthop) /* it goes, and its room is free */
		return registry_proxy_flows(registry, proxy) > 0 ? other_kind_error(proxy, error)
								 : 0;
	if (proxy && registry_find_port(proxy, registration->service_port))
		return 0;
	if (registry->free_count == 0)
		return full_error(registry, -ENOSPC, error);
	if (registry->listen_ports.range.first && !listen_ports_has_room(&registry->listen_ports))
		return full_error(registry, -EADDRNOTAVAIL, error);
	return 0;
}

int registry_enter(struct registry *registry, const struct registration *registration,
		   struct port_entry **port, char *error)
{
	struct proxy_entry *proxy =
		(struct proxy_entry *)registry_find_proxy(registry, registration->address);
	int result = 0;

	if (proxy && proxy->nexthop != registration->nexthop)
		return other_kind_error(proxy, error);
	if (proxy) {
		*port = (struct port_entry *)registry_find_port(proxy, registration->service_port);
		if (*port)
			return 0;
	} else {
		result = add_proxy(registry, registration, &proxy);
	}
	if (!result) {
		result = new_port(registry, proxy, registration, port);
		if (result && proxy->port_count == 0)
			remove_proxy(registry, proxy);
	}
	return result ? full_error(registry, result, error) : 0;
}
