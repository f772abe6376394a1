// SPDX-License-Identifier: GPL-2.0
/* The nouns that main knows by itself; flows are in request_flows.c. */
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "params.h"
#include "requests.h"
#include "units.h"

/* "native": by the driver, before a packet has a buffer; "generic": after. */
static const char *xdp_mode(const struct intercept_interface *interface)
{
	static const char *const names[] = {
		[XDP_NONE] = "none",
		[XDP_GENERIC] = "generic",
		[XDP_NATIVE] = "native",
	};

	return names[interface->xdp];
}

static json_t *show_interfaces(const struct gateway *gateway)
{
	const struct list *list = intercept_interfaces(gateway->intercept);
	json_t *array = json_array();

	for (struct list *link = list->next; link != list; link = link->next) {
		const struct intercept_interface *interface =
			list_entry(link, struct intercept_interface, link);

		json_array_append_new(array,
				      json_pack("{s:s,s:s,s:s,s:s}", "dev", interface->dev, "side",
						interface->side == SIDE_LAN ? "lan" : "wan",
						"attach", intercept_attached_by(interface), "xdp",
						xdp_mode(interface)));
	}
	return array;
}

static json_t *show_relays(const struct gateway *gateway)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < supervisor_relay_count(gateway->supervisor); i++) {
		struct relay_report report = supervisor_report(gateway->supervisor, i);

		json_array_append_new(array, json_pack("{s:i,s:i,s:s,s:I,s:i}", "index", (int)i,
						       "pid", (int)report.pid, "state",
						       relay_phase_name(report.phase), "flows",
						       (json_int_t)report.flows, "restarts",
						       (int)report.restarts));
	}
	return array;
}

static json_t *show_registrar(const struct gateway *gateway)
{
	struct service_report report = registrar_process_report(gateway->registrar);

	return json_pack("{s:s,s:i,s:i,s:I}", "state", report.state, "pid", (int)report.pid,
			 "restarts", (int)report.restarts, "services",
			 (json_int_t)registry_leased_count(gateway->registry));
}

static json_t *show_kernel_engine(const struct gateway *gateway)
{
	return json_pack("{s:b,s:s}", "offered", gateway->kernel_engine, "why",
			 gateway->kernel_engine_why);
}

static json_t *show_metrics(const struct gateway *gateway)
{
	const struct metrics_config *config = &gateway->config->metrics;
	struct service_report report = metrics_process_report(gateway->metrics);
	char endpoint[ENDPOINT_TEXT_MAX] = "";

	if (config->port)
		endpoint_format(config->address, config->port, endpoint);
	return json_pack("{s:s,s:i,s:i,s:s}", "state", report.state, "pid", (int)report.pid,
			 "restarts", (int)report.restarts, "listen", endpoint);
}

static json_t *show_status(const struct gateway *gateway)
{
	struct wan_params params = { .engine = (__u8)gateway->config->engine };
	char engine[UNIT_TEXT_MAX];
	uint64_t now_us = 0;

	sd_event_now(gateway->event, CLOCK_MONOTONIC, &now_us);
	return json_pack(
		"{s:s,s:i,s:s,s:s,s:I,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:I}",
		"version", SLUICE_VERSION, "pid", (int)getpid(), "config",
		gateway->options.config_path, "pin_dir", gateway->options.pin_dir, "uptime_s",
		(json_int_t)((now_us - gateway->started_us) / 1000000), "state",
		gateway_state(gateway), "engine", params_get(&params, "engine", engine),
		"intercept", intercept_way(gateway->intercept) == WAY_XDP ? "xdp" : "tc",
		"kernel_engine", show_kernel_engine(gateway), "interfaces",
		show_interfaces(gateway), "relays", show_relays(gateway), "registrar",
		show_registrar(gateway), "metrics", show_metrics(gateway), "proxies",
		(json_int_t)registry_proxy_count(gateway->registry), "ports",
		(json_int_t)registry_port_count(gateway->registry), "params",
		(json_int_t)registry_params_count(gateway->registry), "flows",
		(json_int_t)supervisor_flows(gateway->supervisor), "half_open",
		(json_int_t)intercept_half_open_count(gateway->intercept), "half_open_limit",
		(json_int_t)gateway->config->half_open);
}

struct listing {
	const struct gateway *gateway;
	json_t *array;
	json_t *entry; /* the last of array; borrowed */
	const struct proxy_entry *proxy; /* that entry's */
	uint64_t now_us; /* CLOCK_MONOTONIC */
};

/* What the lease of an agent's entry says; the last of several stands. */
static void describe_lease(json_t *entry, const struct port_entry *port, uint64_t now_us)
{
	const struct lease *lease = port->lease;

	if (!lease || port_is_draining(port))
		return;
	json_object_set_new(entry, "expires_s", port_expires_json(port, now_us));
	json_object_set_new(entry, "agent", json_string(lease->agent));
	json_object_set_new(entry, "path",
			    json_pack("{s:I,s:I,s:I}", "rtt_us", (json_int_t)lease->path.rtt_us,
				      "delivery_bps", (json_int_t)lease->path.delivery_bps,
				      "retrans", (json_int_t)lease->path.retrans));
}

static json_t *describe_proxy(const struct proxy_entry *proxy)
{
	char address[INET6_ADDRSTRLEN];

	return json_pack("{s:s,s:b,s:s,s:s,s:i,s:i,s:n,s:n,s:n}", "address",
			 address_format(proxy->address, address), "nexthop", proxy->nexthop,
			 "identity", proxy->identity ? proxy->identity->name : "", "origin",
			 origin_name(proxy->origin), "ports", 0, "flows", 0, "expires_s", "agent",
			 "path");
}

static void add_to(json_t *entry, const char *key, uint64_t number)
{
	json_int_t before = json_integer_value(json_object_get(entry, key));

	json_object_set_new(entry, key, json_integer(before + (json_int_t)number));
}

/* Ports come in the order of their proxies: with the first of one that does not
 * rest, the proxy is listed. */
static void add_port_to_proxy(const struct port_entry *port, void *context)
{
	struct listing *listing = context;
	const struct gateway *gateway = listing->gateway;

	if (registry_is_resting(gateway->registry, port))
		return;
	if (listing->proxy != port->proxy) {
		listing->proxy = port->proxy;
		listing->entry = describe_proxy(port->proxy);
		json_array_append_new(listing->array, listing->entry);
	}
	describe_lease(listing->entry, port, listing->now_us);
	add_to(listing->entry, "ports", 1);
	add_to(listing->entry, "flows",
	       supervisor_port_flows(gateway->supervisor, port->value.port_id));
}

static json_t *show_proxies(const struct gateway *gateway)
{
	struct listing listing = { .gateway = gateway, .array = json_array() };

	sd_event_now(gateway->event, CLOCK_MONOTONIC, &listing.now_us);
	registry_each_port(gateway->registry, add_port_to_proxy, &listing);
	return json_pack("{s:o}", "proxies", listing.array);
}

static void add_port(const struct port_entry *port, void *context)
{
	struct listing *listing = context;
	char address[INET6_ADDRSTRLEN];

	if (registry_is_resting(listing->gateway->registry, port))
		return;
	json_array_append_new(
		listing->array,
		json_pack("{s:s,s:i,s:i,s:i,s:I,s:s,s:b,s:o,s:I,s:s,s:s}", "address",
			  address_format(port->proxy->address, address), "service_port",
			  port->service_port, "listen_port", port->value.listen_port, "trunk_port",
			  port->value.trunk_port, "params", (json_int_t)port->params->id,
			  "identity", port_identity(port), "nexthop", port->proxy->nexthop,
			  "expires_s", port_expires_json(port, listing->now_us), "flows",
			  (json_int_t)supervisor_port_flows(listing->gateway->supervisor,
							    port->value.port_id),
			  "state",
			  port_is_draining(port)	  ? "draining"
			  : port->value.flags & PORT_FULL ? "full"
							  : "active",
			  "origin", origin_name(port->origin)));
}

static json_t *show_ports(const struct gateway *gateway)
{
	struct listing listing = { .gateway = gateway, .array = json_array() };

	sd_event_now(gateway->event, CLOCK_MONOTONIC, &listing.now_us);
	registry_each_port(gateway->registry, add_port, &listing);
	return json_pack("{s:o}", "ports", listing.array);
}

static void add_params(const struct params_entry *params, void *context)
{
	struct listing *listing = context;

	json_array_append_new(listing->array,
			      json_pack("{s:I,s:I,s:o}", "id", (json_int_t)params->id, "ports",
					(json_int_t)params->ports, "values",
					params_to_json(&params->params)));
}

static json_t *show_params(const struct gateway *gateway)
{
	struct listing listing = { .gateway = gateway, .array = json_array() };

	registry_each_params(gateway->registry, add_params, &listing);
	return json_pack("{s:o}", "params", listing.array);
}

static json_t *show_counters(const struct gateway *gateway)
{
	struct intercept_counters intercept = { 0 };
	struct relay_counters relays = { 0 };
	struct registrar_counters registrar = registrar_process_counters(gateway->registrar);
	json_t *of_intercept = json_object(), *of_relays = json_object();
	json_t *of_registrar = json_object(), *of_log = json_object();

	intercept_read_counters(gateway->intercept, &intercept);
	for (unsigned i = 0; i < supervisor_relay_count(gateway->supervisor); i++) {
		struct relay_report report = supervisor_report(gateway->supervisor, i);
#define ADD_COUNTER(name, description) relays.name += report.counters.name;
		RELAY_COUNTERS(ADD_COUNTER)
#undef ADD_COUNTER
	}
#define SHOW_COUNTER(name, description) \
	json_object_set_new(of_intercept, #name, json_integer((json_int_t)intercept.name));
	INTERCEPT_COUNTERS(SHOW_COUNTER)
#undef SHOW_COUNTER
#define SHOW_COUNTER(name, description) \
	json_object_set_new(of_relays, #name, json_integer((json_int_t)relays.name));
	RELAY_COUNTERS(SHOW_COUNTER)
#undef SHOW_COUNTER
#define SHOW_COUNTER(name, description) \
	json_object_set_new(of_registrar, #name, json_integer((json_int_t)registrar.name));
	REGISTRAR_COUNTERS(SHOW_COUNTER)
#undef SHOW_COUNTER
#define SHOW_COUNTER(name, description) \
	json_object_set_new(of_log, #name, json_integer((json_int_t)gateway->ended.counters->name));
	LOG_COUNTERS(SHOW_COUNTER)
#undef SHOW_COUNTER
	return json_pack("{s:o,s:o,s:o,s:o}", "intercept", of_intercept, "relay", of_relays,
			 "registrar", of_registrar, "log", of_log);
}

static const struct {
	const char *noun;
	json_t *(*show)(const struct gateway *gateway);
} nouns[] = {
	{ "status", show_status }, { "proxies", show_proxies },	  { "ports", show_ports },
	{ "params", show_params }, { "counters", show_counters },
};

void request_show(struct gateway *gateway, struct control_request *request, const json_t *message)
{
	const char *noun = json_string_value(json_object_get(message, "noun"));
	const json_t *id = json_object_get(message, "id");

	if (noun && strcmp(noun, "flows") == 0) {
		if (json_is_true(json_object_get(message, "ended")))
			request_show_ended(gateway, request, message);
		else
			request_show_flows(gateway, request, 0);
		return;
	}
	if (noun && strcmp(noun, "flow") == 0) {
		if (json_integer_value(id) > 0)
			request_show_flows(gateway, request, (uint64_t)json_integer_value(id));
		else
			control_reply_error(request, "a flow's number is needed: see `sluice show "
						     "flows`");
		return;
	}
	for (size_t i = 0; noun && i < sizeof(nouns) / sizeof(nouns[0]); i++) {
		if (strcmp(nouns[i].noun, noun) == 0) {
			control_reply_result(request, nouns[i].show(gateway));
			return;
		}
	}
	control_reply_error(request, "there is no \"%.32s\" to show", noun ?: "");
}
