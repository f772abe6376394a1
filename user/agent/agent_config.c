// SPDX-License-Identifier: GPL-2.0
/*
 * Reads sluice-agent's configuration file with libconfuse, after the same first
 * pass as sluiced's (user/lib/config_text.c): every value is a string for
 * libconfuse and is converted here, so that all mistakes are told in one run.
 */
#include "agent_config.h"

#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "array.h"
#include "config_errors.h"
#include "config_text.h"
#include "params.h"
#include "secret.h"
#include "units.h"

/* As long as the gateway's own. */
#define DRAIN_TIMEOUT_S 30
#define DRAIN_TIMEOUT_MAX_US (86400 * 1000000ULL)

/* Any round trip: whether one is there is all that is checked. */
#define RTT_PLACEHOLDER_US 1

/* A `gateway` section as read; key_file is read when all are known. */
struct gateway_part {
	struct agent_gateway gateway;
	int line;
	char *key_file; /* owned; NULL: not given */
	int key_file_line;
	bool has_address, has_identity; /* given, right or wrong */
};

struct parts {
	const char *path;
	struct config_errors *errors;
	struct config_text text;
	struct agent_config *config;
	struct gateway_part *gateways; /* owned */
	size_t gateway_count;
	int *service_lines; /* owned; of config->services */
	size_t service_line_count;
	/* Of the section that is being read. */
	struct gateway_part gateway;
	struct agent_service service;
	bool has_service; /* service.params is set up */
	bool service_is_wrong;
	bool has_address; /* of the file: given, right or wrong */
};

/* libconfuse hands its callbacks no pointer of ours: one file is read at a time. */
static struct parts *loading;

/* libconfuse's value callbacks store what *result is to be. */
static void keep_value(const char *value, void *result)
{
	memcpy(result, &value, sizeof(value));
}

/* ---- the outermost level ---- */

static int on_address(cfg_t *file, cfg_opt_t *option, const char *value, void *result)
{
	uint8_t address[16], (*added)[16];

	keep_value(value, result);
	loading->has_address = true;
	if (address_parse(value, address) < 0 || !address_is_unicast(address)) {
		config_error(loading->errors, file->line,
			     "%s has \"%.60s\", expected an IPv4 or IPv6 address of this host, not "
			     "loopback",
			     option->name, value);
		return 0;
	}
	for (size_t i = 0; i < loading->config->address_count; i++)
		if (memcmp(loading->config->addresses[i], address, 16) == 0) {
			config_error(loading->errors, file->line,
				     "%s has \"%.60s\" already, expected it once", option->name,
				     value);
			return 0;
		}
	added = array_add(&loading->config->addresses, &loading->config->address_count, 16);
	if (added)
		memcpy(*added, address, 16);
	else
		loading->errors->no_memory = true;
	return 0;
}

static int on_nexthop(cfg_t *file, cfg_opt_t *option, const char *value, void *result)
{
	int nexthop = cfg_parse_boolean(value);

	keep_value(value, result);
	if (nexthop < 0)
		config_error(loading->errors, file->line, "%s is \"%.60s\", expected true or false",
			     option->name, value);
	loading->config->nexthop = nexthop == 1;
	return 0;
}

static int on_drain_timeout(cfg_t *file, cfg_opt_t *option, const char *value, void *result)
{
	uint64_t us;

	keep_value(value, result);
	if (duration_parse(value, &us) < 0 || us > DRAIN_TIMEOUT_MAX_US || us % 1000000)
		config_error(loading->errors, file->line,
			     "%s is \"%.60s\", expected whole seconds, 0 to 1d, such as \"30s\"",
			     option->name, value);
	else
		loading->config->drain_timeout_s = (uint32_t)(us / 1000000);
	return 0;
}

/* ---- gateway ---- */

static int on_gateway_address(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	struct agent_gateway *gateway = &loading->gateway.gateway;

	keep_value(value, result);
	loading->gateway.has_address = true;
	if (endpoint_parse(value, gateway->address, &gateway->port) < 0)
		config_error(loading->errors, section->line,
			     "%s is \"%.60s\", expected ADDRESS:PORT, such as \"198.51.100.1:7471\"",
			     option->name, value);
	return 0;
}

static int on_identity(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	struct agent_gateway *gateway = &loading->gateway.gateway;

	keep_value(value, result);
	loading->gateway.has_identity = true;
	if (value[0] == '\0' || strlen(value) >= sizeof(gateway->identity))
		config_error(loading->errors, section->line,
			     "%s is \"%.70s\", expected the name of the gateway's policy, 1 to %d "
			     "characters",
			     option->name, value, IDENTITY_NAME_MAX - 1);
	else
		strcpy(gateway->identity, value);
	return 0;
}

static int on_key_file(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	(void)option;
	keep_value(value, result);
	free(loading->gateway.key_file);
	loading->gateway.key_file = strdup(value);
	loading->gateway.key_file_line = section->line;
	if (!loading->gateway.key_file)
		loading->errors->no_memory = true;
	return 0;
}

static int on_gateway_end(cfg_t *file, cfg_opt_t *option)
{
	struct gateway_part *gateway = array_add(&loading->gateways, &loading->gateway_count,
						 sizeof(*gateway));

	(void)file;
	if (!gateway) {
		loading->errors->no_memory = true;
		return -1;
	}
	*gateway = loading->gateway;
	loading->gateway = (struct gateway_part){ 0 };
	gateway->line = config_text_section_line(&loading->text);
	gateway->gateway.name = strdup(cfg_title(cfg_opt_getnsec(option, 0)));
	if (!gateway->gateway.name)
		loading->errors->no_memory = true;
	return cfg_opt_rmnsec(option, 0);
}

/* ---- service ---- */

static void service_begin(void)
{
	if (!loading->has_service)
		params_default(&loading->service.params);
	loading->has_service = true;
}

static int on_trunk(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	uint64_t port;

	keep_value(value, result);
	if (number_parse(value, 1, UINT16_MAX, &port) < 0)
		config_error(loading->errors, section->line,
			     "%s is \"%.60s\", expected a port from 1 to 65535", option->name,
			     value);
	else
		loading->service.trunk_port = (uint16_t)port;
	return 0;
}

static int on_end_trunk(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	int ends_trunk = cfg_parse_boolean(value);

	keep_value(value, result);
	if (ends_trunk < 0)
		config_error(loading->errors, section->line,
			     "%s is \"%.60s\", expected true or false", option->name, value);
	loading->service.ends_trunk = ends_trunk == 1;
	return 0;
}

static int on_parameter(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	char error[PARAMS_ERROR_MAX];

	keep_value(value, result);
	service_begin();
	if (params_set(&loading->service.params, option->name, value, error) < 0) {
		config_error(loading->errors, section->line, "%s", error);
		loading->service_is_wrong = true;
	}
	return 0;
}

static void service_check(const struct agent_service *service, size_t index, int line)
{
	struct wan_params params = service->params;
	char error[PARAMS_ERROR_MAX];

	if (params.rtt_us == 0) /* the gateway fills it in, with what it has measured */
		params.rtt_us = RTT_PLACEHOLDER_US;

	for (size_t i = 0; i < index; i++)
		if (loading->config->services[i].service_port == service->service_port) {
			config_error(loading->errors, line,
				     "service %u is already given at line %d, expected it once",
				     service->service_port, loading->service_lines[i]);
			break;
		}
	if (!loading->service_is_wrong && params_check(&params, error) < 0)
		config_error(loading->errors, line, "%s", error);
}

static int on_service_end(cfg_t *file, cfg_opt_t *option)
{
	const char *title = cfg_title(cfg_opt_getnsec(option, 0));
	struct agent_config *config = loading->config;
	struct agent_service *service = array_add(&config->services, &config->service_count,
						  sizeof(*service));
	int *line = array_add(&loading->service_lines, &loading->service_line_count, sizeof(*line));
	uint64_t port;

	(void)file;
	if (!service || !line) {
		loading->errors->no_memory = true;
		return -1;
	}
	service_begin();
	*service = loading->service;
	*line = config_text_section_line(&loading->text);
	if (number_parse(title, 1, UINT16_MAX, &port) < 0) {
		config_error(loading->errors, *line,
			     "service \"%.60s\" is no port number, expected 1 to 65535", title);
	} else {
		service->service_port = (uint16_t)port;
		if (!service->trunk_port)
			service->trunk_port = service->service_port;
		service->ends_trunk |= service->params.parallel > 1;
		service_check(service, config->service_count - 1, *line);
	}
	loading->service = (struct agent_service){ 0 };
	loading->has_service = loading->service_is_wrong = false;
	return cfg_opt_rmnsec(option, 0);
}

/* ---- the option tables ---- */

#define PARAMS_OPTIONS_MAX 24
#define SECTION_FLAGS (CFGF_MULTI | CFGF_TITLE | CFGF_NODEFAULT)

struct option_tables {
	cfg_opt_t gateway[4];
	cfg_opt_t service[PARAMS_OPTIONS_MAX + 1];
	cfg_opt_t file[6];
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

	tables->gateway[0] = (cfg_opt_t)CFG_STR_CB("address", NULL, CFGF_NODEFAULT,
						   on_gateway_address);
	tables->gateway[1] = (cfg_opt_t)CFG_STR_CB("identity", NULL, CFGF_NODEFAULT, on_identity);
	tables->gateway[2] = (cfg_opt_t)CFG_STR_CB("key-file", NULL, CFGF_NODEFAULT, on_key_file);
	tables->gateway[3] = end;
	tables->service[0] = (cfg_opt_t)CFG_STR_CB("trunk", NULL, CFGF_NODEFAULT, on_trunk);
	tables->service[1] = (cfg_opt_t)CFG_STR_CB("end-trunk", NULL, CFGF_NODEFAULT, on_end_trunk);
	for (i = 0; params_keys[i] && i < PARAMS_OPTIONS_MAX - 2; i++)
		tables->service[i + 2] = (cfg_opt_t)CFG_STR_CB(params_keys[i], NULL, CFGF_NODEFAULT,
							       on_parameter);
	tables->service[i + 2] = end;
	tables->file[0] = (cfg_opt_t)CFG_STR_CB("address", NULL, CFGF_NODEFAULT | CFGF_LIST,
						on_address);
	tables->file[1] = (cfg_opt_t)CFG_STR_CB("nexthop", NULL, CFGF_NODEFAULT, on_nexthop);
	tables->file[2] = (cfg_opt_t)CFG_STR_CB("drain-timeout", NULL, CFGF_NODEFAULT,
						on_drain_timeout);
	tables->file[3] = section_option("gateway", tables->gateway, on_gateway_end);
	tables->file[4] = section_option("service", tables->service, on_service_end);
	tables->file[5] = end;
}

/* What config_text_check() left for libconfuse to stop at. */
static void on_error(cfg_t *section, const char *format, va_list arguments)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, arguments);
	config_error(loading->errors, section->line, "%s", text);
}

/* ---- the whole ---- */

static void gateway_check(struct parts *parts, size_t index)
{
	struct gateway_part *part = &parts->gateways[index];
	const char *missing = !part->has_address    ? "address = \"ADDRESS:PORT\""
			      : !part->has_identity ? "identity = \"NAME\""
			      : !part->key_file	    ? "key-file = \"FILE\""
						    : NULL;
	char error[KEY_FILE_ERROR_MAX];

	for (size_t i = 0; i < index; i++)
		if (strcmp(parts->config->gateways[i].name, part->gateway.name) == 0) {
			config_error(parts->errors, part->line,
				     "gateway \"%.60s\" is already given at line %d, expected "
				     "another name",
				     part->gateway.name, parts->gateways[i].line);
			break;
		}
	if (missing && !parts->text.is_cut)
		config_error(parts->errors, part->line,
			     "gateway \"%.60s\" without %.*s, expected %s", part->gateway.name,
			     (int)strcspn(missing, " "), missing, missing);
	if (part->key_file &&
	    key_file_read(part->key_file, parts->path, parts->config->keys[index], error) < 0)
		config_error(parts->errors, part->key_file_line, "key-file %s", error);
	parts->config->gateways[index] = part->gateway;
	part->gateway.name = NULL;
}

/* The agent can take connections only where it is, and where nobody else does. */
static void trunk_check(struct parts *parts, size_t index)
{
	const struct agent_config *config = parts->config;
	const struct agent_service *service = &config->services[index];
	int line = parts->service_lines[index];
	const char *what = service->params.parallel > 1 ? "parallel" : "end-trunk";

	if (config->nexthop)
		config_error(parts->errors, line,
			     "%s with nexthop, expected one of them: the trunk ports are those of "
			     "hosts behind this one",
			     what);
	if (service->trunk_port == service->service_port)
		config_error(parts->errors, line,
			     "%s without trunk, expected trunk = a free port of this host, other "
			     "than %u: the agent listens there and connects to the service",
			     what, service->service_port);
	if (service->params.source == SOURCE_CLIENT)
		config_error(parts->errors, line,
			     "%s with source = client, expected one of them: proxy-protocol = v2 "
			     "also tells who the client is",
			     what);
	for (size_t i = 0; i < config->service_count; i++)
		if (i != index && config->services[i].trunk_port == service->trunk_port) {
			config_error(parts->errors, line,
				     "trunk %u is also that of the service at line %d, expected "
				     "another one: %s needs a port of its own",
				     service->trunk_port, parts->service_lines[i], what);
			break;
		}
}

static void check(struct parts *parts)
{
	struct agent_config *config = parts->config;
	size_t count = parts->gateway_count;

	if (parts->errors->no_memory)
		return;
	if (config->address_count == 0 && !parts->has_address && !parts->text.is_cut)
		config_error(parts->errors, 1,
			     "no address of this host, expected address = { \"ADDRESS\" }");
	for (size_t i = 0; i < config->service_count; i++)
		if (config->services[i].ends_trunk && config->services[i].service_port)
			trunk_check(parts, i);
	if (count == 0) {
		if (!parts->text.is_cut)
			config_error(parts->errors, 1,
				     "no gateway, expected gateway \"NAME\" { ... }");
		return;
	}
	config->gateways = calloc(count, sizeof(*config->gateways));
	config->keys = secret_new(count * sizeof(*config->keys));
	if (!config->gateways || !config->keys) {
		parts->errors->no_memory = true;
		return;
	}
	config->gateway_count = count;
	for (size_t i = 0; i < count; i++)
		gateway_check(parts, i);
}

/* Lets libconfuse read what config_text_check() has left. 0 or -ENOMEM. */
static int parse(struct parts *parts, struct option_tables *tables)
{
	FILE *stream = fmemopen(parts->text.text, parts->text.length, "r");
	cfg_t *file = cfg_init(tables->file, CFGF_NONE);
	int result = -ENOMEM;

	if (stream && file) {
		cfg_set_error_function(file, on_error);
		loading = parts;
		/* A mistake of the file is in parts->errors then. */
		if (cfg_parse_fp(file, stream) == CFG_SUCCESS || parts->errors->count > 0)
			result = 0;
		loading = NULL;
	}
	if (file)
		cfg_free(file);
	if (stream)
		fclose(stream);
	return result;
}

static int load(struct parts *parts)
{
	struct option_tables tables;
	int result;

	parts->config = calloc(1, sizeof(*parts->config));
	if (!parts->config)
		return -ENOMEM;
	parts->config->drain_timeout_s = DRAIN_TIMEOUT_S;
	result = config_text_read(&parts->text, parts->path);
	if (result < 0)
		return result;
	option_tables_init(&tables);
	config_text_check(&parts->text, tables.file, parts->errors);
	result = parse(parts, &tables);
	if (result < 0)
		return result;
	check(parts);
	if (parts->errors->no_memory)
		return -ENOMEM;
	return parts->errors->count > 0 ? -EINVAL : 0;
}

static void parts_free(struct parts *parts)
{
	for (size_t i = 0; i < parts->gateway_count; i++) {
		free(parts->gateways[i].gateway.name);
		free(parts->gateways[i].key_file);
	}
	free(parts->gateways);
	free(parts->gateway.key_file);
	free(parts->service_lines);
	config_text_free(&parts->text);
	agent_config_free(parts->config);
}

void agent_config_keys(config_key_function *function)
{
	struct option_tables tables;

	option_tables_init(&tables);
	config_keys_list(tables.file, "", function);
}

int agent_config_load(const char *path, struct agent_config **config, FILE *errors)
{
	struct config_errors found = { 0 };
	struct parts parts = { .path = path, .errors = &found };
	int result = load(&parts);

	*config = NULL;
	config_errors_print(&found, path, errors);
	if (result == 0) {
		*config = parts.config;
		parts.config = NULL;
	} else if (result != -EINVAL || found.count == 0) {
		fprintf(errors, "%s: %s\n", path, strerror(-result));
	}
	parts_free(&parts);
	config_errors_free(&found);
	return result;
}

void agent_config_free(struct agent_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->gateway_count; i++)
		free(config->gateways[i].name);
	secret_free(config->keys, config->gateway_count * sizeof(*config->keys));
	free(config->gateways);
	free(config->addresses);
	free(config->services);
	free(config);
}
