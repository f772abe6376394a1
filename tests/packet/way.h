/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the tests at real hooks: each goes every way, by an interface with
 * link header and by one without, with IPv4 and with IPv6.
 */
#ifndef TESTS_WAY_H
#define TESTS_WAY_H

#include "lan.h"
#include "rig.h"

/* One way a packet can arrive. */
struct way {
	const char *dev;
	int in; /* descriptor that packets arrive by */
	int out; /* and that their answers leave by */
	bool raw;
	bool ipv6;
};

/* Runs check all four ways, from rig_reset(), in a gateway in a box that wan
 * says which side of. The answers of the other side leave by other_out. */
void way_check(bool wan, void (*check)(const struct way *way, int other_out));

/* Lets a packet arrive and checks which counter moves. */
void way_arrive(const struct way *way, struct packet_spec spec, enum counter counter,
		const char *description);

/* Reads a packet from the descriptor and checks its ports and flags. The rest
 * of it, as far as tests are interested, is returned. */
struct packet_spec way_read(const struct way *way, int fd, uint16_t from_port, uint16_t to_port,
			    uint8_t flags, const char *description);

/* Sends the held SYN out of the interface it came by, with the mark, as a relay does. */
void way_send_held(const struct way *way, uint32_t mark);

/* Checks which counter has moved since the last check. */
void way_counted(const struct way *way, enum counter counter, const char *description);

#endif
