// SPDX-License-Identifier: GPL-2.0
/*
 * `sluice explain`: walks the tables as bpf/intercept.bpf.c would for a new
 * connection, and says in words what it finds.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "flow_json.h"
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

static bool check_gateway(struct gateway *gateway, struct explanation *explanation)
{
	unsigned relays = supervisor_relay_count(gateway->supervisor), serving = 0;
	uint32_t half_open;

	for (unsigned i = 0; i < relays; i++)
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
	step(explanation, "relays: %u of %u serve%s", serving, relays,
	     serving < relays ? ", the others' share is forwarded (relay_stale)" : "");
	half_open = intercept_half_open_count(gateway->intercept);
	if (half_open >= gateway->config->half_open) {
		step(explanation,
		     "half_open: all %u places are taken: new connections are forwarded",
		     gateway->config->half_open);
		forwarded(explanation, "half_open_full");
		return false;
	}
	step(explanation,
	     "half_open: %u of %u connections wait for their remote, a client may have "
	     "%u of them",
	     half_open, gateway->config->half_open, gateway->config->half_open_per_client);
	return true;
}

/* The program sees what comes by an interface of lan, not where it comes from:
 * the route back to the client is the best guess there is. */
static void check_client(const struct gateway *gateway, const uint8_t client[16],
			 struct explanation *explanation)
{
	char address[INET6_ADDRSTRLEN], name[IF_NAMESIZE] = "";
	int ifindex;

	address_format(client, address);
	if (route_interface(client, &ifindex) || !if_indextoname((unsigned)ifindex, name)) {
		step(explanation,
		     "client: no route to %s; taken if it comes by an interface of lan", address);
		return;
	}
	if (intercept_is_lan(gateway->intercept, ifindex))
		return;
	step(explanation,
	     "client: the route to %s is by %s, which is not attached as lan: taken "
	     "only if it comes by one that is",
	     address, name);
}

/* By XDP, a leg lands at an address of the gateway's on the interface that the client
 * comes by, and at the listen port of the entry. */
static bool check_landing(const struct gateway *gateway, const uint8_t client[16],
			  const struct port_entry *port, struct explanation *explanation)
{
	char name[IF_NAMESIZE];
	int ifindex;

	if (intercept_way(gateway->intercept) != WAY_XDP)
		return true;
	if (!port->value.listen_port)
		step(explanation, "listen port: the entry has none");
	else if (!route_interface(client, &ifindex) && if_indextoname((unsigned)ifindex, name) &&
		 intercept_is_lan(gateway->intercept, ifindex) &&
		 !intercept_has_address(gateway->intercept, ifindex, address_is_ipv4(client)))
		step(explanation,
		     "listen port: %s has no %s address of the gateway's for legs to land at", name,
		     address_is_ipv4(client) ? "IPv4" : "IPv6");
	else
		return true;
	forwarded(explanation, "no_listen_port");
	return false;
}

/* Fills in the outcome; returns the entry that takes the connection, or NULL. */
static const struct port_entry *walk(struct gateway *gateway, const uint8_t client[16],
				     const uint8_t remote[16], uint16_t port_number,
				     struct explanation *explanation)
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
	if (!check_landing(gateway, client, port, explanation))
		return NULL;
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

/* ---- the answer ---- */

/* What is asked, until the relays have told of their flows. */
struct explain_question {
	struct gateway *gateway;
	struct control_request *request;
	json_t *answer; /* owned */
	uint8_t client[16], remote[16];
	uint16_t client_port; /* 0: any */
	uint16_t service_port;
};

/* The counters that the packets of such a connection hit, in their order. */
static json_t *counters_json(const struct gateway *gateway, const char *reason)
{
	static const char *const after_held[] = { "syn_reinjected", "to_leg", NULL };
	static const char *const after_early[] = { "to_leg", NULL };
	static const char *const none[] = { NULL };
	const char *const *others = !strcmp(reason, "syn_held")	   ? after_held
				    : !strcmp(reason, "syn_early") ? after_early
								   : none;
	struct intercept_counters counters = { 0 };
	json_t *array = json_array();

	intercept_read_counters(gateway->intercept, &counters);
	for (const char *name = reason; name; name = *others++) {
#define SHOW_COUNTER(counter, description)                                                        \
	if (strcmp(name, #counter) == 0)                                                          \
		json_array_append_new(array, json_pack("{s:s,s:I,s:s}", "counter", name, "value", \
						       (json_int_t)counters.counter, "meaning",   \
						       description));
		INTERCEPT_COUNTERS(SHOW_COUNTER)
#undef SHOW_COUNTER
	}
	return array;
}

/* Why a flow is carried as it is. */
static json_t *engine_reason(const struct gateway *gateway, const struct flow_record *flow)
{
	unsigned choice = flow->params.engine ?: gateway->config->engine;
	const char *whose = flow->params.engine ? "its port says" : "the gateway's";

	if (flow->state < FLOW_OPEN)
		return json_string("it is not joined yet");
	if (flow->engine == FLOW_ENGINE_RELAY)
		return json_string(
			"the kernel has it, but the receiver is slower than the sender at "
			"the moment, or a peer had finished when the kernel got it: the "
			"relay carries what the kernel does not");
	if (choice == ENGINE_SPLICE)
		return json_sprintf("%s engine = splice", whose);
	if (flow->params.parallel > 1 && !flow->one_connection)
		return json_sprintf("%s engine = %s, but several connections carry it "
				    "(parallel), which the kernel does not",
				    whose, choice == ENGINE_AUTO ? "auto" : "kernel");
	if (choice == ENGINE_AUTO && flow->engine == FLOW_ENGINE_KERNEL)
		return json_sprintf("%s engine = auto: it is a talk or idle, not a transfer",
				    whose);
	if (choice == ENGINE_AUTO && gateway->kernel_engine)
		return json_sprintf("%s engine = auto: it is new, or a transfer", whose);
	if (choice == ENGINE_AUTO)
		return json_sprintf("%s engine = auto, and the kernel's is not offered here: %s",
				    whose, gateway->kernel_engine_why);
	if (flow->engine == FLOW_ENGINE_KERNEL)
		return json_sprintf("%s engine = kernel", whose);
	if (!gateway->kernel_engine)
		return json_sprintf("%s engine = kernel, which is not offered here: %s", whose,
				    gateway->kernel_engine_why);
	return json_sprintf("%s engine = kernel, but this flow cannot be given to it: a peer had "
			    "finished before it was joined, or there was no room",
			    whose);
}

static bool is_asked_for(const struct explain_question *question, const struct flow_record *flow)
{
	return memcmp(flow->tuple.client, question->client, 16) == 0 &&
	       memcmp(flow->tuple.remote, question->remote, 16) == 0 &&
	       flow->tuple.service_port == question->service_port &&
	       (!question->client_port || flow->tuple.client_port == question->client_port);
}

static void on_flows(struct flow_record *records, size_t count, void *context)
{
	struct explain_question *question = context;
	json_t *array = json_array(), *json;

	for (size_t i = 0; records && i < count; i++) {
		if (!is_asked_for(question, &records[i]))
			continue;
		json = flow_json(&records[i],
				 request_flow_identity(question->gateway, &records[i]));
		json_object_set_new(json, "why", engine_reason(question->gateway, &records[i]));
		json_array_append_new(array, json);
	}
	json_object_set_new(question->answer, "flows", array);
	control_reply_result(question->request, question->answer);
	free(records);
	free(question);
}

/* "ADDRESS" or "ADDRESS:PORT", or "[ADDRESS]:PORT". */
static int client_parse(const char *text, uint8_t address[16], uint16_t *port)
{
	*port = 0;
	return address_parse(text, address) == 0 ? 0 : endpoint_parse(text, address, port);
}

static bool read_question(struct control_request *request, const json_t *message,
			  struct explain_question *question)
{
	const char *client = json_string_value(json_object_get(message, "client"));
	const char *remote = json_string_value(json_object_get(message, "remote"));

	if (!client || client_parse(client, question->client, &question->client_port))
		control_reply_error(request, "\"%.64s\" is not a client's address", client ?: "");
	else if (!remote || endpoint_parse(remote, question->remote, &question->service_port))
		control_reply_error(request, "\"%.64s\" is not ADDRESS:PORT", remote ?: "");
	else if (address_is_ipv4(question->client) != address_is_ipv4(question->remote))
		control_reply_error(request, "client and remote are not of one family");
	else
		return true;
	return false;
}

void request_explain(struct gateway *gateway, struct control_request *request,
		     const json_t *message)
{
	struct explain_question *question = calloc(1, sizeof(*question));
	struct explanation explanation = { 0 };
	const struct port_entry *port;

	if (!question) {
		control_reply_error(request, "out of memory");
		return;
	}
	if (!read_question(request, message, question)) {
		free(question);
		return;
	}
	question->gateway = gateway;
	question->request = request;
	explanation.steps = json_array();
	check_client(gateway, question->client, &explanation);
	port = walk(gateway, question->client, question->remote, question->service_port,
		    &explanation);
	question->answer = json_pack("{s:O,s:O,s:s,s:s,s:o,s:o,s:o}", "client",
				     json_object_get(message, "client"), "remote",
				     json_object_get(message, "remote"), "outcome",
				     explanation.outcome, "reason", explanation.reason, "steps",
				     explanation.steps, "counters",
				     counters_json(gateway, explanation.reason), "params",
				     port ? params_to_json(&port->params->params) : json_object());
	if (supervisor_list_flows(gateway->supervisor, on_flows, question) == 0)
		return;
	json_decref(question->answer);
	free(question);
	control_reply_error(request, "out of memory");
}
