/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Real connections of this namespace that the packets of a test belong to.
 * Both ends are on the loopback interface, which owns CLIENT, REMOTE and GATEWAY here;
 * the remote's end plays the LAN leg.
 */
#ifndef TESTS_LEG_H
#define TESTS_LEG_H

#include <stdbool.h>

struct leg {
	int listener; /* on REMOTE, SERVICE_PORT */
	int client; /* from CLIENT, CLIENT_PORT */
	int remote;
};

/* Gives the loopback interface the addresses. */
void leg_addresses(void);

/* Opens a connection of the family. */
struct leg leg_open(bool ipv6);

/* The same as XDP lands it: the remote's end has GATEWAY and LISTEN_PORT. */
struct leg leg_open_landed(bool ipv6);

/* A connection to a service of the gateway's own that happens to have that port. */
struct leg leg_open_own_service(bool ipv6);

/* The service alone, to which nobody is connected. */
void leg_listen_own_service(bool ipv6);

/* Closes it, the remote's end first: that end is then in TIME_WAIT. */
void leg_close(struct leg *leg);

#endif
