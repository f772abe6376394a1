/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reads sluiced's configuration file with libconfuse. Every value is a string
 * for libconfuse and is converted here, so that all mistakes are told alike
 * and none ends the reading; each section is taken over and dropped as it
 * ends, because libconfuse searches all earlier ones at every new one.
 */
#include "gateway_config.h"

#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "array.h"
#include "gateway_config_parts.h"
#include "log.h"
#include "params.h"
#include "secret.h"
#include "units.h"

#define PROXIES_MAX 1000000U
#define PORTS_MAX 4000000U
#define HALF_OPEN_MAX 1000000U
#define SYN_RATE_MAX 1000000U
#define DRAIN_TIMEOUT_MAX_S 86400U
#define USER_NAME_MAX 32

/* libconfuse's lexer is one for the whole process: one file is read at a time. */
struct config_parts *config_loading;

/* ---- values of the outermost level ---- */

static bool interface_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name != '\0'; name++) {
		if (*name == '/' || *name == ':' || isspace((unsigned char)*name))
			return false;
	}
	return true;
}

static void interface_add(struct config_parts *parts, const char *key, const char *name, int line)
{
	bool is_wan = strcmp(key, "wan") == 0;
	struct interface_part *interface;

	if (!interface_name_is_valid(name)) {
		parts->is_interface_wrong[is_wan ? FILE_KEY_WAN : FILE_KEY_LAN] = true;
		config_error(parts->errors, line,
			     "%s has \"%.60s\", expected an interface name of 1 to %d characters, "
			     "none of them \"/\", \":\" or a space",
			     key, name, IFNAMSIZ - 1);
		return;
	}
	interface = array_add(&parts->interfaces, &parts->interface_count, sizeof(*interface));
	if (!interface) {
		parts->errors->no_memory = true;
		return;
	}
	strcpy(interface->name, name);
	interface->line = line;
	interface->is_wan = is_wan;
}

static void engine_set(struct config_parts *parts, const char *key, const char *value, int line)
{
	char error[PARAMS_ERROR_MAX];
	struct wan_params params;

	params_default(&params);
	if (params_set(&params, key, value, error) < 0)
		config_error(parts->errors, line, "%s", error);
	parts->config->engine = params.engine;
}

static void intercept_set(struct config_parts *parts, const char *key, const char *value, int line)
{
	if (strcmp(value, "xdp") == 0)
		parts->config->intercept = WAY_XDP;
	else if (strcmp(value, "tc") == 0)
		parts->config->intercept = WAY_TC;
	else
		config_error(parts->errors, line, "%s is \"%.60s\", expected tc or xdp", key,
			     value);
}

static void listen_ports_set(struct config_parts *parts, const char *key, const char *value,
			     int line)
{
	if (port_range_parse(value, &parts->config->listen_ports) < 0)
		config_error(parts->errors, line,
			     "%s is \"%.60s\", expected a range of ports, such as \"10240-29999\"",
			     key, value);
}

static void user_set(struct config_parts *parts, const char *key, const char *value, int line)
{
	size_t length = strlen(value);

	if (length == 0 || length > USER_NAME_MAX || strpbrk(value, " \t:/")) {
		config_error(parts->errors, line, "%s is \"%.60s\", expected the name of a user",
			     key, value);
		return;
	}
	free(parts->config->user);
	parts->config->user = strdup(value);
	if (!parts->config->user)
		parts->errors->no_memory = true;
}

static void drain_timeout_set(struct config_parts *parts, const char *key, const char *value,
			      int line)
{
	uint64_t microseconds;

	if (duration_parse(value, &microseconds) < 0 || microseconds % 1000000 != 0 ||
	    microseconds / 1000000 > DRAIN_TIMEOUT_MAX_S) {
		config_error(parts->errors, line,
			     "%s is \"%.60s\", expected whole seconds, 0 to 1d, such as \"30s\"",
			     key, value);
		return;
	}
	parts->config->drain_timeout_s = (uint32_t)(microseconds / 1000000);
}

static void log_flows_set(struct config_parts *parts, const char *key, const char *value, int line)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {
		{ "none", 0 },
		{ "debug", LOG_LEVEL_DEBUG },
		{ "info", LOG_LEVEL_INFO },
		{ "notice", LOG_LEVEL_NOTICE },
	};

	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		if (strcmp(levels[i].name, value) == 0) {
			parts->config->log_flows = levels[i].level;
			return;
		}
	}
	config_error(parts->errors, line, "%s is \"%.60s\", expected none, debug, info or notice",
		     key, value);
}

static void flow_log_set(struct config_parts *parts, const char *key, const char *value, int line)
{
	if (value[0] != '/' || strlen(value) >= PATH_MAX || value[strlen(value) - 1] == '/') {
		config_error(parts->errors, line,
			     "%s is \"%.60s\", expected the path of a file, such as "
			     "\"/var/log/sluice/flows.jsonl\"",
			     key, value);
		return;
	}
	free(parts->config->flow_log);
	parts->config->flow_log = strdup(value);
	if (!parts->config->flow_log)
		parts->errors->no_memory = true;
}

static void number_set(struct config_parts *parts, const char *key, const char *value, int line)
{
	struct gateway_config *config = parts->config;
	const struct {
		const char *key;
		uint32_t *field;
		uint32_t min, max;
	} numbers[] = {
		{ "workers", &config->workers, 0, SLUICE_MAX_RELAYS },
		{ "max-proxies", &config->max_proxies, 1, PROXIES_MAX },
		{ "max-ports", &config->max_ports, 1, PORTS_MAX },
		{ "half-open", &config->half_open, 1, HALF_OPEN_MAX },
		{ "half-open-per-client", &config->half_open_per_client, 1, HALF_OPEN_MAX },
		{ "syn-rate", &config->syn_rate, 0, SYN_RATE_MAX },
	};
	uint64_t number;
	size_t i = 0;

	while (strcmp(numbers[i].key, key) != 0)
		i++;
	if (number_parse(value, numbers[i].min, numbers[i].max, &number) < 0)
		config_error(parts->errors, line,
			     "%s is \"%.60s\", expected a number from %u to %u", key, value,
			     numbers[i].min, numbers[i].max);
	else
		*numbers[i].field = (uint32_t)number;
}

static const struct {
	const char *key;
	void (*set)(struct config_parts *parts, const char *key, const char *value, int line);
	bool is_list;
} file_keys[] = {
	[FILE_KEY_LAN] = { "lan", interface_add, true },
	[FILE_KEY_WAN] = { "wan", interface_add, true },
	{ "workers", number_set, false },
	{ "engine", engine_set, false },
	{ "intercept", intercept_set, false },
	{ "user", user_set, false },
	{ "max-proxies", number_set, false },
	{ "max-ports", number_set, false },
	{ "half-open", number_set, false },
	{ "half-open-per-client", number_set, false },
	{ "listen-ports", listen_ports_set, false },
	{ "syn-rate", number_set, false },
	{ "drain-timeout", drain_timeout_set, false },
	{ "log-flows", log_flows_set, false },
	{ "flow-log", flow_log_set, false },
};

#define FILE_KEY_COUNT (sizeof(file_keys) / sizeof(*file_keys))

/* ---- libconfuse's callbacks: 0 means go on ---- */

static int on_file_value(cfg_t *file, cfg_opt_t *option, const char *value, void *result)
{
	size_t i = 0;

	config_keep_value(value, result);
	while (strcmp(file_keys[i].key, option->name) != 0)
		i++;
	file_keys[i].set(config_loading, option->name, value, file->line);
	return 0;
}

static int on_parameter(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	struct settings *settings = &config_loading->settings;
	struct setting *setting = array_add(&settings->list, &settings->count, sizeof(*setting));
	const char *const *key = params_keys;

	config_keep_value(value, result);
	if (setting)
		setting->value = strdup(value);
	if (!setting || !setting->value) {
		config_loading->errors->no_memory = true;
		return -1;
	}
	while (strcmp(*key, option->name) != 0)
		key++;
	setting->key = *key;
	setting->line = section->line;
	return 0;
}

static int on_trunk(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	uint64_t port;

	config_keep_value(value, result);
	if (number_parse(value, 1, UINT16_MAX, &port) < 0)
		config_error(config_loading->errors, section->line,
			     "%s is \"%.60s\", expected a port from 1 to 65535", option->name,
			     value);
	else
		config_loading->port.trunk_port = (uint16_t)port;
	return 0;
}

static int on_port_params(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	(void)option;
	config_keep_value(value, result);
	config_loading->port.params_name = strdup(value);
	config_loading->port.params_line = section->line;
	if (!config_loading->port.params_name)
		config_loading->errors->no_memory = true;
	return 0;
}

static int on_nexthop(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	int nexthop = cfg_parse_boolean(value);

	config_keep_value(value, result);
	if (nexthop < 0)
		config_error(config_loading->errors, section->line,
			     "%s is \"%.60s\", expected true or false", option->name, value);
	config_loading->nexthop = nexthop == 1;
	return 0;
}

static int on_params_end(cfg_t *file, cfg_opt_t *option)
{
	const char *name = cfg_title(cfg_opt_getnsec(option, 0));
	struct params_part *params;

	(void)file;
	params = array_add(&config_loading->params, &config_loading->params_count, sizeof(*params));
	if (!params) {
		config_loading->errors->no_memory = true;
		return -1;
	}
	params->line = config_text_section_line(&config_loading->text);
	params->settings = config_loading->settings;
	config_loading->settings = (struct settings){ 0 };
	params->name = strdup(name);
	if (!params->name)
		config_loading->errors->no_memory = true;
	else if (name[0] == '\0')
		config_error(config_loading->errors, params->line,
			     "params \"\" has an empty name, expected one that ports can give");
	return cfg_opt_rmnsec(option, 0);
}

static int on_port_end(cfg_t *section, cfg_opt_t *option)
{
	const char *title = cfg_title(cfg_opt_getnsec(option, 0));
	struct port_part *port;
	uint64_t number;

	(void)section;
	port = array_add(&config_loading->ports, &config_loading->port_count, sizeof(*port));
	if (!port) {
		config_loading->errors->no_memory = true;
		return -1;
	}
	*port = config_loading->port;
	config_loading->port = (struct port_part){ 0 };
	port->settings = config_loading->settings;
	config_loading->settings = (struct settings){ 0 };
	port->line = config_text_section_line(&config_loading->text);
	if (number_parse(title, 1, UINT16_MAX, &number) < 0)
		config_error(config_loading->errors, port->line,
			     "port \"%.60s\" is no port number, expected 1 to 65535", title);
	else
		port->service_port = (uint16_t)number;
	return cfg_opt_rmnsec(option, 0);
}

static int on_proxy_end(cfg_t *file, cfg_opt_t *option)
{
	const char *title = cfg_title(cfg_opt_getnsec(option, 0));
	struct proxy_part *proxy;

	(void)file;
	proxy = array_add(&config_loading->proxies, &config_loading->proxy_count, sizeof(*proxy));
	if (!proxy) {
		config_loading->errors->no_memory = true;
		return -1;
	}
	proxy->line = config_text_section_line(&config_loading->text);
	proxy->nexthop = config_loading->nexthop;
	proxy->ports = config_loading->ports;
	proxy->port_count = config_loading->port_count;
	config_loading->nexthop = false;
	config_loading->ports = NULL;
	config_loading->port_count = 0;
	proxy->is_wrong = true;
	if (address_parse(title, proxy->address) < 0)
		config_error(config_loading->errors, proxy->line,
			     "proxy \"%.60s\" is no address, expected an IPv4 or IPv6 address",
			     title);
	else if (!address_is_unicast(proxy->address))
		config_error(config_loading->errors, proxy->line,
			     "proxy %.60s cannot be a remote's address, expected one that is not "
			     "unspecified, loopback, multicast or broadcast",
			     title);
	else
		proxy->is_wrong = false;
	return cfg_opt_rmnsec(option, 0);
}

/* What config_text_check() left for libconfuse to stop at. */
static void on_error(cfg_t *section, const char *format, va_list arguments)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, arguments);
	config_error(config_loading->errors, section->line, "%s", text);
}

/* ---- the option tables ---- */

#define PARAMS_OPTIONS_MAX 24
#define SECTION_FLAGS (CFGF_MULTI | CFGF_TITLE | CFGF_NODEFAULT)

struct option_tables {
	cfg_opt_t params[PARAMS_OPTIONS_MAX];
	cfg_opt_t port[PARAMS_OPTIONS_MAX + 2];
	cfg_opt_t proxy[3];
	cfg_opt_t registrar[REGISTRAR_OPTIONS];
	cfg_opt_t policy[POLICY_OPTIONS];
	cfg_opt_t metrics[METRICS_OPTIONS];
	cfg_opt_t file[FILE_KEY_COUNT + 6];
};

static cfg_opt_t section_option(const char *name, cfg_opt_t *options,
				cfg_validate_callback_t on_end)
{
	cfg_opt_t option = CFG_SEC(name, options, SECTION_FLAGS);

	option.validcb = on_end;
	return option;
}

static void option_tables_init(struct option_tables *tables)
{
	const cfg_opt_t end = CFG_END();
	size_t i;

	tables->port[0] = (cfg_opt_t)CFG_STR_CB("trunk", NULL, CFGF_NODEFAULT, on_trunk);
	tables->port[1] = (cfg_opt_t)CFG_STR_CB("params", NULL, CFGF_NODEFAULT, on_port_params);
	for (i = 0; params_keys[i] && i < PARAMS_OPTIONS_MAX - 1; i++) {
		tables->params[i] = (cfg_opt_t)CFG_STR_CB(params_keys[i], NULL, CFGF_NODEFAULT,
							  on_parameter);
		tables->port[i + 2] = tables->params[i];
	}
	tables->params[i] = end;
	tables->port[i + 2] = end;
	tables->proxy[0] = (cfg_opt_t)CFG_STR_CB("nexthop", NULL, CFGF_NODEFAULT, on_nexthop);
	tables->proxy[1] = section_option("port", tables->port, on_port_end);
	tables->proxy[2] = end;
	registrar_options_init(tables->registrar);
	policy_options_init(tables->policy);
	metrics_options_init(tables->metrics);
	for (i = 0; i < FILE_KEY_COUNT; i++) {
		tables->file[i] = (cfg_opt_t)CFG_STR_CB(
			file_keys[i].key, NULL,
			CFGF_NODEFAULT | (file_keys[i].is_list ? CFGF_LIST : 0), on_file_value);
	}
	tables->file[i++] = section_option("params", tables->params, on_params_end);
	tables->file[i++] = section_option("proxy", tables->proxy, on_proxy_end);
	tables->file[i] = section_option("registrar", tables->registrar, on_registrar_end);
	tables->file[i++].flags &= ~CFGF_TITLE;
	tables->file[i++] = section_option("policy", tables->policy, on_policy_end);
	tables->file[i] = section_option("metrics", tables->metrics, on_metrics_end);
	tables->file[i++].flags &= ~CFGF_TITLE;
	tables->file[i] = end;
}

/* ---- the whole ---- */

/* Lets libconfuse read what config_text_check() has left. 0 or -ENOMEM. */
static int parts_parse(struct config_parts *parts, struct option_tables *tables)
{
	FILE *stream = fmemopen(parts->text.text, parts->text.length, "r");
	cfg_t *file = cfg_init(tables->file, CFGF_NONE);
	int result = -ENOMEM;

	if (stream && file) {
		cfg_set_error_function(file, on_error);
		config_loading = parts;
		/* A mistake of the file is in parts->errors then. */
		if (cfg_parse_fp(file, stream) == CFG_SUCCESS || parts->errors->count > 0)
			result = 0;
		config_loading = NULL;
	}
	if (file)
		cfg_free(file);
	if (stream)
		fclose(stream);
	return result;
}

static struct gateway_config *config_default(void)
{
	struct gateway_config *config = calloc(1, sizeof(*config));

	if (!config)
		return NULL;
	config->user = strdup("");
	if (!config->user) {
		free(config);
		return NULL;
	}
	config->engine = ENGINE_AUTO;
	config->max_proxies = 16384;
	config->max_ports = 131072;
	config->half_open = 8192;
	config->half_open_per_client = 1024;
	config->listen_ports = (struct port_range){ 10240, 29999 };
	config->syn_rate = 10000;
	config->drain_timeout_s = 30;
	config->log_flows = LOG_LEVEL_DEBUG;
	config->registrar.lease_s = 30;
	return config;
}

static int parts_load(struct config_parts *parts, const char *path)
{
	struct option_tables tables;
	int result;

	parts->config = config_default();
	if (!parts->config)
		return -ENOMEM;
	result = config_text_read(&parts->text, path);
	if (result < 0)
		return result;
	option_tables_init(&tables);
	config_text_check(&parts->text, tables.file, parts->errors);
	result = parts_parse(parts, &tables);
	if (result < 0)
		return result;
	gateway_config_check(parts);
	if (parts->errors->no_memory)
		return -ENOMEM;
	return parts->errors->count > 0 ? -EINVAL : 0;
}

void gateway_config_keys(config_key_function *function)
{
	struct option_tables tables;

	option_tables_init(&tables);
	config_keys_list(tables.file, "", function);
}

int gateway_config_load(const char *path, struct gateway_config **config, FILE *errors)
{
	struct config_errors found = { 0 };
	struct config_parts parts = { .path = path, .errors = &found };
	int result = parts_load(&parts, path);

	*config = NULL;
	config_errors_print(&found, path, errors);
	if (result == 0) {
		*config = parts.config;
		parts.config = NULL;
	} else if (result != -EINVAL || found.count == 0) {
		fprintf(errors, "%s: %s\n", path, strerror(-result));
	}
	config_parts_free(&parts);
	config_errors_free(&found);
	return result;
}

void gateway_config_free(struct gateway_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->proxy_count; i++)
		free(config->proxies[i].ports);
	free(config->proxies);
	for (size_t i = 0; i < config->policy_count; i++) {
		free(config->policies[i].addresses);
		free(config->policies[i].ports);
	}
	secret_free(config->keys, config->policy_count * sizeof(*config->keys));
	free(config->policies);
	free(config->lan);
	free(config->wan);
	free(config->user);
	free(config->flow_log);
	free(config);
}
