/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The process that ends one service's trunk (include/trunk.h): takes the
 * gateways' connections at the trunk port, MPTCP or plain TCP, and joins each to
 * one of its own to the application. It holds no privilege, as it reads what the
 * network sends; trunk_end.c makes it.
 */
#ifndef SLUICE_AGENT_TRUNK_RELAY_H
#define SLUICE_AGENT_TRUNK_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "splice_program.h"
#include "tables.h"

struct trunk_relay_setup {
	pid_t main_pid;
	int channel; /* to main: a byte of its own means drain, its end the same at once */
	const int *listeners; /* listening, non-blocking */
	const uint8_t (*addresses)[16]; /* of the listeners: what a gateway may ask for */
	size_t count; /* of both */
	uint16_t service_port; /* of the application, at the same address */
	bool proxy_protocol; /* the application is told who the client is */
	uint32_t keepalive_s;
	uint32_t budget; /* of the kernel engine, bytes a direction; 0: its default */
	enum engine_choice engine;
	struct splice_maps splice_maps; /* for the kernel engine; owned by the process */
	const char *user; /* whom to run as; NULL: as main, which is not root */
};

/* Runs until main says so and the last flow has ended, or main goes away;
 * returns the exit status. */
int trunk_relay_run(const struct trunk_relay_setup *setup);

#endif
