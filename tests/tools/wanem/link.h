/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One direction of the emulated link, from one TUN device to the other: a rate,
 * a drop-tail queue before it, random loss and a fixed delay.
 */
#ifndef WANEM_LINK_H
#define WANEM_LINK_H

#include "loss.h"
#include "packet.h"
#include "schedule.h"

#include <stdbool.h>
#include <stdint.h>

struct link_settings {
	uint64_t rate; /* bit/s; 0: as fast as it goes */
	uint64_t delay_ns; /* one way */
	uint64_t queue; /* bytes that may wait for the link when it has a rate */
	double loss; /* 0..1 */
	uint32_t overhead; /* bytes that each segment takes on the wire besides itself */
	uint64_t seed;
	const struct change *changes; /* of rate and loss, by a script */
	size_t change_count;
};

/* Since the start. A segment is a packet of the size that crosses a wire; a
 * super-packet counts as one packet and as all its segments. */
struct link_counters {
	uint64_t packets_in;
	uint64_t segments_in;
	uint64_t bytes_in; /* of IP packets; super-packets with their one header */
	uint64_t packets_out;
	uint64_t segments_out;
	uint64_t bytes_out;
	uint64_t cuts; /* packets that are a part of a super-packet */
	uint64_t queue_drops; /* segments for which there was no room */
	uint64_t losses; /* segments lost at random */
	uint64_t outage_losses; /* segments that were sent in an outage */
	uint64_t queue_max; /* bytes that waited, at most */
	uint64_t overflows; /* segments dropped because wanem ran out of memory */
	uint64_t unsupported; /* packets of a kind that wanem cannot cut */
	uint64_t write_errors; /* segments that the other device did not take */
	uint64_t late_ns; /* how late packets were delivered, summed */
	uint64_t late_max_ns;
	uint64_t late_1ms; /* packets that were more than 1 ms late */
};

struct link {
	int in, out; /* TUN devices, non-blocking */
	struct link_settings settings;
	struct link_counters counters;
	struct schedule schedule;
	size_t now_period; /* of the time when the packet in hand arrived */
	size_t period; /* of free_at: what is sent next has its rate and loss */
	double free_at; /* ns, when the last bit of what was accepted will have been sent */
	struct loss loss;
	/* Frames and rewritten headers that wait; offsets grow without end and
	 * are taken modulo the size. */
	uint8_t *ring;
	uint64_t ring_size, ring_head, ring_tail;
	uint64_t frame_start; /* ring offset of the packet in hand */
	struct delivery *deliveries; /* in order of their due times */
	uint64_t delivery_head, delivery_tail;
};

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t clock_ns(void);

/* 0 or -ENOMEM. */
int link_init(struct link *link, int in, int out, const struct link_settings *settings);

/* The script begins now. */
void link_start(struct link *link, int64_t now);
void link_destroy(struct link *link);

/* Takes in what has arrived, in turns of limited length. Returns the number of
 * packets, or negative errno. */
int link_pull(struct link *link);

/* Sends what is due; *next becomes the time of the next delivery, INT64_MAX for
 * none. Returns the number of packets. */
int link_deliver(struct link *link, int64_t *next);

/* Segments that are on their way. */
uint64_t link_in_flight(const struct link *link);

#endif
