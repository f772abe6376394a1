// SPDX-License-Identifier: GPL-2.0
/* The verbs that change something: add, del, attach, detach, drain, reload. */
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "log.h"
#include "params.h"
#include "requests.h"

/* Reads the parameters of `add`. False after an error reply. */
static bool read_params(struct control_request *request, const json_t *object,
			struct wan_params *params)
{
	char error[PARAMS_ERROR_MAX];
	const char *key;
	json_t *value;

	params_default(params);
	json_object_foreach((json_t *)object, key, value) {
		const char *text = json_string_value(value);

		if (!text) {
			control_reply_error(request, "%.32s: its value must be text", key);
			return false;
		}
		if (params_set(params, key, text, error)) {
			control_reply_error(request, "%s", error);
			return false;
		}
	}
	if (params_check(params, error)) {
		control_reply_error(request, "%s", error);
		return false;
	}
	return true;
}

void request_add(struct gateway *gateway, struct control_request *request, const json_t *message)
{
	struct registration registration = { .origin = ORIGIN_CLI };
	const json_t *trunk = json_object_get(message, "trunk");
	json_int_t trunk_port = json_integer_value(trunk);
	char error[REGISTRY_ERROR_MAX], endpoint[ENDPOINT_TEXT_MAX];

	if (!request_address(request, message, registration.address, &registration.service_port) ||
	    !read_params(request, json_object_get(message, "params"), &registration.params))
		return;
	if (!address_is_unicast(registration.address)) {
		control_reply_error(request, "a remote's address must be unicast, not loopback");
		return;
	}
	if (trunk && (trunk_port < 1 || trunk_port > UINT16_MAX)) {
		control_reply_error(request, "trunk port must be a number from 1 to 65535");
		return;
	}
	if (registration.service_port == 0) {
		control_reply_error(request, "a port is needed");
		return;
	}
	if (registration.params.source == SOURCE_CLIENT && gateway->config->wan_count == 0) {
		control_reply_error(request,
				    "source = client needs the interface that replies come "
				    "by: add wan = { \"...\" } to the configuration");
		return;
	}
	registration.trunk_port = trunk ? (uint16_t)trunk_port : registration.service_port;
	registration.nexthop = json_is_true(json_object_get(message, "nexthop"));
	endpoint_format(registration.address, registration.service_port, endpoint);
	if (registry_add(gateway->registry, &registration, error)) {
		control_reply_error(request, "%s: %s", endpoint, error);
		return;
	}
	log_info("added %s by hand", endpoint);
	reply_message(request, "added %s", endpoint);
}

void request_del(struct gateway *gateway, struct control_request *request, const json_t *message)
{
	char error[REGISTRY_ERROR_MAX], text[ENDPOINT_TEXT_MAX];
	const struct proxy_entry *proxy;
	uint8_t address[16];
	uint16_t port;

	if (!request_address(request, message, address, &port))
		return;
	if (port)
		endpoint_format(address, port, text);
	else
		address_format(address, text);
	if (registry_withdraw(gateway->registry, address, port, error)) {
		control_reply_error(request, "%s: %s", text, error);
		return;
	}
	log_info("deleted %s by hand", text);
	proxy = registry_find_proxy(gateway->registry, address);
	if (proxy && (port == 0 || registry_find_port(proxy, port)))
		reply_message(request, "%s takes no new connections and goes when its flows end",
			      text);
	else
		reply_message(request, "deleted %s", text);
}

static const char *read_device(struct control_request *request, const json_t *message)
{
	const char *dev = json_string_value(json_object_get(message, "dev"));

	if (!dev || !dev[0] || strlen(dev) >= IFNAMSIZ) {
		control_reply_error(request,
				    "an interface name is needed, of at most %d characters",
				    IFNAMSIZ - 1);
		return NULL;
	}
	return dev;
}

void request_attach(struct gateway *gateway, struct control_request *request, const json_t *message)
{
	const char *dev = read_device(request, message);
	char error[INTERCEPT_ERROR_MAX];

	if (!dev)
		return;
	if (intercept_attach(gateway->intercept, dev, SIDE_LAN, error)) {
		control_reply_error(request, "%s", error);
		return;
	}
	log_info("attached to %s by hand", dev);
	reply_message(request, "attached to %s", dev);
}

void request_detach(struct gateway *gateway, struct control_request *request, const json_t *message)
{
	const char *dev = read_device(request, message);
	uint64_t flows = supervisor_flows(gateway->supervisor);
	const struct intercept_interface *interface;
	char error[INTERCEPT_ERROR_MAX];

	if (!dev)
		return;
	interface = intercept_find(gateway->intercept, dev);
	if (interface && interface->side == SIDE_WAN) {
		/* `sluice attach` could not bring it back. */
		control_reply_error(request,
				    "%s: replies to source = client legs come by it: take it out "
				    "of wan in the configuration, then `sluice reload`",
				    dev);
		return;
	}
	/* Their packets would no longer find their legs. */
	if (flows && interface) {
		control_reply_error(request,
				    "%s: %llu flows are running and would break: "
				    "`sluice drain`, then try again when they have ended",
				    dev, (unsigned long long)flows);
		return;
	}
	if (intercept_detach(gateway->intercept, dev, error)) {
		control_reply_error(request, "%s", error);
		return;
	}
	log_info("detached from %s by hand", dev);
	reply_message(request, "detached from %s", dev);
}

void request_drain(struct gateway *gateway, struct control_request *request, const json_t *message)
{
	(void)message;
	gateway_drain(gateway);
	log_notice("draining: new connections are forwarded");
	reply_message(request,
		      "new connections are forwarded, %llu flows go on; `sluice reload` ends the "
		      "drain",
		      (unsigned long long)supervisor_flows(gateway->supervisor));
}

void request_reload(struct gateway *gateway, struct control_request *request, const json_t *message)
{
	char error[GATEWAY_ERROR_MAX];

	(void)message;
	if (gateway_reload(gateway, error))
		control_reply_error(request, "%s", error);
	else
		reply_message(request, "reloaded: %zu ports on %zu proxies",
			      registry_port_count(gateway->registry),
			      registry_proxy_count(gateway->registry));
}
