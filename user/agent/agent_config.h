/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sluice-agent's configuration file (libconfuse syntax), read whole and checked
 * whole before anything of it is applied.
 */
#ifndef SLUICE_AGENT_CONFIG_H
#define SLUICE_AGENT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config_keys.h"
#include "key_file.h"
#include "registration.h"
#include "tables.h"

/* A `gateway` section: where to register, and as whom. */
struct agent_gateway {
	char *name; /* owned */
	uint8_t address[16]; /* of its registrar; network byte order, v4-mapped */
	uint16_t port; /* host byte order */
	char identity[IDENTITY_NAME_MAX];
};

/* A `service` section: a port of ours that clients connect to. */
struct agent_service {
	uint16_t service_port;
	uint16_t trunk_port; /* the service port when the file says nothing */
	bool ends_trunk; /* the agent takes the gateway's connections itself, at the trunk port */
	struct wan_params params; /* checked */
};

struct agent_config {
	struct agent_gateway *gateways; /* owned, at least one */
	uint8_t (*keys)[KEY_SIZE]; /* of the gateways, in their order; secret_new(); owned */
	size_t gateway_count;
	uint8_t (*addresses)[16]; /* that the services have; owned, at least one */
	size_t address_count;
	bool nexthop; /* the addresses are a router's: the services are those of the site behind it */
	struct agent_service *services; /* owned */
	size_t service_count;
	uint32_t drain_timeout_s; /* seconds that flows of ended trunks have to end when it stops */
};

/* As gateway_config_load(): 0, or a negative errno after all mistakes were
 * written to errors as "FILE:LINE: what is wrong, what was expected". */
int agent_config_load(const char *path, struct agent_config **config, FILE *errors);

void agent_config_free(struct agent_config *config);

/* Calls function for every key that the file can have. */
void agent_config_keys(config_key_function *function);

#endif
