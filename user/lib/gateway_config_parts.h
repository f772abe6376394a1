/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The configuration file as read, statement by statement with line numbers:
 * what user/lib/gateway_config.c collects and user/lib/gateway_config_check.c
 * checks as a whole and makes a struct gateway_config of.
 */
#ifndef SLUICE_GATEWAY_CONFIG_PARTS_H
#define SLUICE_GATEWAY_CONFIG_PARTS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "config_errors.h"
#include "config_text.h"
#include "gateway_config.h"

/* Where these keys stand in the outermost option table. */
enum { FILE_KEY_LAN, FILE_KEY_WAN };

/* "KEY = VALUE" of a parameter. */
struct setting {
	const char *key; /* of params_keys */
	char *value; /* owned */
	int line;
};

struct settings {
	struct setting *list; /* owned */
	size_t count;
};

/* A `params` section. */
struct params_part {
	char *name; /* owned */
	int line;
	struct settings settings;
	struct wan_params params; /* the settings over the defaults */
	bool is_wrong; /* a mistake of it has been reported */
};

/* A `port` section. */
struct port_part {
	int line;
	uint16_t service_port; /* 0: wrong */
	uint16_t trunk_port; /* 0: not given, or wrong */
	char *params_name; /* of the set it names, or NULL; owned */
	int params_line;
	struct settings settings; /* its own */
};

/* A `proxy` section. */
struct proxy_part {
	int line;
	bool is_wrong; /* the address is none */
	bool nexthop;
	uint8_t address[16];
	struct port_part *ports; /* owned */
	size_t port_count;
};

/* A `policy` section. */
struct policy_part {
	char *name; /* owned */
	int line;
	char *key_file; /* owned; NULL: not given */
	int key_file_line;
	struct address_prefix *addresses; /* owned */
	size_t address_count;
	bool has_addresses, has_ports; /* given, right or wrong */
	struct port_range *ports; /* owned */
	size_t port_count;
	uint32_t max_flows;
};

/* A `metrics` section. */
struct metrics_part {
	int listen_line; /* 0: not given */
	bool is_wrong; /* a mistake of a value has been reported */
};

/* An interface of `lan` or `wan`. */
struct interface_part {
	char name[IFNAMSIZ];
	int line;
	bool is_wan;
};

struct config_parts {
	const char *path; /* of the file */
	struct config_errors *errors;
	struct config_text text;
	struct gateway_config *config; /* single values are stored as they are read */
	bool is_interface_wrong[2]; /* by FILE_KEY_*: one was left out of the list below */
	struct interface_part *interfaces; /* owned */
	size_t interface_count;
	struct params_part *params; /* owned */
	size_t params_count;
	struct proxy_part *proxies; /* owned */
	size_t proxy_count;
	struct policy_part *policies; /* owned */
	size_t policy_count;
	int registrar_line, metrics_line; /* 0: no such section yet */
	/* Of the section that is being read; moved into it at its end. */
	struct settings settings;
	struct port_part *ports;
	size_t port_count;
	struct port_part port; /* trunk_port, params_name and params_line */
	bool nexthop;
	struct policy_part policy;
	bool has_listen; /* of the registrar section: given, right or wrong */
	struct metrics_part metrics;
};

/* What libconfuse's callbacks fill in, as it hands them no pointer of ours. */
extern struct config_parts *config_loading;

/* A libconfuse value callback stores what *result is to be. */
static inline void config_keep_value(const char *value, void *result)
{
	memcpy(result, &value, sizeof(value));
}

/* ---- user/lib/gateway_config_policy.c ---- */

/* The option tables of the sections `registrar` and `policy`, and what libconfuse
 * is to call at the end of one. */
#define REGISTRAR_OPTIONS 3
#define POLICY_OPTIONS 5
void registrar_options_init(cfg_opt_t options[REGISTRAR_OPTIONS]);
void policy_options_init(cfg_opt_t options[POLICY_OPTIONS]);
int on_registrar_end(cfg_t *file, cfg_opt_t *option);
int on_policy_end(cfg_t *file, cfg_opt_t *option);

/* Finds what is wrong with the policies as a whole, reads their keys, and fills
 * in parts->config->policies. */
void policies_check(struct config_parts *parts);

void policy_part_free(struct policy_part *policy);

/* ---- user/lib/gateway_config_metrics.c ---- */

#define METRICS_OPTIONS 3
void metrics_options_init(cfg_opt_t options[METRICS_OPTIONS]);
int on_metrics_end(cfg_t *file, cfg_opt_t *option);

/* ---- user/lib/gateway_config_check.c ---- */

/* Finds every mistake that takes more than one statement to see, and fills in
 * the rest of parts->config. */
void gateway_config_check(struct config_parts *parts);

void config_parts_free(struct config_parts *parts);

#endif
