/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Checks a configuration file as a whole, once user/lib/gateway_config.c has
 * read it: what is given twice, refers to what is not there, or does not fit
 * together. Everything that may be long is sorted, never searched.
 */
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "gateway_config_parts.h"
#include "nearest.h"
#include "params.h"

/* State of the checks. */
struct check {
	struct config_parts *parts;
	struct params_part **sets; /* owned; sorted by name, the first given first */
	const struct setting *client; /* the first `source = client` of the file, or NULL */
	size_t port_count; /* of all proxies */
};

/* An owned array for at least one element; NULL when out of memory. */
static void *array_new(struct check *check, size_t count, size_t size)
{
	void *array = calloc(count > 0 ? count : 1, size);

	if (!array)
		check->parts->errors->no_memory = true;
	return array;
}

/* ---- interfaces ---- */

static void interface_check(struct check *check, size_t index)
{
	struct config_parts *parts = check->parts;
	const struct interface_part *interface = &parts->interfaces[index], *other;
	const char *key = interface->is_wan ? "wan" : "lan";

	for (size_t i = 0; i < index; i++) {
		other = &parts->interfaces[i];
		if (strcmp(interface->name, other->name) != 0)
			continue;
		if (interface->is_wan == other->is_wan)
			config_error(parts->errors, interface->line,
				     "%s has \"%s\" already at line %d, expected it once", key,
				     interface->name, other->line);
		else
			config_error(parts->errors, interface->line,
				     "%s has \"%s\", which is in %s at line %d, expected it in one "
				     "of them",
				     key, interface->name, other->is_wan ? "wan" : "lan",
				     other->line);
		return;
	}
}

/* True when it says nothing that a key has no interface: what there was of it
 * has been reported, or it may stand in the part that could not be read. */
static bool is_excused(const struct config_parts *parts, size_t key)
{
	return parts->is_interface_wrong[key] || parts->text.key_lines[key] < 0 ||
	       parts->text.is_cut;
}

static void interfaces_check(struct check *check)
{
	struct config_parts *parts = check->parts;
	struct gateway_config *config = parts->config;
	const struct interface_part *interface;
	int lan_line;

	config->lan = array_new(check, parts->interface_count, sizeof(*config->lan));
	config->wan = array_new(check, parts->interface_count, sizeof(*config->wan));
	if (!config->lan || !config->wan)
		return;
	for (size_t i = 0; i < parts->interface_count; i++) {
		interface_check(check, i);
		interface = &parts->interfaces[i];
		strcpy(interface->is_wan ? config->wan[config->wan_count++]
					 : config->lan[config->lan_count++],
		       interface->name);
	}
	lan_line = parts->text.key_lines[FILE_KEY_LAN];
	if (config->lan_count == 0 && !is_excused(parts, FILE_KEY_LAN))
		config_error(parts->errors, lan_line > 0 ? lan_line : 1,
			     "no interface in lan, expected lan = { \"INTERFACE\" }");
}

/* ---- parameters ---- */

/* False when one of the settings is wrong. */
static bool settings_apply(struct check *check, const struct settings *settings,
			   struct wan_params *params)
{
	char error[PARAMS_ERROR_MAX];
	const struct setting *setting;
	bool is_right = true;

	for (size_t i = 0; i < settings->count; i++) {
		setting = &settings->list[i];
		if (params_set(params, setting->key, setting->value, error) < 0) {
			config_error(check->parts->errors, setting->line, "%s", error);
			is_right = false;
		} else if (strcmp(setting->key, "source") == 0 && params->source == SOURCE_CLIENT &&
			   (!check->client || setting->line < check->client->line)) {
			check->client = setting;
		}
	}
	return is_right;
}

static int compare_sets(const void *left, const void *right)
{
	struct params_part *const *a = left, *const *b = right;
	int order = strcmp((*a)->name, (*b)->name);

	if (order != 0)
		return order;
	return *a < *b ? -1 : 1;
}

static void sets_check(struct check *check)
{
	struct config_parts *parts = check->parts;
	struct params_part *set;
	size_t first = 0;

	check->sets = array_new(check, parts->params_count, sizeof(struct params_part *));
	if (!check->sets)
		return;
	for (size_t i = 0; i < parts->params_count; i++) {
		set = &parts->params[i];
		params_default(&set->params);
		set->is_wrong = !settings_apply(check, &set->settings, &set->params);
		check->sets[i] = set;
	}
	qsort(check->sets, parts->params_count, sizeof(*check->sets), compare_sets);
	for (size_t i = 1; i < parts->params_count; i++) {
		if (strcmp(check->sets[i]->name, check->sets[first]->name) != 0) {
			first = i;
			continue;
		}
		config_error(parts->errors, check->sets[i]->line,
			     "params \"%.60s\" is already given at line %d, expected another name",
			     check->sets[i]->name, check->sets[first]->line);
		check->sets[first]->is_wrong = true;
	}
}

static const struct params_part *set_find(const struct check *check, const char *name)
{
	size_t low = 0, high = check->parts->params_count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (strcmp(check->sets[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == check->parts->params_count || strcmp(check->sets[low]->name, name) != 0)
		return NULL;
	return check->sets[low];
}

static void unknown_set_report(struct check *check, const struct port_part *port)
{
	struct config_parts *parts = check->parts;
	const char **names = array_new(check, parts->params_count, sizeof(*names));
	const char *nearest;

	/* It may stand in the part of the file that could not be read. */
	if (!names || parts->text.is_cut) {
		free(names);
		return;
	}
	for (size_t i = 0; i < parts->params_count; i++)
		names[i] = check->sets[i]->name;
	nearest = nearest_name(port->params_name, names, parts->params_count);
	if (nearest)
		config_error(parts->errors, port->params_line,
			     "no params \"%.60s\" in this file, did you mean \"%s\"?",
			     port->params_name, nearest);
	else
		config_error(parts->errors, port->params_line,
			     "no params \"%.60s\" in this file, expected the name of one",
			     port->params_name);
	free(names);
}

/* ---- ports and proxies ---- */

static void port_check(struct check *check, const struct port_part *port,
		       struct port_config *config)
{
	const struct params_part *set = NULL;
	char error[PARAMS_ERROR_MAX];
	bool is_right = true;

	config->service_port = port->service_port;
	config->trunk_port = port->trunk_port > 0 ? port->trunk_port : port->service_port;
	params_default(&config->params);
	if (port->params_name) {
		set = set_find(check, port->params_name);
		if (!set)
			unknown_set_report(check, port);
		is_right = set && !set->is_wrong;
	}
	if (set)
		config->params = set->params;
	if (!settings_apply(check, &port->settings, &config->params))
		is_right = false;
	/* Whether the whole fits together can be told only when its parts are right. */
	if (is_right && !check->parts->text.is_cut && params_check(&config->params, error) < 0)
		config_error(check->parts->errors, port->line, "%s", error);
}

static int compare_ports(const void *left, const void *right)
{
	const struct port_part *const *a = left, *const *b = right;

	if ((*a)->service_port != (*b)->service_port)
		return (*a)->service_port < (*b)->service_port ? -1 : 1;
	return *a < *b ? -1 : 1;
}

static void port_duplicates_check(struct check *check, const struct proxy_part *proxy)
{
	const struct port_part **sorted, *first;

	sorted = array_new(check, proxy->port_count, sizeof(*sorted));
	if (!sorted)
		return;
	for (size_t i = 0; i < proxy->port_count; i++)
		sorted[i] = &proxy->ports[i];
	qsort(sorted, proxy->port_count, sizeof(*sorted), compare_ports);
	first = sorted[0];
	for (size_t i = 1; i < proxy->port_count; i++) {
		if (sorted[i]->service_port != first->service_port)
			first = sorted[i];
		else if (first->service_port > 0)
			config_error(check->parts->errors, sorted[i]->line,
				     "port %u is already given at line %d", first->service_port,
				     first->line);
	}
	free(sorted);
}

static void proxy_check(struct check *check, const struct proxy_part *proxy,
			struct proxy_config *config)
{
	struct config_parts *parts = check->parts;

	memcpy(config->address, proxy->address, sizeof(config->address));
	config->nexthop = proxy->nexthop;
	config->ports = array_new(check, proxy->port_count, sizeof(*config->ports));
	if (!config->ports)
		return;
	config->port_count = proxy->port_count;
	for (size_t i = 0; i < proxy->port_count; i++) {
		port_check(check, &proxy->ports[i], &config->ports[i]);
		if (check->port_count++ == parts->config->max_ports)
			config_error(parts->errors, proxy->ports[i].line,
				     "more ports than max-ports allows, expected at most %u",
				     parts->config->max_ports);
	}
	if (proxy->port_count > 1)
		port_duplicates_check(check, proxy);
}

static int compare_proxies(const void *left, const void *right)
{
	const struct proxy_part *const *a = left, *const *b = right;
	int order = memcmp((*a)->address, (*b)->address, sizeof((*a)->address));

	if (order != 0)
		return order;
	return *a < *b ? -1 : 1;
}

static void proxy_duplicates_check(struct check *check)
{
	struct config_parts *parts = check->parts;
	const struct proxy_part **sorted, *first = NULL;
	char text[INET6_ADDRSTRLEN];

	sorted = array_new(check, parts->proxy_count, sizeof(*sorted));
	if (!sorted)
		return;
	for (size_t i = 0; i < parts->proxy_count; i++)
		sorted[i] = &parts->proxies[i];
	qsort(sorted, parts->proxy_count, sizeof(*sorted), compare_proxies);
	for (size_t i = 0; i < parts->proxy_count; i++) {
		if (sorted[i]->is_wrong)
			continue;
		if (first && memcmp(sorted[i]->address, first->address, 16) == 0)
			config_error(parts->errors, sorted[i]->line,
				     "proxy %s is already given at line %d",
				     address_format(first->address, text), first->line);
		else
			first = sorted[i];
	}
	free(sorted);
}

static void proxies_check(struct check *check)
{
	struct config_parts *parts = check->parts;
	struct gateway_config *config = parts->config;

	config->proxies = array_new(check, parts->proxy_count, sizeof(*config->proxies));
	if (!config->proxies)
		return;
	config->proxy_count = parts->proxy_count;
	for (size_t i = 0; i < parts->proxy_count; i++)
		proxy_check(check, &parts->proxies[i], &config->proxies[i]);
	if (parts->proxy_count > config->max_proxies)
		config_error(parts->errors, parts->proxies[config->max_proxies].line,
			     "more proxies than max-proxies allows, expected at most %u",
			     config->max_proxies);
	proxy_duplicates_check(check);
}

void gateway_config_check(struct config_parts *parts)
{
	struct check check = { .parts = parts };

	/* A part that lacks for want of memory is no mistake of the file. */
	if (parts->errors->no_memory)
		return;
	interfaces_check(&check);
	sets_check(&check);
	if (check.sets)
		proxies_check(&check);
	policies_check(parts);
	if (check.client && parts->config->wan_count == 0 && !is_excused(parts, FILE_KEY_WAN))
		config_error(
			parts->errors, check.client->line,
			"source = client without wan, expected wan = { \"INTERFACE\" } as well");
	free(check.sets);
}

/* ---- release ---- */

static void settings_free(struct settings *settings)
{
	for (size_t i = 0; i < settings->count; i++)
		free(settings->list[i].value);
	free(settings->list);
	*settings = (struct settings){ 0 };
}

static void ports_free(struct port_part *ports, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		settings_free(&ports[i].settings);
		free(ports[i].params_name);
	}
	free(ports);
}

void config_parts_free(struct config_parts *parts)
{
	for (size_t i = 0; i < parts->params_count; i++) {
		settings_free(&parts->params[i].settings);
		free(parts->params[i].name);
	}
	free(parts->params);
	for (size_t i = 0; i < parts->proxy_count; i++)
		ports_free(parts->proxies[i].ports, parts->proxies[i].port_count);
	free(parts->proxies);
	for (size_t i = 0; i < parts->policy_count; i++)
		policy_part_free(&parts->policies[i]);
	free(parts->policies);
	policy_part_free(&parts->policy);
	/* What a section that did not end has left behind. */
	settings_free(&parts->settings);
	free(parts->port.params_name);
	ports_free(parts->ports, parts->port_count);
	free(parts->interfaces);
	config_text_free(&parts->text);
	gateway_config_free(parts->config);
}
