/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sluice doctor: looks for what keeps a gateway from working here, with a
 * daemon that runs or without one. The groups of checks, and what they need.
 */
#include "doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "control.h"
#include "log.h"
#include "namespace_lock.h"

static const struct {
	const char *name;
	check_function *check;
} groups[] = {
	{ "kernel", check_kernel },	    { "sockets", check_sockets },
	{ "configuration", check_config },  { "listeners", check_listeners },
	{ "daemon", check_daemon },	    { "interfaces", check_interfaces },
	{ "forwarding", check_forwarding }, { "policy routing", check_rules },
	{ "firewall", check_firewall },	    { "limits", check_limits },
	{ "leftovers", check_leftovers },
};

bool doctor_is_ours(const struct doctor *doctor, const char *dev)
{
	const struct gateway_config *config = doctor->config;

	for (size_t i = 0; config && i < config->lan_count; i++)
		if (!strcmp(config->lan[i], dev))
			return true;
	for (size_t i = 0; config && i < config->wan_count; i++)
		if (!strcmp(config->wan[i], dev))
			return true;
	return false;
}

const struct policy_config *doctor_policy(const struct doctor *doctor, bool ipv4,
					  uint8_t address[16])
{
	const struct gateway_config *config = doctor->config;

	for (size_t i = 0; config && i < config->policy_count; i++)
		for (size_t j = 0; j < config->policies[i].address_count; j++) {
			const struct address_prefix *prefix = &config->policies[i].addresses[j];

			if (address_is_ipv4(prefix->address) != ipv4)
				continue;
			memcpy(address, prefix->address, 16);
			if (prefix->bits < 128)
				address[15] |= 1; /* its first host, as far as anybody knows */
			return &config->policies[i];
		}
	return NULL;
}

long doctor_sysctl(const char *format, ...)
{
	char name[128], path[160];
	va_list arguments;
	long value = -1;
	FILE *file;

	va_start(arguments, format);
	vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

/* The daemon of these directories, if one answers. */
static json_t *ask_status(const struct cli *cli)
{
	json_t *request = json_pack("{s:s, s:s}", "verb", "show", "noun", "status");
	char path[4096], error[256];
	json_t *status = NULL;

	snprintf(path, sizeof(path), "%s/control.sock", cli->run_dir);
	if (control_call(path, request, &status, error, sizeof(error)))
		status = NULL;
	json_decref(request);
	return status;
}

/* What was given, else what the daemon runs with, else what it would. */
static char *choose(const struct doctor *doctor, enum cli_option option, const char *key,
		    const char *usual)
{
	const char *told = json_string_value(json_object_get(doctor->status, key));

	return strdup(doctor->cli->given[option] ?: told ?: usual);
}

static void load_config(struct doctor *doctor)
{
	size_t size;
	FILE *errors = open_memstream(&doctor->config_errors, &size);

	if (!errors)
		return;
	gateway_config_load(doctor->config_path, &doctor->config, errors);
	fclose(errors);
}

static void finish(struct doctor *doctor)
{
	if (doctor->lock >= 0)
		close(doctor->lock);
	gateway_config_free(doctor->config);
	free(doctor->config_errors);
	free(doctor->config_path);
	free(doctor->pin_dir);
	json_decref(doctor->status);
	json_decref(doctor->groups);
}

int verb_doctor(const struct cli *cli, int count, char **arguments)
{
	struct doctor doctor = { .cli = cli };
	int r = 0;

	if (count)
		return cli_usage(cli, "no \"%s\" is expected", arguments[0]);
	if (geteuid() != 0)
		return cli_fail("doctor: cannot look into the kernel as user %u, try sudo",
				geteuid());
	log_open("sluice", LOG_LEVEL_ERROR);
	doctor.groups = json_array();
	doctor.status = ask_status(cli);
	/* Held until the end: no gateway starts while its leftovers are removed. */
	doctor.lock = namespace_lock();
	doctor.config_path = choose(&doctor, CLI_CONFIG, "config", "/etc/sluice/gateway.conf");
	doctor.pin_dir = choose(&doctor, CLI_PIN_DIR, "pin_dir", "/sys/fs/bpf/sluice");
	if (!doctor.groups || !doctor.config_path || !doctor.pin_dir) {
		finish(&doctor);
		return cli_fail("doctor: out of memory");
	}
	load_config(&doctor);
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		report_group(&doctor, groups[i].name);
		groups[i].check(&doctor);
	}
	if (cli->json) {
		json_t *result = json_pack("{s:i, s:i, s:i, s:O}", "problems",
					   (int)doctor.counts[SEVERITY_PROBLEM], "warnings",
					   (int)doctor.counts[SEVERITY_WARNING], "notes",
					   (int)doctor.counts[SEVERITY_NOTE], "groups",
					   doctor.groups);

		r = cli_print_json(result);
		json_decref(result);
	} else {
		report_print(&doctor);
	}
	if (!r && doctor.counts[SEVERITY_PROBLEM])
		r = CLI_FAILED;
	finish(&doctor);
	return r;
}
