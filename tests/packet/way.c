// SPDX-License-Identifier: GPL-2.0
/* See way.h. */
#include "way.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"

void way_check(bool wan, void (*check)(const struct way *way, int other_out))
{
	struct lan lan;

	rig_open(NULL);
	lan = lan_open();
	lan_attach();
	for (int i = 0; i < 4; i++) {
		struct way way = { .raw = i & 1, .ipv6 = i & 2 };

		if (wan) {
			way.dev = way.raw ? "wanraw" : "wan";
			way.in = way.raw ? lan.wan_raw : lan.wan;
			way.out = lan.wan_raw;
		} else {
			way.dev = way.raw ? "lanraw" : "lan";
			way.in = way.raw ? lan.lan_raw : lan.lan;
			way.out = lan.lan_raw;
		}
		rig_reset();
		check(&way, wan ? lan.lan_raw : lan.wan_raw);
	}
}

void way_counted(const struct way *way, enum counter counter, const char *description)
{
	unsigned moved[COUNTERS_END];
	char where[32];

	snprintf(where, sizeof(where), "%s, %s", way->dev, family_name(way->ipv6));
	rig_counters_moved(moved);
	rig_expect_counter(moved, counter, where, description);
}

void way_arrive(const struct way *way, struct packet_spec spec, enum counter counter,
		const char *description)
{
	struct packet packet;

	spec.ipv6 = way->ipv6;
	spec.no_link = way->raw;
	spec.to_mac = GATEWAY_MAC;
	packet_build(&spec, &packet);
	lan_arrive(way->in, &packet);
	way_counted(way, counter, description);
	rig_consume();
}

static uint16_t get16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static uint32_t get32(const uint8_t *from)
{
	return (uint32_t)get16(from) << 16 | get16(from + 2);
}

struct packet_spec way_read(const struct way *way, int fd, uint16_t from_port, uint16_t to_port,
			    uint8_t flags, const char *description)
{
	struct packet packet;
	const uint8_t *tcp;

	lan_read(fd, &packet);
	tcp = packet.bytes + packet.l4_offset;
	cr_expect_eq(packet.bytes[0] >> 4, way->ipv6 ? 6 : 4, "%s, %s: version", way->dev,
		     description);
	cr_expect_eq(get16(tcp), from_port, "%s, %s: source port", way->dev, description);
	cr_expect_eq(get16(tcp + 2), to_port, "%s, %s: destination port", way->dev, description);
	cr_expect_eq(tcp[13], flags, "%s, %s: flags 0x%02x", way->dev, description, tcp[13]);
	return (struct packet_spec){
		.seq = get32(tcp + 4),
		.ack = get32(tcp + 8),
		.payload = (uint16_t)(packet.length - packet.headers_end),
	};
}

void way_send_held(const struct way *way, uint32_t mark)
{
	struct sockaddr_ll where = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)rig.event.ifindex,
		.sll_protocol = way->ipv6 ? htons(ETH_P_IPV6) : htons(ETH_P_IP),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), length;
	uint8_t frame[FRAME_MAX];

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	length = frame_syn(&rig.event, FRAME_TO_LISTENER, frame);
	cr_assert_gt(length, 0);
	cr_assert_eq(sendto(fd, frame, (size_t)length, 0, (struct sockaddr *)&where, sizeof(where)),
		     length, "%s", strerror(errno));
	close(fd);
}
