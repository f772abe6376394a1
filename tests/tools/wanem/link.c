/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Each segment, also one inside a super-packet, is decided on when it arrives:
 *
 *   1. dropped, when the bytes that still wait for the link leave no room in the
 *      queue;
 *   2. sent: the link is busy with it for its length at the rate;
 *   3. perhaps lost on the wire, its time on the link being spent;
 *   4. due at the other end when its last bit was sent plus the delay.
 *
 * As a fixed rate, a drop-tail queue and a fixed delay keep the order, a FIFO of
 * due times is all the state there is. Runs of neighbouring segments that
 * survive leave as one super-packet, so that a fast link costs little.
 */
#include "link.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* A super-packet leaves in pieces that take the link no longer than this. */
#define QUANTUM_NS 1000000.0

/* Contiguous room in the ring for one frame and the headers of all its pieces. */
#define FRAME_ROOM (256U * 1024)

#define DELIVERIES (1U << 20)

/* Packets taken in before looking at what is due. */
#define PULL_TURN 16

/* One write to come. */
struct delivery {
	int64_t due; /* clock_ns() */
	uint32_t headers_at,
		headers; /* in the ring: rewritten headers; 0 bytes for a whole frame */
	uint32_t rest_at, rest; /* what follows them */
	uint64_t ring_end; /* the ring is free up to here afterwards */
	uint32_t segments;
};

/* Segments of a packet that leave together. */
struct run {
	uint32_t first, count;
	double wire_bytes;
};

int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void *map_memory(uint64_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Bit/s that it may have to hold for the time of its delay. */
static double highest_rate(const struct schedule *schedule)
{
	double highest = 0;

	for (size_t i = 0; i < schedule->count; i++) {
		double ns_per_byte = schedule->periods[i].ns_per_byte;

		highest = fmax(highest, ns_per_byte > 0 ? 8e9 / ns_per_byte : 10e9);
	}
	return highest;
}

int link_init(struct link *link, int in, int out, const struct link_settings *settings)
{
	double in_flight;
	int error;

	*link = (struct link){ .in = in, .out = out, .settings = *settings };
	error = schedule_init(&link->schedule, settings->rate, settings->loss, settings->changes,
			      settings->change_count);
	if (error)
		return error;
	in_flight = highest_rate(&link->schedule) / 8 * (double)settings->delay_ns / 1e9 +
		    (double)settings->queue;
	loss_init(&link->loss, link->schedule.periods[0].loss, settings->seed);
	link->ring_size = ((uint64_t)(in_flight * 1.5) + (64U << 20)) & ~4095ULL;
	link->ring = map_memory(link->ring_size);
	link->deliveries = map_memory(DELIVERIES * sizeof(*link->deliveries));
	if (link->ring && link->deliveries)
		return 0;
	link_destroy(link);
	return -ENOMEM;
}

void link_start(struct link *link, int64_t now)
{
	schedule_start(&link->schedule, now);
}

void link_destroy(struct link *link)
{
	schedule_destroy(&link->schedule);
	if (link->ring)
		munmap(link->ring, link->ring_size);
	if (link->deliveries)
		munmap(link->deliveries, DELIVERIES * sizeof(*link->deliveries));
	link->ring = NULL;
	link->deliveries = NULL;
}

uint64_t link_in_flight(const struct link *link)
{
	uint64_t segments = 0;

	for (uint64_t i = link->delivery_head; i != link->delivery_tail; i++)
		segments += link->deliveries[i % DELIVERIES].segments;
	return segments;
}

/* Schedules the segments of a run. */
static void send_run(struct link *link, const struct packet *packet, const struct run *run)
{
	uint32_t frame_at = (uint32_t)(packet->frame - link->ring);
	uint32_t headers = VNET_LENGTH + packet->headers;
	struct delivery *delivery = &link->deliveries[link->delivery_tail % DELIVERIES];
	bool whole = run->count == packet->segments;

	if (link->delivery_tail - link->delivery_head == DELIVERIES ||
	    (!whole && link->ring_tail - link->frame_start + headers > FRAME_ROOM)) {
		link->counters.overflows += run->count;
		return;
	}

	*delivery = (struct delivery){
		.due = (int64_t)link->free_at + (int64_t)link->settings.delay_ns,
		.ring_end = link->frame_start,
		.segments = run->count,
		.rest_at = frame_at,
		.rest = VNET_LENGTH + packet->length,
	};
	if (!whole) {
		delivery->headers_at = (uint32_t)(link->ring_tail % link->ring_size);
		delivery->headers = headers;
		delivery->rest_at = frame_at + headers + run->first * packet->payload;
		delivery->rest = packet_payload_length(packet, run->first, run->count);
		packet_cut(packet, run->first, run->count, link->ring + delivery->headers_at);
		link->ring_tail += headers;
		link->counters.cuts++;
	}
	link->delivery_tail++;
}

static const struct period *sending(const struct link *link)
{
	return &link->schedule.periods[link->period];
}

/* The link is free at this time, and is then what it is by the script. */
static void set_free_at(struct link *link, double when)
{
	link->free_at = when;
	link->period = schedule_find(&link->schedule, link->period, when);
	loss_change(&link->loss, sending(link)->loss);
}

/* Steps 1 to 3 for one segment: true when it arrives at the other end. */
static bool segment_arrives(struct link *link, double wire_bytes, double now)
{
	if (sending(link)->ns_per_byte > 0) {
		double waiting = schedule_bytes(&link->schedule, link->now_period, now,
						link->free_at) +
				 wire_bytes;

		if (waiting > (double)link->settings.queue) {
			link->counters.queue_drops++;
			return false;
		}
		if (waiting > (double)link->counters.queue_max)
			link->counters.queue_max = (uint64_t)waiting;
		set_free_at(link,
			    schedule_end(&link->schedule, link->period, link->free_at, wire_bytes));
	}
	if (sending(link)->outage) {
		link->counters.outage_losses++;
		return false;
	}
	if (loss_strikes(&link->loss)) {
		link->counters.losses++;
		return false;
	}
	return true;
}

/* Sends the run of segments that was gathered, if any, and begins a new one. */
static void flush_run(struct link *link, const struct packet *packet, struct run *run)
{
	if (run->count)
		send_run(link, packet, run);
	*run = (struct run){ 0 };
}

static void take_segments(struct link *link, const struct packet *packet, double now)
{
	struct run run = { 0 };

	for (uint32_t i = 0; i < packet->segments; i++) {
		double wire_bytes = packet_segment_length(packet, i) + link->settings.overhead;

		/* free_at must still be the end of the run when it is sent */
		if ((run.wire_bytes + wire_bytes) * sending(link)->ns_per_byte > QUANTUM_NS ||
		    sending(link)->outage || !loss_spares(&link->loss, 1))
			flush_run(link, packet, &run);
		if (!segment_arrives(link, wire_bytes, now)) {
			flush_run(link, packet, &run);
			continue;
		}
		if (!run.count)
			run.first = i;
		run.count++;
		run.wire_bytes += wire_bytes;
	}
	flush_run(link, packet, &run);
}

static void take_packet(struct link *link, const uint8_t *frame, uint32_t length)
{
	int64_t now = clock_ns();
	uint64_t scheduled = link->delivery_tail;
	struct packet packet;

	link->counters.packets_in++;
	link->counters.bytes_in += length;
	if (packet_parse(&packet, frame, length) < 0) {
		link->counters.unsupported++;
		link->ring_tail = link->frame_start;
		return;
	}
	link->counters.segments_in += packet.segments;
	link->now_period = schedule_find(&link->schedule, link->now_period, (double)now);
	if (link->free_at < (double)now)
		set_free_at(link, (double)now);

	if (sending(link)->ns_per_byte <= 0 && !sending(link)->outage &&
	    loss_spares(&link->loss, packet.segments)) {
		loss_skip(&link->loss, packet.segments);
		send_run(link, &packet, &(struct run){ .count = packet.segments });
	} else {
		take_segments(link, &packet, (double)now);
	}

	/* The frame's room is free when its last piece has been sent. */
	if (link->delivery_tail != scheduled)
		link->deliveries[(link->delivery_tail - 1) % DELIVERIES].ring_end = link->ring_tail;
	else
		link->ring_tail = link->frame_start;
}

/* Contiguous room for one frame, or NULL. */
static uint8_t *ring_room(struct link *link)
{
	uint64_t left;

	if (link->delivery_head == link->delivery_tail)
		link->ring_head = link->ring_tail = 0; /* stay in the cache */
	left = link->ring_size - link->ring_tail % link->ring_size;
	link->frame_start = link->ring_tail + (left < FRAME_ROOM ? left : 0);
	if (link->frame_start + FRAME_ROOM - link->ring_head > link->ring_size)
		return NULL;
	return link->ring + link->frame_start % link->ring_size;
}

int link_pull(struct link *link)
{
	static uint8_t scrap[FRAME_MAX];
	int count = 0;

	while (count < PULL_TURN) {
		uint8_t *room = ring_room(link);
		ssize_t length = read(link->in, room ? room : scrap, FRAME_MAX);

		if (length < 0) {
			if (errno == EAGAIN || errno == EINTR)
				break;
			return -errno;
		}
		count++;
		if (length <= (ssize_t)VNET_LENGTH)
			continue;
		if (!room) {
			link->counters.overflows++;
			continue;
		}
		link->ring_tail = link->frame_start + (((uint64_t)length + 7) & ~7ULL);
		take_packet(link, room, (uint32_t)length - VNET_LENGTH);
	}
	return count;
}

static void count_lateness(struct link_counters *counters, uint64_t late_ns)
{
	counters->late_ns += late_ns;
	if (late_ns > counters->late_max_ns)
		counters->late_max_ns = late_ns;
	if (late_ns > 1000000)
		counters->late_1ms++;
}

int link_deliver(struct link *link, int64_t *next)
{
	int64_t now = clock_ns();
	int count = 0;

	while (link->delivery_head != link->delivery_tail) {
		const struct delivery *delivery =
			&link->deliveries[link->delivery_head % DELIVERIES];
		struct iovec parts[2] = {
			{ link->ring + delivery->headers_at, delivery->headers },
			{ link->ring + delivery->rest_at, delivery->rest },
		};
		ssize_t written;

		if (delivery->due > now) {
			*next = delivery->due;
			return count;
		}
		count_lateness(&link->counters, (uint64_t)(now - delivery->due));
		written = writev(link->out, parts, 2);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			link->counters.write_errors += delivery->segments;
		} else {
			link->counters.packets_out++;
			link->counters.segments_out += delivery->segments;
			link->counters.bytes_out += (uint64_t)written - VNET_LENGTH;
		}
		link->ring_head = delivery->ring_end;
		link->delivery_head++;
		count++;
		now = clock_ns();
	}
	*next = INT64_MAX;
	return count;
}
