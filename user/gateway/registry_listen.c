// SPDX-License-Identifier: GPL-2.0
/* Listen ports of the registry's entries, see listen_ports.h. */
#include "registry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry_private.h"

int registry_take_listen_port(struct registry *registry, struct port_entry *port)
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

void registry_give_back_listen_port(struct registry *registry, struct port_entry *port)
{
	if (!port->value.listen_port)
		return;
	listen_ports_give_back(&registry->listen_ports, port->value.listen_port);
	port->value.listen_port = 0;
	registry->options.listen_ports_changed(registry->listen_ports.count,
					       registry->options.context);
}

int registry_no_listen_port(const struct registry *registry, char *error)
{
	const struct port_range *range = &registry->listen_ports.range;

	snprintf(error, REGISTRY_ERROR_MAX,
		 "all %u listen ports (%u-%u) are in use: widen listen-ports, which can hold 65535, "
		 "or use intercept = tc",
		 listen_ports_capacity(&registry->listen_ports), range->first, range->last);
	return -ENOSPC;
}

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
	request->result = registry_take_listen_port(request->registry, entry);
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
		registry_no_listen_port(registry, error);
	else
		snprintf(error, REGISTRY_ERROR_MAX, "listen_table: %s", strerror(-request.result));
	registry->listen_ports.range = before;
	return request.result;
}
