// SPDX-License-Identifier: GPL-2.0
/* See registry.h. */
#include "registry.h"

#include <errno.h>
#include <netinet/in.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "registry_private.h"

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

/* With parameters that can be had: they are in their table. */
static int enter(struct registry *registry, const struct registration *registration, bool change,
		 char *error)
{
	const struct proxy_entry *proxy = registry_find_proxy(registry, registration->address);
	struct port_entry *port;
	int result;

	/* What a static entry takes from an agent goes first: it may be of the other kind.
	 * What is to be refused must be refused before, or the agent has lost it for nothing. */
	if (registration->origin != ORIGIN_AGENT && proxy && proxy->agent_ports > 0) {
		result = registry_check_room(registry, registration, error);
		if (result)
			return result;
		registry_withdraw_agents(registry, proxy);
	}
	if (proxy && proxy->nexthop != registration->nexthop)
		registry_remove_idle(registry, proxy);
	result = registry_enter(registry, registration, &port, error);
	if (result)
		return result;
	if (registry_is_active(port) && !change) {
		snprintf(error, REGISTRY_ERROR_MAX,
			 "this port is registered already (%s): delete it first",
			 port->origin == ORIGIN_CONFIG ? "by the configuration" : "by hand");
		return -EEXIST;
	}
	result = registry_set_port(registry, port, registration, error);
	if (result && !port->params) /* it was made for this */
		registry_remove_port(registry, port);
	else if (!result)
		port->generation = registry->generation;
	return result;
}

/* Enters or changes an entry; `change` says whether an active one may be changed. */
static int put(struct registry *registry, const struct registration *registration, bool change,
	       char *error)
{
	struct params_entry *params;
	int result = check_holder(registry_find_proxy(registry, registration->address),
				  registration, error);

	result = result
			 ?: params_table_get(&registry->params, &registration->params,
					     identity_of(registration), &params, error);
	if (result)
		return result;
	result = enter(registry, registration, change, error);
	params_table_put(params);
	return result;
}

int registry_add(struct registry *registry, const struct registration *registration, char *error)
{
	return put(registry, registration, registration->origin == ORIGIN_AGENT, error);
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
	one = registry_withdraw_outdated(registry);
	params_table_sweep(&registry->params);
	return result ?: one;
}
