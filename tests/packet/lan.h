/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A gateway in a box: LAN and WAN interfaces that a test writes frames into and
 * reads frames from, with routes, forwarding and, when asked for, the programs
 * at their hooks. What goes to a client comes out of lan_raw, what goes to a
 * remote comes out of wan_raw, whichever interface it came by.
 */
#ifndef TESTS_LAN_H
#define TESTS_LAN_H

#include <stdbool.h>

#include "packet.h"

/* Hardware address of both Ethernet interfaces. */
#define GATEWAY_MAC "\x02\0\0\0\0\x0a"

struct lan {
	int lan; /* TAP device "lan": Ethernet */
	int lan_raw; /* TUN device "lanraw": no link header */
	int wan; /* TAP device "wan" */
	int wan_raw; /* TUN device "wanraw" */
};

/* Makes the devices in the rig's namespace. Skips the test without TUN. */
struct lan lan_open(void);

/* Attaches the intercept program to all four, with its routing. */
void lan_attach(void);

/* Lets the packet arrive by one of the descriptors; IP packets only on a raw one. */
void lan_arrive(int fd, const struct packet *packet);

/* The next TCP packet that left by a raw descriptor, as an IP packet. Waits as
 * long as a slow machine may need, and fails the test when none comes. */
void lan_read(int fd, struct packet *packet);

/* True when no TCP packet left by a raw descriptor. What a packet causes leaves
 * before lan_arrive() returns. */
bool lan_is_quiet(int fd);

#endif
