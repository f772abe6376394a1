/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The frames a relay sends on a LAN interface through AF_PACKET: the held SYN
 * on its way back in, and the answers that a client gets when the remote
 * cannot be reached. Pure functions from a syn_event to bytes.
 */
#ifndef SLUICE_FRAME_H
#define SLUICE_FRAME_H

#include <linux/types.h>
#include <stddef.h>
#include <stdint.h>

#include "events.h"

/* Room for any frame made here: ICMP errors quote a SYN's headers. */
#define FRAME_MAX 512

/*
 * All return the length of the frame in frame (FRAME_MAX bytes), complete with
 * link header (as the interface had it; the outer VLAN tag put back in) and
 * right checksums, or -EINVAL for an event that is not a parsable SYN.
 */

enum frame_goal {
	FRAME_TO_LISTENER, /* addressed to the LAN leg: event->landing */
	FRAME_TO_REMOTE, /* as the client sent it */
};

/* The held SYN, up to the end of its TCP header: IP length corrected when the
 * frame carried data (TCP fast open; the client sends it again), checksums made whole. */
int frame_syn(const struct syn_event *event, enum frame_goal goal, uint8_t *frame);

/* RST+ACK from the remote to the client that answers the SYN (RFC 9293, 3.10.7.1). */
int frame_reset(const struct syn_event *event, uint8_t *frame);

/*
 * ICMP (RFC 792) or ICMPv6 (RFC 4443) error to the client, of the SYN's family,
 * quoting the SYN. from is the 16-byte address of the router that sent the
 * error we saw (network byte order, v4-mapped), or NULL for the remote's own.
 */
int frame_icmp_error(const struct syn_event *event, uint8_t type, uint8_t code,
		     const uint8_t from[16], uint8_t *frame);

#endif
