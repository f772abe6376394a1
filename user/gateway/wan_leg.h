/* SPDX-License-Identifier: GPL-2.0 */
/* Opening a WAN leg with the parameters its remote asked for [980-984]. */
#ifndef SLUICE_WAN_LEG_H
#define SLUICE_WAN_LEG_H

#include <stdbool.h>
#include <stdint.h>

#include "tables.h"

/* How an attempt to reach the remote failed. */
struct wan_error {
	int error; /* positive errno */
	bool from_icmp; /* an ICMP error said so, and what follows is set */
	uint8_t type; /* of the ICMP or ICMPv6 message */
	uint8_t code;
	uint8_t from[16]; /* the router that sent it, network byte order */
};

/*
 * Starts a non-blocking connection to the remote of tuple at trunk_port.
 * Returns the descriptor with the connection under way, or a negative errno
 * when the kernel refused it at once (no route, no port, no descriptor).
 * socket_map is for tune_socket(); -1: the socket is not tuned.
 */
int wan_leg_connect(const struct half_open_key *tuple, uint16_t trunk_port,
		    const struct wan_params *params, int socket_map);

/* After the connection is up: from now on a passing ICMP error is no reason to
 * give up (RFC 1122, 4.2.3.9), and the flow control is the one asked for. */
void wan_leg_connected(int fd, const struct half_open_key *tuple, const struct wan_params *params);

/* Why the connection failed, from the socket's error and its error queue. */
void wan_leg_error(int fd, struct wan_error *error);

#endif
