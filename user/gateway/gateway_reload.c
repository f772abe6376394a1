// SPDX-License-Identifier: GPL-2.0
/* Reloading the configuration while everything runs; declared in gateway.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway.h"
#include "log.h"

/* Its program cannot be exchanged while packets of its flows come by. */
static int other_side(const struct intercept_interface *interface, char *error)
{
	snprintf(error, GATEWAY_ERROR_MAX,
		 "%.16s is attached as %s: take it out, reload and put it in as %s when no flow "
		 "runs, or restart",
		 interface->dev, interface->side == SIDE_LAN ? "lan" : "wan",
		 interface->side == SIDE_LAN ? "wan" : "lan");
	return -EBUSY;
}

/* Attaches to what is new in the configuration, or was made anew. An interface that cannot be
 * attached makes the whole reload fail, before anything else is changed. */
static int attach_new(struct gateway *gateway, const struct gateway_config *config, char *error)
{
	const struct list *attached = intercept_interfaces(gateway->intercept);
	char ignored[INTERCEPT_ERROR_MAX];
	size_t new = 0;
	int result = 0;

	intercept_forget_remade(gateway->intercept);
	for (int side = SIDE_LAN; side <= SIDE_WAN && !result; side++) {
		size_t count = side == SIDE_LAN ? config->lan_count : config->wan_count;

		for (size_t i = 0; i < count && !result; i++) {
			const char *dev = side == SIDE_LAN ? config->lan[i] : config->wan[i];
			const struct intercept_interface *there = intercept_find(gateway->intercept,
										 dev);

			if (there && (int)there->side != side)
				result = other_side(there, error);
			if (there)
				continue;
			result = intercept_attach(gateway->intercept, dev,
						  (enum intercept_side)side, error);
			new += !result;
		}
	}
	for (; result && new > 0; new --) /* new ones are at the end of the list */
		intercept_detach(
			gateway->intercept,
			list_entry(attached->previous, struct intercept_interface, link)->dev,
			ignored);
	return result;
}

/* Interfaces that the configuration no longer names are left when no flow
 * runs; those that it names (again) stay. */
static void note_wanted(struct gateway *gateway, const struct gateway_config *config)
{
	const struct gateway_config *before = gateway->config;

	for (size_t i = 0; i < before->lan_count; i++)
		intercept_set_wanted(gateway->intercept, before->lan[i], false);
	for (size_t i = 0; i < before->wan_count; i++)
		intercept_set_wanted(gateway->intercept, before->wan[i], false);
	for (size_t i = 0; i < config->lan_count; i++)
		intercept_set_wanted(gateway->intercept, config->lan[i], true);
	for (size_t i = 0; i < config->wan_count; i++)
		intercept_set_wanted(gateway->intercept, config->wan[i], true);
}

/* What takes effect at the next start is as it was until then, also for who asks
 * what is in force; relays hold on to their user's name. */
static void keep_until_restart(struct gateway_config *old, struct gateway_config *new)
{
	char *user = new->user;

	if (gateway_relay_count(old) != gateway_relay_count(new) || old->engine != new->engine ||
	    old->max_proxies != new->max_proxies || old->max_ports != new->max_ports ||
	    old->half_open != new->half_open ||
	    old->half_open_per_client != new->half_open_per_client ||
	    old->syn_rate != new->syn_rate ||
	    strcmp(gateway_relay_user(old), gateway_relay_user(new)) != 0)
		log_notice(
			"workers, user, engine, max-*, half-open* and syn-rate take effect at the "
			"next start");
	new->workers = old->workers;
	new->engine = old->engine;
	new->max_proxies = old->max_proxies;
	new->max_ports = old->max_ports;
	new->half_open = old->half_open;
	new->half_open_per_client = old->half_open_per_client;
	new->syn_rate = old->syn_rate;
	new->user = old->user;
	old->user = user;
}

int gateway_reload(struct gateway *gateway, char *error)
{
	struct gateway_config *config;
	struct flow_log *flow_log = NULL;
	char ignored[GATEWAY_ERROR_MAX];
	int result = gateway_config_load(gateway->options.config_path, &config, stderr);

	if (result) {
		snprintf(error, GATEWAY_ERROR_MAX,
			 "%.200s: has mistakes, the old configuration stays in force: "
			 "`sluiced --check -c FILE` shows them",
			 gateway->options.config_path);
		return result;
	}
	result = gateway_check(config, error);
	result = result ?: registrar_process_listen(gateway->registrar, &config->registrar, error);
	result = result ?: metrics_process_listen(gateway->metrics, &config->metrics, error);
	result = result
			 ?: ended_flows_prepare(&gateway->ended, config, gateway->event,
						gateway_relay_user(gateway->config), &flow_log,
						error, GATEWAY_ERROR_MAX);
	result = result ?: gateway_set_way(gateway, config, error);
	result = result ?: attach_new(gateway, config, error);
	if (result) {
		gateway_set_way(gateway, gateway->config, ignored);
		flow_log_retire(flow_log);
		registrar_process_listen_cancel(gateway->registrar);
		metrics_process_listen_cancel(gateway->metrics);
		gateway_config_free(config);
		return result;
	}
	result = registry_apply(gateway->registry, config, error);
	if (registrations_apply(&gateway->registrations, config) && !result) {
		result = -ENOMEM;
		snprintf(error, GATEWAY_ERROR_MAX, "out of memory");
	}
	registrar_process_apply(gateway->registrar, gateway->config, config);
	metrics_process_apply(gateway->metrics, gateway->config, config);
	ended_flows_apply(&gateway->ended, config, flow_log);
	note_wanted(gateway, config);
	keep_until_restart(gateway->config, config);
	gateway_config_free(gateway->config);
	gateway->config = config;
	if (!gateway->stopping) {
		gateway->draining = false;
		intercept_set_accepting(gateway->intercept, true);
	}
	log_notice("reloaded: %zu ports on %zu proxies", registry_port_count(gateway->registry),
		   registry_proxy_count(gateway->registry));
	return result;
}
