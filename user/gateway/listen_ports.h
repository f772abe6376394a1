/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Listen ports [#n-c-s]: each served port has one, where the LAN legs of its
 * connections land when they are taken by XDP. Which are in use, and the map
 * listen_table. The registry (registry_listen.c) gives them to its entries.
 */
#ifndef SLUICE_LISTEN_PORTS_H
#define SLUICE_LISTEN_PORTS_H

#include <stdint.h>

#include "policy.h"
#include "tables.h"

struct listen_ports {
	int map; /* listen_table; borrowed */
	struct port_range range; /* new ones are taken from here; first == 0: none is given */
	uint16_t next; /* where the search goes on: a port rests as long as it can */
	uint32_t count; /* in use */
	uint8_t used[(UINT16_MAX + 1) / 8];
};

/* How many ports the range has. */
uint32_t listen_ports_capacity(const struct listen_ports *ports);

/* Whether one of them is free. */
bool listen_ports_has_room(const struct listen_ports *ports);

/*
 * Takes a free port and enters whom it stands for into the map. 0, -ENOSPC, or
 * another negative errno; *port is untouched then.
 */
int listen_ports_take(struct listen_ports *ports, const struct listen_value *value, uint16_t *port);

/* Gives a port back; 0 is none. */
void listen_ports_give_back(struct listen_ports *ports, uint16_t port);

#endif
