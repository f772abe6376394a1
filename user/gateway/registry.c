// SPDX-License-Identifier: GPL-2.0
/* See registry.h. */
#include "registry.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
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

int registry_new(const struct registry_options *options, struct registry **registry)
{
	struct registry *new = calloc(1, sizeof(*new));

	*registry = NULL;
	if (!new)
		return -ENOMEM;
	new->options = *options;
	new->params.map = options->param_table;
	new->listen_ports.map = options->listen_table;
	new->by_id = calloc(options->max_ports, sizeof(*new->by_id));
	new->free_ids = calloc(options->max_ports, sizeof(*new->free_ids));
	if (!new->by_id || !new->free_ids) {
		registry_free(new);
		return -ENOMEM;
	}
	for (uint32_t id = options->max_ports; id > 0; id--)
		new->free_ids[new->free_count++] = id - 1;
	*registry = new;
	return 0;
}

static void free_proxy(void *proxy)
{
	tdestroy(((struct proxy_entry *)proxy)->ports, free);
	free(proxy);
}

void registry_free(struct registry *registry)
{
	if (!registry)
		return;
	tdestroy(registry->proxies, free_proxy);
	params_table_free(&registry->params);
	free(registry->by_id);
	free(registry->free_ids);
	free(registry);
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

static uint64_t flows_of(const struct registry *registry, const struct port_entry *port)
{
	return registry->options.flows_of(port->value.port_id, registry->options.context);
}

/* Counts an entry among its proxy's active ones, or no longer. */
static void count_active(struct port_entry *port, int by)
{
	if (port->origin == ORIGIN_AGENT)
		port->proxy->agent_ports += (size_t)by;
	else
		port->proxy->static_ports += (size_t)by;
}

static bool is_active(const struct port_entry *port)
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

/* Sets what a registration says of a port that is in the tree. */
static int set_port(struct registry *registry, struct port_entry *port,
		    const struct registration *registration, char *error)
{
	struct port_entry before = *port;
	struct params_entry *params;
	int result = params_table_get(&registry->params, &registration->params, &params, error);

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
	if (is_active(&before))
		count_active(&before, -1);
	port->origin = registration->origin;
	count_active(port, 1);
	set_lease(registry, port, registration->lease);
	port->proxy->origin = registration->origin;
	port->proxy->identity = registration->lease ? registration->lease->identity : NULL;
	return 0;
}

/* ---- listen ports ---- */

static int take_listen_port(struct registry *registry, struct port_entry *port)
{
	struct listen_value value = { .service_port = port->service_port,
				      .flags = port->proxy->nexthop ? PROXY_NEXTHOP : 0 };
	int result;

	memcpy(value.address, port->proxy->address, sizeof(value.address));
	result = listen_ports_take(&registry->listen_ports, &value, &port->value.listen_port);
	if (!result)
		registry->options.listen_ports_changed(registry->listen_ports.count,
						       registry->options.context);
	/* Not to be taken for port numbers that are used up. */
	return result == -ENOSPC ? -EADDRNOTAVAIL : result;
}

static void give_back_listen_port(struct registry *registry, struct port_entry *port)
{
	if (!port->value.listen_port)
		return;
	listen_ports_give_back(&registry->listen_ports, port->value.listen_port);
	port->value.listen_port = 0;
	registry->options.listen_ports_changed(registry->listen_ports.count,
					       registry->options.context);
}

static int no_listen_port(const struct registry *registry, char *error)
{
	const struct port_range *range = &registry->listen_ports.range;

	snprintf(error, REGISTRY_ERROR_MAX,
		 "all %u listen ports (%u-%u) are in use: widen listen-ports, which can hold 65535, "
		 "or use intercept = tc",
		 listen_ports_capacity(&registry->listen_ports), range->first, range->last);
	return -ENOSPC;
}

static void remove_port(struct registry *registry, struct port_entry *port)
{
	struct proxy_entry *proxy = port->proxy;
	struct port_key key = port_key(port);

	bpf_map_delete_elem(registry->options.port_table, &key);
	tdelete(port, &proxy->ports, compare_ports);
	if (is_active(port))
		count_active(port, -1);
	set_lease(registry, port, NULL);
	give_back_listen_port(registry, port);
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
	result = registry->listen_ports.range.first ? take_listen_port(registry, new) : 0;
	if (result) {
		free(new);
		return result;
	}
	if (!tsearch(new, &proxy->ports, compare_ports)) {
		give_back_listen_port(registry, new);
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
		return no_listen_port(registry, error);
	if (result == -E2BIG || result == -ENOSPC)
		snprintf(error, REGISTRY_ERROR_MAX,
			 "the tables are full: raise max-proxies and max-ports and restart");
	else
		snprintf(error, REGISTRY_ERROR_MAX, "proxy_table: %s", strerror(-result));
	return result;
}

/* Finds or makes the entry for a registration. */
static int enter(struct registry *registry, const struct registration *registration,
		 struct port_entry **port, char *error)
{
	struct proxy_entry *proxy =
		(struct proxy_entry *)registry_find_proxy(registry, registration->address);
	int result = 0;

	if (proxy && proxy->nexthop != registration->nexthop) {
		snprintf(error, REGISTRY_ERROR_MAX,
			 "this address is %s next-hop entry already: delete that one first",
			 proxy->nexthop ? "a" : "not a");
		return -EINVAL;
	}
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

/* ---- withdrawing ---- */

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
	/* A SYN that is held may not be known as a flow yet, and by XDP the listen
	 * port is all that leads it to its listener. */
	if (flows_of(registry, port) == 0 && !port->value.listen_port) {
		remove_port(registry, port);
		return;
	}
	port->rested = false;
	count_active(port, -1);
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

/* ---- entering ---- */

/* Whose address it is: an agent may not have another's, nor a static one. */
static int check_holder(const struct proxy_entry *proxy, const struct registration *registration,
			char *error)
{
	if (registration->origin != ORIGIN_AGENT || !proxy)
		return 0;
	if (proxy->static_ports > 0) {
		snprintf(error, REGISTRY_ERROR_MAX,
			 "this address is a static entry of the gateway's operator");
		return -EEXIST;
	}
	if (proxy->agent_ports > 0 && proxy->identity != registration->lease->identity) {
		snprintf(error, REGISTRY_ERROR_MAX,
			 "this address is registered by identity \"%s\" already",
			 proxy->identity->name);
		return -EEXIST;
	}
	return 0;
}

/* Enters or changes an entry; `change` says whether an active one may be changed. */
static int put(struct registry *registry, const struct registration *registration, bool change,
	       char *error)
{
	const struct proxy_entry *proxy = registry_find_proxy(registry, registration->address);
	struct port_entry *port;
	int result = check_holder(proxy, registration, error);

	if (result)
		return result;
	/* What a static entry takes from an agent goes first: it may be of the other kind. */
	if (registration->origin != ORIGIN_AGENT && proxy && proxy->agent_ports > 0)
		registry_withdraw_leased(registry, is_port_of, proxy);
	result = enter(registry, registration, &port, error);
	if (result)
		return result;
	if (is_active(port) && !change) {
		snprintf(error, REGISTRY_ERROR_MAX,
			 "this port is registered already (%s): delete it first",
			 port->origin == ORIGIN_CONFIG ? "by the configuration" : "by hand");
		return -EEXIST;
	}
	result = set_port(registry, port, registration, error);
	if (result && !port->params) /* it was made for this */
		remove_port(registry, port);
	else if (!result)
		port->generation = registry->generation;
	return result;
}

int registry_add(struct registry *registry, const struct registration *registration, char *error)
{
	return put(registry, registration, registration->origin == ORIGIN_AGENT, error);
}

/* ---- listen ports for all ---- */

struct listen_request {
	struct registry *registry;
	int result; /* of the first that failed */
};

static void take_missing(const struct port_entry *port, void *context)
{
	struct listen_request *request = context;
	struct port_entry *entry = (struct port_entry *)port;

	if (entry->value.listen_port || request->result)
		return;
	request->result = take_listen_port(request->registry, entry);
	if (!request->result)
		request->result = registry_write_port(request->registry, entry);
}

int registry_use_listen_ports(struct registry *registry, const struct port_range *range,
			      char *error)
{
	struct port_range before = registry->listen_ports.range;
	struct listen_request request = { .registry = registry };

	registry->listen_ports.range = range ? *range : (struct port_range){ 0 };
	if (range)
		registry_each_port(registry, take_missing, &request);
	if (!request.result)
		return 0;
	if (request.result == -EADDRNOTAVAIL)
		no_listen_port(registry, error);
	else
		snprintf(error, REGISTRY_ERROR_MAX, "listen_table: %s", strerror(-request.result));
	registry->listen_ports.range = before;
	return request.result;
}

/* ---- withdrawing by address ---- */

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

static bool is_outdated(const struct registry *registry, const struct port_entry *port,
			const void *subject)
{
	(void)subject;
	return port->origin == ORIGIN_CONFIG && port->generation != registry->generation &&
	       !port_is_draining(port);
}

int registry_apply(struct registry *registry, const struct gateway_config *config, char *error)
{
	char first[REGISTRY_ERROR_MAX], address[INET6_ADDRSTRLEN];
	int result = 0, one;

	registry->generation++;
	for (size_t i = 0; i < config->proxy_count; i++) {
		const struct proxy_config *proxy = &config->proxies[i];

		for (size_t j = 0; j < proxy->port_count; j++) {
			const struct port_config *port = &proxy->ports[j];
			struct registration registration = { .nexthop = proxy->nexthop,
							     .service_port = port->service_port,
							     .trunk_port = port->trunk_port,
							     .params = port->params,
							     .origin = ORIGIN_CONFIG };

			memcpy(registration.address, proxy->address, 16);
			one = put(registry, &registration, true, first);
			if (one && !result) {
				result = one;
				snprintf(error, REGISTRY_ERROR_MAX, "proxy %s port %u: %.180s",
					 address_format(proxy->address, address),
					 port->service_port, first);
			}
		}
	}
	one = for_ports(registry, is_outdated, NULL, withdraw);
	params_table_sweep(&registry->params);
	return result ?: one;
}

static bool is_drained(const struct registry *registry, const struct port_entry *port,
		       const void *subject)
{
	(void)subject;
	return port_is_draining(port) && flows_of(registry, port) == 0 &&
	       (port->rested || !port->value.listen_port);
}

static void note_draining(const struct port_entry *port, void *context)
{
	struct registry *registry = context;
	struct port_entry *entry = (struct port_entry *)port;

	if (!port_is_draining(port))
		return;
	registry->draining = true;
	entry->rested = flows_of(registry, port) == 0;
}

void registry_sweep(struct registry *registry)
{
	params_table_sweep(&registry->params);
	if (!registry->draining)
		return;
	for_ports(registry, is_drained, NULL, remove_port);
	registry->draining = false;
	registry_each_port(registry, note_draining, registry);
}
