// SPDX-License-Identifier: GPL-2.0
/* See registry_params.h. */
#include "registry_params.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "linkrate.h"
#include "log.h"
#include "mptcp.h"
#include "wan_tuning.h"

static int compare(const void *one, const void *other)
{
	const struct params_entry *a = one, *b = other;

	return memcmp(&a->params, &b->params, sizeof(a->params));
}

/* What params_table_tuned() said. A configuration is checked before that, and
 * both are then given the benefit of the doubt. */
static enum { TUNING_UNTRIED, TUNING_WORKS, TUNING_FAILED } tuning;

/* linkrate was there once. When the daemon that had registered it goes, this
 * process or another is about to: what comes meanwhile is no reason to refuse. */
static bool has_linkrate = true;

void params_table_tuned(bool tuned)
{
	tuning = tuned ? TUNING_WORKS : TUNING_FAILED;
	has_linkrate = tuned && congestion_control_available(LINKRATE_NAME);
}

static bool flow_control_available(const char *name)
{
	if (has_linkrate && strcmp(name, LINKRATE_NAME) == 0)
		return true;
	return congestion_control_available(name);
}

static int check_supported(const struct wan_params *params, char *error)
{
	const char *flow_control = wan_flow_control(params), *what = NULL;

	if (params->parallel > 1 && !mptcp_is_available())
		what = "parallel: this kernel has no MPTCP, or net.mptcp.enabled is 0";
	else if (params->skip_slow_start && tuning == TUNING_FAILED)
		what = "skip-slow-start: sockets cannot be tuned here, see the log";
	if (what) {
		snprintf(error, REGISTRY_ERROR_MAX, "%s", what);
		return -EOPNOTSUPP;
	}
	if (flow_control[0] && !flow_control_available(flow_control)) {
		snprintf(error, REGISTRY_ERROR_MAX,
			 "flow-control \"%s\"%s: not in this kernel: see "
			 "`sysctl net.ipv4.tcp_available_congestion_control`",
			 flow_control,
			 params->flow_control[0] ? "" : ", which this qos stands for");
		return -EOPNOTSUPP;
	}
	return 0;
}

int registry_check(const struct gateway_config *config, char *error)
{
	char first[REGISTRY_ERROR_MAX], address[INET6_ADDRSTRLEN];
	const struct wan_params *checked = NULL;
	int result;

	for (size_t i = 0; i < config->proxy_count; i++) {
		const struct proxy_config *proxy = &config->proxies[i];

		for (size_t j = 0; j < proxy->port_count; j++) {
			const struct port_config *port = &proxy->ports[j];

			/* most ports are like the one before */
			if (checked && memcmp(checked, &port->params, sizeof(*checked)) == 0)
				continue;
			checked = &port->params;
			result = check_supported(checked, first);
			if (!result)
				continue;
			snprintf(error, REGISTRY_ERROR_MAX, "proxy %s port %u: %.180s",
				 address_format(proxy->address, address), port->service_port,
				 first);
			return result;
		}
	}
	return 0;
}

/* Makes an entry of what was not there yet. Unused ones, which wait for the next
 * sweep, do not keep it out. */
static int write_entry(struct params_table *table, const struct params_entry *entry)
{
	int result = bpf_map_update_elem(table->map, &entry->id, &entry->params, BPF_NOEXIST);

	if (result == -E2BIG) {
		params_table_sweep(table);
		result = bpf_map_update_elem(table->map, &entry->id, &entry->params, BPF_NOEXIST);
	}
	return result;
}

static int check_room(const struct identity *identity, char *error)
{
	if (!identity || identity->param_sets < PARAM_SETS_PER_IDENTITY)
		return 0;
	snprintf(error, REGISTRY_ERROR_MAX,
		 "more than %d different sets of parameters of one "
		 "identity",
		 PARAM_SETS_PER_IDENTITY);
	return -E2BIG;
}

int params_table_get(struct params_table *table, const struct wan_params *params,
		     struct identity *identity, struct params_entry **entry, char *error)
{
	struct params_entry wanted = { .identity = identity, .params = *params };
	struct params_entry **found = tfind(&wanted, &table->by_value, compare), *new;
	int result;

	if (found) {
		(*found)->ports++;
		*entry = *found;
		return 0;
	}
	result = check_supported(params, error) ?: check_room(identity, error);
	if (result)
		return result;
	/* Of use from the next MPTCP socket on, and the relays are about to make one. */
	if (params->parallel > 1)
		result = mptcp_take_over();
	if (result)
		log_warning("net.mptcp.pm_type: %s: flows keep one connection", strerror(-result));
	new = malloc(sizeof(*new));
	if (!new || !tsearch(memcpy(new, &wanted, sizeof(*new)), &table->by_value, compare)) {
		free(new);
		snprintf(error, REGISTRY_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	new->id = ++table->next_id;
	new->ports = 1;
	result = write_entry(table, new);
	if (result) {
		tdelete(new, &table->by_value, compare);
		free(new);
		snprintf(error, REGISTRY_ERROR_MAX, "param_table: %s%s", strerror(-result),
			 result == -E2BIG ? ": too many different sets of parameters" : "");
		return result;
	}
	table->count++;
	if (identity)
		identity->param_sets++;
	*entry = new;
	return 0;
}

void params_table_put(struct params_entry *entry)
{
	entry->ports--;
}

static void find_unused(const void *node, VISIT order, void *result)
{
	struct params_entry *entry = *(struct params_entry *const *)node;

	if ((order == postorder || order == leaf) && entry->ports == 0)
		*(struct params_entry **)result = entry;
}

void params_table_sweep(struct params_table *table)
{
	struct params_entry *unused;

	do { /* the tree must not change under the walk */
		unused = NULL;
		twalk_r(table->by_value, find_unused, &unused);
		if (!unused)
			return;
		bpf_map_delete_elem(table->map, &unused->id);
		tdelete(unused, &table->by_value, compare);
		if (unused->identity)
			unused->identity->param_sets--;
		free(unused);
		table->count--;
	} while (true);
}

void params_table_free(struct params_table *table)
{
	tdestroy(table->by_value, free);
}
