// SPDX-License-Identifier: GPL-2.0
/*
 * The sections `registrar` and `policy` of sluiced's configuration file: who may
 * register what. Read here as user/lib/gateway_config.c reads the others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "array.h"
#include "gateway_config_parts.h"
#include "secret.h"
#include "units.h"

#define LEASE_MAX_S 86400U
#define MAX_FLOWS_MAX 100000000U

/* ---- registrar ---- */

static int on_listen(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	struct registrar_config *registrar = &config_loading->config->registrar;

	config_keep_value(value, result);
	config_loading->has_listen = true;
	if (endpoint_parse(value, registrar->address, &registrar->port) < 0)
		config_error(config_loading->errors, section->line,
			     "%s is \"%.60s\", expected ADDRESS:PORT, such as \"0.0.0.0:7471\" or "
			     "\"[::]:7471\"",
			     option->name, value);
	return 0;
}

static int on_lease(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	uint64_t microseconds;

	config_keep_value(value, result);
	if (duration_parse(value, &microseconds) < 0 || microseconds % 1000000 != 0 ||
	    microseconds == 0 || microseconds / 1000000 > LEASE_MAX_S)
		config_error(config_loading->errors, section->line,
			     "%s is \"%.60s\", expected whole seconds, 1s to 1d, such as \"30s\"",
			     option->name, value);
	else
		config_loading->config->registrar.lease_s = (uint32_t)(microseconds / 1000000);
	return 0;
}

void registrar_options_init(cfg_opt_t options[REGISTRAR_OPTIONS])
{
	options[0] = (cfg_opt_t)CFG_STR_CB("listen", NULL, CFGF_NODEFAULT, on_listen);
	options[1] = (cfg_opt_t)CFG_STR_CB("lease", NULL, CFGF_NODEFAULT, on_lease);
	options[2] = (cfg_opt_t)CFG_END();
}

int on_registrar_end(cfg_t *file, cfg_opt_t *option)
{
	int line = config_text_section_line(&config_loading->text);

	(void)file;
	if (config_loading->registrar_line)
		config_error(config_loading->errors, line,
			     "registrar is already given at line %d, expected it once",
			     config_loading->registrar_line);
	else
		config_loading->registrar_line = line;
	if (!config_loading->has_listen)
		config_error(config_loading->errors, line,
			     "registrar without listen, expected listen = \"ADDRESS:PORT\"");
	config_loading->has_listen = false;
	return cfg_opt_rmnsec(option, 0);
}

/* ---- policy ---- */

static int on_key_file(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	(void)option;
	config_keep_value(value, result);
	free(config_loading->policy.key_file);
	config_loading->policy.key_file = strdup(value);
	config_loading->policy.key_file_line = section->line;
	if (!config_loading->policy.key_file)
		config_loading->errors->no_memory = true;
	return 0;
}

static int on_address(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	struct policy_part *policy = &config_loading->policy;
	struct address_prefix prefix, *added;
	char meant[PREFIX_TEXT_MAX];
	int parsed = prefix_parse(value, &prefix);

	config_keep_value(value, result);
	policy->has_addresses = true;
	if (parsed == -ERANGE) {
		config_error(config_loading->errors, section->line,
			     "%s has \"%.60s\" with bits set behind the prefix, expected \"%s\"",
			     option->name, value, prefix_format(&prefix, meant));
	} else if (parsed < 0) {
		config_error(config_loading->errors, section->line,
			     "%s has \"%.60s\", expected a prefix such as \"203.0.113.0/28\" or an "
			     "address",
			     option->name, value);
	} else {
		added = array_add(&policy->addresses, &policy->address_count, sizeof(*added));
		if (added)
			*added = prefix;
		else
			config_loading->errors->no_memory = true;
	}
	return 0;
}

static int on_ports(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	struct policy_part *policy = &config_loading->policy;
	struct port_range range, *added;

	config_keep_value(value, result);
	policy->has_ports = true;
	if (port_range_parse(value, &range) < 0) {
		config_error(config_loading->errors, section->line,
			     "%s has \"%.60s\", expected a port or a range such as \"5000-5999\", "
			     "1 to 65535",
			     option->name, value);
		return 0;
	}
	added = array_add(&policy->ports, &policy->port_count, sizeof(*added));
	if (added)
		*added = range;
	else
		config_loading->errors->no_memory = true;
	return 0;
}

static int on_max_flows(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	uint64_t number;

	config_keep_value(value, result);
	if (number_parse(value, 1, MAX_FLOWS_MAX, &number) < 0)
		config_error(config_loading->errors, section->line,
			     "%s is \"%.60s\", expected a number from 1 to %u", option->name, value,
			     MAX_FLOWS_MAX);
	else
		config_loading->policy.max_flows = (uint32_t)number;
	return 0;
}

void policy_options_init(cfg_opt_t options[POLICY_OPTIONS])
{
	options[0] = (cfg_opt_t)CFG_STR_CB("key-file", NULL, CFGF_NODEFAULT, on_key_file);
	options[1] = (cfg_opt_t)CFG_STR_CB("addresses", NULL, CFGF_NODEFAULT | CFGF_LIST,
					   on_address);
	options[2] = (cfg_opt_t)CFG_STR_CB("ports", NULL, CFGF_NODEFAULT | CFGF_LIST, on_ports);
	options[3] = (cfg_opt_t)CFG_STR_CB("max-flows", NULL, CFGF_NODEFAULT, on_max_flows);
	options[4] = (cfg_opt_t)CFG_END();
}

/* The name travels in TLS and stands in logs and tables. */
static bool name_is_valid(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length >= IDENTITY_NAME_MAX)
		return false;
	for (; *name != '\0'; name++)
		if (*name <= ' ' || *name > '~' || *name == '"')
			return false;
	return true;
}

int on_policy_end(cfg_t *file, cfg_opt_t *option)
{
	const char *name = cfg_title(cfg_opt_getnsec(option, 0));
	struct policy_part *policy;

	(void)file;
	policy = array_add(&config_loading->policies, &config_loading->policy_count,
			   sizeof(*policy));
	if (!policy) {
		config_loading->errors->no_memory = true;
		return -1;
	}
	*policy = config_loading->policy;
	config_loading->policy = (struct policy_part){ 0 };
	policy->line = config_text_section_line(&config_loading->text);
	policy->name = strdup(name);
	if (!policy->name)
		config_loading->errors->no_memory = true;
	else if (!name_is_valid(name))
		config_error(
			config_loading->errors, policy->line,
			"policy \"%.70s\" is no name of an identity, expected 1 to %d printable "
			"characters without space",
			name, IDENTITY_NAME_MAX - 1);
	return cfg_opt_rmnsec(option, 0);
}

/* ---- the whole ---- */

/* What is missing. Nothing is when it may stand in the part that could not be read. */
static void complete_check(const struct config_parts *parts, const struct policy_part *policy)
{
	const char *missing = !policy->key_file	       ? "key-file = \"FILE\""
			      : !policy->has_addresses ? "addresses = { \"PREFIX\" }"
			      : !policy->has_ports     ? "ports = { \"PORT\" }"
						       : NULL;

	if (missing && !parts->text.is_cut)
		config_error(parts->errors, policy->line,
			     "policy \"%.60s\" without %.*s, expected %s", policy->name,
			     (int)strcspn(missing, " "), missing, missing);
}

static void policy_check(struct config_parts *parts, size_t index)
{
	struct policy_part *policy = &parts->policies[index];
	struct policy_config *config = &parts->config->policies[index];
	char error[KEY_FILE_ERROR_MAX];

	for (size_t i = 0; i < index; i++) {
		if (strcmp(parts->policies[i].name, policy->name) != 0)
			continue;
		config_error(parts->errors, policy->line,
			     "policy \"%.60s\" is already given at line %d, expected another name",
			     policy->name, parts->policies[i].line);
		break;
	}
	complete_check(parts, policy);
	if (policy->key_file &&
	    key_file_read(policy->key_file, parts->path, parts->config->keys[index], error) < 0)
		config_error(parts->errors, policy->key_file_line, "key-file %s", error);
	snprintf(config->name, sizeof(config->name), "%s", policy->name);
	config->addresses = policy->addresses;
	config->address_count = policy->address_count;
	config->ports = policy->ports;
	config->port_count = policy->port_count;
	config->max_flows = policy->max_flows;
	policy->addresses = NULL;
	policy->ports = NULL;
}

void policies_check(struct config_parts *parts)
{
	struct gateway_config *config = parts->config;

	if (parts->policy_count == 0)
		return;
	config->policies = calloc(parts->policy_count, sizeof(*config->policies));
	config->keys = secret_new(parts->policy_count * sizeof(*config->keys));
	if (!config->policies || !config->keys) {
		parts->errors->no_memory = true;
		return;
	}
	config->policy_count = parts->policy_count;
	for (size_t i = 0; i < parts->policy_count; i++)
		policy_check(parts, i);
}

void policy_part_free(struct policy_part *policy)
{
	free(policy->name);
	free(policy->key_file);
	free(policy->addresses);
	free(policy->ports);
}
