/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sluiced's configuration file (libconfuse syntax), read whole and checked
 * whole before anything of it is applied.
 */
#ifndef SLUICE_GATEWAY_CONFIG_H
#define SLUICE_GATEWAY_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config_keys.h"
#include "key_file.h"
#include "policy.h"
#include "registration.h"
#include "tables.h"

/* A `port` section: what a proxy serves. */
struct port_config {
	uint16_t service_port; /* host byte order */
	uint16_t trunk_port; /* host byte order; the service port when the file says nothing */
	struct wan_params params; /* the named set with the port's own keys over it, checked */
};

/* A `proxy` section: one remote or next-hop router. */
struct proxy_config {
	uint8_t address[16]; /* network byte order, v4-mapped */
	bool nexthop; /* the address is a router's */
	struct port_config *ports; /* owned */
	size_t port_count;
};

/* A `policy` section: an identity and what it may register. */
struct policy_config {
	char name[IDENTITY_NAME_MAX];
	struct address_prefix *addresses; /* owned */
	size_t address_count;
	struct port_range *ports; /* owned */
	size_t port_count;
	uint32_t max_flows; /* 0: no limit */
};

/* The `registrar` section. */
struct registrar_config {
	uint8_t address[16]; /* to listen on; may be unspecified */
	uint16_t port; /* host byte order; 0: there is no registrar */
	uint32_t lease_s; /* seconds that a registration lives without renewal */
};

/* The `metrics` section. */
struct metrics_config {
	uint8_t address[16]; /* to listen on; of this host alone, unless public */
	uint16_t port; /* host byte order; 0: there are no metrics */
	bool is_public; /* others than this host may ask (key public) */
};

struct gateway_config {
	char (*lan)[IFNAMSIZ]; /* interfaces whose clients are served, at least one; owned */
	size_t lan_count;
	char (*wan)[IFNAMSIZ]; /* interfaces that replies to `source = client` legs come by; owned */
	size_t wan_count;
	unsigned workers; /* relay processes; 0 = one per CPU; at most SLUICE_MAX_RELAYS */
	enum engine_choice engine;
	enum way_in intercept; /* key intercept, default tc */
	struct port_range listen_ports; /* with xdp (key listen-ports, default 10240-29999) */
	uint32_t syn_rate; /* SYNs a second of one client that are taken; 0: any (key syn-rate, default 10000) */
	char *user; /* whom relays run as; "" = "sluice" if there is such a user, else "nobody"; owned */
	uint32_t max_proxies; /* entries of proxy_table (key max-proxies, default 16384) */
	uint32_t max_ports; /* entries of port_table (key max-ports, default 131072) */
	uint32_t half_open; /* connections held at once in all (key half-open, default 8192) */
	uint32_t half_open_per_client; /* and per client (key half-open-per-client, default 1024) */
	uint32_t drain_timeout_s; /* how long a stop waits for flows to end (key drain-timeout, default 30s) */
	int log_flows; /* enum log_level of a line for each flow that ends (key log-flows); 0: none */
	char *flow_log; /* file with a JSON object for each (key flow-log); NULL: none; owned */
	struct proxy_config *proxies; /* owned */
	size_t proxy_count;
	struct registrar_config registrar;
	struct policy_config *policies; /* owned */
	size_t policy_count;
	struct metrics_config metrics;
	uint8_t (*keys)[KEY_SIZE]; /* of the policies, in their order; secret_new(); owned */
};

/*
 * Reads path. On success *config is new and the caller frees it with
 * gateway_config_free(); returns 0. Otherwise writes every mistake found to
 * errors, one a line as "FILE:LINE: what is wrong, what was expected", leaves
 * *config NULL and returns -EINVAL, or another negative errno when the file
 * cannot be read at all (then with one line "FILE: why").
 */
int gateway_config_load(const char *path, struct gateway_config **config, FILE *errors);

void gateway_config_free(struct gateway_config *config);

/* Calls function for every key that the file can have. */
void gateway_config_keys(config_key_function *function);

#endif
