/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Small TCP segments of no connection, straight out of a device: what a gateway
 * has to forward, and nobody answers. On a virtual link the gateway's work is
 * done in this process's time, so that its processor time per segment is exact
 * even on a busy machine.
 */
#include "endpoint.h"
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64

struct frame {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static uint16_t ip_checksum(const struct iphdr *ip)
{
	uint16_t words[sizeof(*ip) / 2];
	uint32_t sum = 0;

	memcpy(words, ip, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void frame_make(struct frame *frame, const struct settings *settings)
{
	const struct ether_addr *mac = ether_aton(settings->mac);
	struct in_addr source, destination;
	struct iphdr ip;

	if (!mac || inet_pton(AF_INET, settings->source, &source) != 1 ||
	    inet_pton(AF_INET, settings->address, &destination) != 1) {
		errno = EINVAL;
		die("MAC or IPv4 addresses");
	}
	ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(struct iphdr) + sizeof(struct tcphdr)),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = source.s_addr,
		.daddr = destination.s_addr,
	};
	ip.check = ip_checksum(&ip);
	*frame = (struct frame){
		.ethernet.h_proto = htons(ETH_P_IP),
		.ip = ip,
		.tcp = { .source = htons(40000),
			 .dest = htons(settings->port),
			 .doff = 5,
			 .ack = 1,
			 .window = htons(1024) },
	};
	memcpy(frame->ethernet.h_dest, mac, ETH_ALEN);
}

static int device_open(const char *device)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = (int)if_nametoindex(device) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0)
		die(device);
	return fd;
}

int blast(const struct settings *settings)
{
	struct mmsghdr messages[BATCH] = { 0 };
	struct frame frame;
	struct iovec part = { &frame, sizeof(frame) };
	uint64_t sent = 0;
	int64_t start, end;
	int fd;

	if (!settings->device || !settings->mac || !settings->source) {
		errno = EINVAL;
		die("--device, --mac and --source");
	}
	frame_make(&frame, settings);
	fd = device_open(settings->device);
	for (unsigned i = 0; i < BATCH; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &part, .msg_iovlen = 1 };
	start = clock_ns();
	end = start + (int64_t)(settings->seconds * NS_PER_S);
	while (clock_ns() < end) {
		int count = sendmmsg(fd, messages, BATCH, 0);

		if (count < 0)
			die("sending");
		sent += (uint64_t)count;
	}
	printf("{\"sent\":%llu,\"seconds\":%.6f,\"cpu\":%.6f}\n", (unsigned long long)sent,
	       (double)(clock_ns() - start) / NS_PER_S, cpu_seconds());
	close(fd);
	return 0;
}
