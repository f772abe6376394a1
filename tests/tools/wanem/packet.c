/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cuts TCP super-packets as the kernel's own segmentation would: each piece
 * gets its sequence number, IP length and ID, flags and partial checksum.
 */
#include "packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <string.h>

int packet_parse(struct packet *packet, const uint8_t *frame, uint32_t length)
{
	struct virtio_net_hdr vnet;
	struct tcphdr tcp;

	memcpy(&vnet, frame, sizeof(vnet));
	*packet = (struct packet){ .frame = frame, .length = length, .segments = 1 };
	if (vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return 0;

	packet->is_ipv6 = vnet.gso_type == VIRTIO_NET_HDR_GSO_TCPV6;
	if (!packet->is_ipv6 && vnet.gso_type != VIRTIO_NET_HDR_GSO_TCPV4)
		return -EPROTONOSUPPORT;
	if (!(vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || !vnet.gso_size)
		return -EPROTONOSUPPORT;

	/* hdr_len is the length of the sender's linear part, not of the headers:
	 * where TCP starts is told by csum_start, its length by its data offset. */
	packet->transport = vnet.csum_start;
	if (packet->transport < (packet->is_ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) ||
	    packet->transport + sizeof(tcp) > length)
		return -EPROTONOSUPPORT;
	memcpy(&tcp, frame + VNET_LENGTH + packet->transport, sizeof(tcp));
	packet->headers = packet->transport + tcp.doff * 4U;
	if (packet->headers >= length)
		return -EPROTONOSUPPORT;
	packet->payload = vnet.gso_size;
	packet->segments = (length - packet->headers + packet->payload - 1) / packet->payload;
	return 0;
}

uint32_t packet_payload_length(const struct packet *packet, uint32_t first, uint32_t count)
{
	uint32_t whole = packet->length - packet->headers;
	uint32_t offset = first * packet->payload;
	uint32_t length = count * packet->payload;

	return offset + length > whole ? whole - offset : length;
}

uint32_t packet_segment_length(const struct packet *packet, uint32_t index)
{
	if (packet->segments == 1)
		return packet->length;
	return packet->headers + packet_payload_length(packet, index, 1);
}

/* The one's complement sum over length bytes, an even number. */
static uint32_t sum_words(uint32_t sum, const void *words, uint32_t length)
{
	const uint8_t *bytes = words;

	for (uint32_t i = 0; i < length; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Both return the sum over the addresses, for the TCP checksum. */

static uint32_t cut_ipv4(uint8_t *header, uint32_t first, uint32_t length)
{
	uint32_t header_length = (header[0] & 0xfU) * 4;
	struct iphdr ip;

	memcpy(&ip, header, sizeof(ip));
	ip.tot_len = htons((uint16_t)length);
	ip.id = htons((uint16_t)(ntohs(ip.id) + first));
	ip.check = 0;
	memcpy(header, &ip, sizeof(ip));
	ip.check = htons((uint16_t)~sum_fold(sum_words(0, header, header_length)));
	memcpy(header, &ip, sizeof(ip));
	return sum_words(0, header + offsetof(struct iphdr, saddr), 8);
}

static uint32_t cut_ipv6(uint8_t *header, uint32_t length)
{
	struct ipv6hdr ip;

	memcpy(&ip, header, sizeof(ip));
	ip.payload_len = htons((uint16_t)(length - sizeof(ip)));
	memcpy(header, &ip, sizeof(ip));
	return sum_words(0, header + offsetof(struct ipv6hdr, saddr), 32);
}

void packet_cut(const struct packet *packet, uint32_t first, uint32_t count, uint8_t *headers)
{
	uint32_t payload = packet_payload_length(packet, first, count);
	uint32_t tcp_length = packet->headers - packet->transport + payload;
	uint8_t *ip = headers + VNET_LENGTH;
	struct virtio_net_hdr vnet;
	struct tcphdr tcp;
	uint32_t sum;

	memcpy(headers, packet->frame, VNET_LENGTH + packet->headers);

	memcpy(&vnet, headers, sizeof(vnet));
	vnet.hdr_len = (uint16_t)packet->headers;
	if (count == 1) {
		vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
		vnet.gso_size = 0;
	}
	memcpy(headers, &vnet, sizeof(vnet));

	if (packet->is_ipv6)
		sum = cut_ipv6(ip, packet->headers + payload);
	else
		sum = cut_ipv4(ip, first, packet->headers + payload);

	memcpy(&tcp, ip + packet->transport, sizeof(tcp));
	tcp.seq = htonl(ntohl(tcp.seq) + first * packet->payload);
	if (first > 0)
		tcp.cwr = 0;
	if (first + count < packet->segments)
		tcp.fin = tcp.psh = 0;
	/* A partial checksum: the sum over the pseudo header, not inverted. */
	tcp.check = htons(sum_fold(sum + IPPROTO_TCP + tcp_length));
	memcpy(ip + packet->transport, &tcp, sizeof(tcp));
}
