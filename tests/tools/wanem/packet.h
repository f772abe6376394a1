/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A packet as a TUN device with virtio-net headers hands it over: one segment,
 * or a super-packet of many TCP segments that share one header.
 */
#ifndef WANEM_PACKET_H
#define WANEM_PACKET_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#define VNET_LENGTH ((uint32_t)sizeof(struct virtio_net_hdr))

/* The largest frame: virtio-net header and IP packet. */
#define FRAME_MAX (65536 + 64)

struct packet {
	const uint8_t *frame; /* virtio-net header, then the IP packet */
	uint32_t length; /* of the IP packet, bytes */
	uint32_t transport; /* where its TCP header starts, in a super-packet */
	uint32_t headers; /* IP and TCP header, bytes; 0 in a lone segment */
	uint32_t payload; /* of each segment but the last, bytes */
	uint32_t segments;
	bool is_ipv6;
};

/* Describes the packet of length bytes that follows the virtio-net header at
 * frame. 0, or -EPROTONOSUPPORT for a kind of super-packet that was not asked for. */
int packet_parse(struct packet *packet, const uint8_t *frame, uint32_t length);

/* Bytes of segment number index on the wire, its IP header included. */
uint32_t packet_segment_length(const struct packet *packet, uint32_t index);

/* Bytes of payload that the count segments from first on carry. */
uint32_t packet_payload_length(const struct packet *packet, uint32_t first, uint32_t count);

/* Writes the virtio-net, IP and TCP headers, VNET_LENGTH + headers bytes, of a
 * packet that holds only the count segments from first on. */
void packet_cut(const struct packet *packet, uint32_t first, uint32_t count, uint8_t *headers);

#endif
