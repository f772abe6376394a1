// SPDX-License-Identifier: GPL-2.0
/*
 * `sluice explain`: walks the tables as bpf/intercept.bpf.c would for a new
 * connection, and says in words what it finds.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>

#include "address.h"
#include "params.h"
#include "requests.h"
#include "route.h"

struct explanation {
	json_t *steps;
	const char *outcome;
	const char *reason; /* the counter that such a SYN hits */
};

static void step(struct explanation *explanation, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void step(struct explanation *explanation, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	json_array_append_new(explanation->steps, json_string(text));
}

static void forwarded(struct explanation *explanation, const char *reason)
{
	explanation->outcome = "forwarded";
	explanation->reason = reason;
}

/* By the destination, then by the next hop. */
static const struct proxy_entry *find_proxy(const struct gateway *gateway, const uint8_t remote[16],
					    struct explanation *explanation)
{
	char address[INET6_ADDRSTRLEN], router[INET6_ADDRSTRLEN];
	const struct proxy_entry *proxy = registry_find_proxy(gateway->registry, remote);
	uint8_t next_hop[16];

	address_format(remote, address);
	if (proxy) {
		step(explanation, "proxy_table: %s has a proxy", address);
		return proxy;
	}
	step(explanation, "proxy_table: no proxy for %s", address);
	if (route_next_hop(remote, next_hop)) {
		step(explanation, "next hop: no router on the way to %s", address);
		return NULL;
	}
	address_format(next_hop, router);
	proxy = registry_find_proxy(gateway->registry, next_hop);
	if (proxy && proxy->nexthop) {
		step(explanation, "next hop: %s is reached by the router %s, which has a proxy",
		     address, router);
		return proxy;
	}
	step(explanation, "next hop: %s is reached by the router %s, which has no next-hop entry",
	     address, router);
	return NULL;
}

static bool check_gateway(const struct gateway *gateway, struct explanation *explanation)
{
	unsigned serving = 0;

	for (unsigned i = 0; i < supervisor_relay_count(gateway->supervisor); i++)
		serving += supervisor_report(gateway->supervisor, i).phase == RELAY_SERVING;
	if (gateway->draining) {
		step(explanation, "the gateway is draining: new connections are forwarded");
		forwarded(explanation, "draining");
		return false;
	}
	if (serving == 0) {
		step(explanation, "no relay is serving: new connections are forwarded");
		forwarded(explanation, "relay_stale");
		return false;
	}
	return true;
}

/* The program sees what comes by an interface of lan, not where it comes from:
 * the route back to the client is the best guess there is. */
static void check_client(const struct gateway *gateway, const uint8_t client[16],
			 struct explanation *explanation)
{
	const struct list *list = intercept_interfaces(gateway->intercept);
	char address[INET6_ADDRSTRLEN], name[IF_NAMESIZE] = "";
	int ifindex;

	address_format(client, address);
	if (route_interface(client, &ifindex) || !if_indextoname((unsigned)ifindex, name)) {
		step(explanation,
		     "client: no route to %s; taken if it comes by an interface of lan", address);
		return;
	}
	for (struct list *link = list->next; link != list; link = link->next) {
		const struct intercept_interface *interface =
			list_entry(link, struct intercept_interface, link);

		if (interface->ifindex == ifindex && interface->side == SIDE_LAN)
			return;
	}
	step(explanation,
	     "client: the route to %s is by %s, which is not attached as lan: taken "
	     "only if it comes by one that is",
	     address, name);
}

/* Fills in the outcome; returns the entry that takes the connection, or NULL. */
static const struct port_entry *walk(const struct gateway *gateway, const uint8_t remote[16],
				     uint16_t port_number, struct explanation *explanation)
{
	const struct proxy_entry *proxy = find_proxy(gateway, remote, explanation);
	const struct port_entry *port;

	if (!proxy) {
		forwarded(explanation, "no_proxy");
		return NULL;
	}
	port = registry_find_port(proxy, port_number);
	if (!port) {
		step(explanation, "port_table: the proxy does not serve port %u", port_number);
		forwarded(explanation, "no_port");
		return NULL;
	}
	step(explanation, "port_table: port %u is served, by trunk port %u with parameters %u",
	     port_number, port->value.trunk_port, port->params->id);
	if (port_is_draining(port)) {
		step(explanation, "the entry is being withdrawn: new connections are forwarded");
		forwarded(explanation, "draining");
		return NULL;
	}
	if (port->value.flags & PORT_FULL) {
		step(explanation,
		     "identity %s has all the flows that its policy allows: new "
		     "connections are forwarded",
		     port_identity(port));
		forwarded(explanation, "identity_full");
		return NULL;
	}
	if (!check_gateway(gateway, explanation))
		return NULL;
	explanation->outcome = "taken";
	explanation->reason = "syn_held";
	if (port->value.flags & PORT_EARLY) {
		explanation->reason = "syn_early";
		step(explanation, "connect = early: the client is answered at once");
	} else {
		step(explanation, "connect = honest: the client's SYN is held until the remote "
				  "accepts");
	}
	return port;
}

void request_explain(struct gateway *gateway, struct control_request *request,
		     const json_t *message)
{
	const char *client_text = json_string_value(json_object_get(message, "client"));
	const char *remote_text = json_string_value(json_object_get(message, "remote"));
	struct explanation explanation = { 0 };
	const struct port_entry *port;
	uint8_t client[16], remote[16];
	uint16_t port_number;

	if (!client_text || address_parse(client_text, client)) {
		control_reply_error(request, "\"%.64s\" is not a client's address",
				    client_text ?: "");
		return;
	}
	if (!remote_text || endpoint_parse(remote_text, remote, &port_number)) {
		control_reply_error(request, "\"%.64s\" is not ADDRESS:PORT", remote_text ?: "");
		return;
	}
	if (address_is_ipv4(client) != address_is_ipv4(remote)) {
		control_reply_error(request, "client and remote are not of one family");
		return;
	}
	explanation.steps = json_array();
	check_client(gateway, client, &explanation);
	port = walk(gateway, remote, port_number, &explanation);
	control_reply_result(request,
			     json_pack("{s:s,s:s,s:s,s:s,s:o,s:o}", "client", client_text, "remote",
				       remote_text, "outcome", explanation.outcome, "reason",
				       explanation.reason, "steps", explanation.steps, "params",
				       port ? params_to_json(&port->params->params)
					    : json_object()));
}
