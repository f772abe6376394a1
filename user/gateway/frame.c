// SPDX-License-Identifier: GPL-2.0
/* See frame.h. A frame is built from the front: link header, IP header, payload. */
#include "frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <string.h>

#include "address.h"
#include "checksum.h"
#include "syn_headers.h"

#define ANSWER_HOP_LIMIT 64

/* Internet control, as RFC 1812, 4.3.2.5 wants ICMP errors to be marked. */
#define ICMP_ERROR_TOS 0xc0

struct vlan_tag {
	uint16_t proto; /* network byte order */
	uint16_t tci; /* network byte order */
};

/* The longest frame is an ICMPv6 error: it quotes all of the SYN but its link
 * header, which goes before. */
_Static_assert(SYN_FRAME_MAX + sizeof(struct vlan_tag) + sizeof(struct ipv6hdr) +
			       sizeof(struct icmp6_hdr) <=
		       FRAME_MAX,
	       "every frame fits into FRAME_MAX");

enum way {
	WAY_ON, /* as the client sent it */
	WAY_BACK, /* to the client */
};

/* Writes the link header, if the interface has one; returns its length. */
static size_t put_link(const struct syn_event *event, const struct syn_headers *syn, enum way way,
		       uint8_t *frame)
{
	const uint8_t *to = way == WAY_BACK ? syn->link + ETH_ALEN : syn->link;
	const uint8_t *from = way == WAY_BACK ? syn->link : syn->link + ETH_ALEN;
	size_t rest = 2 * ETH_ALEN;
	size_t length = rest;

	if (syn->link_length == 0)
		return 0;
	memcpy(frame, to, ETH_ALEN);
	memcpy(frame + ETH_ALEN, from, ETH_ALEN);
	if (event->vlan_proto) {
		struct vlan_tag tag = { event->vlan_proto, htons(event->vlan_tci) };

		memcpy(frame + length, &tag, sizeof(tag));
		length += sizeof(tag);
	}
	memcpy(frame + length, syn->link + rest, syn->link_length - rest);
	return length + syn->link_length - rest;
}

static size_t put_ipv4(const uint8_t source[16], const struct syn_headers *syn, uint8_t protocol,
		       size_t payload, uint8_t *frame)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tos = protocol == IPPROTO_ICMP ? ICMP_ERROR_TOS : 0,
		.tot_len = htons((uint16_t)(sizeof(ip) + payload)),
		.frag_off = htons(IP_DF),
		.ttl = ANSWER_HOP_LIMIT,
		.protocol = protocol,
	};

	memcpy(&ip.saddr, source + 12, sizeof(ip.saddr));
	memcpy(&ip.daddr, syn->client + 12, sizeof(ip.daddr));
	ip.check = checksum_finish(checksum_add(0, &ip, sizeof(ip)));
	memcpy(frame, &ip, sizeof(ip));
	return sizeof(ip);
}

static size_t put_ipv6(const uint8_t source[16], const struct syn_headers *syn, uint8_t protocol,
		       size_t payload, uint8_t *frame)
{
	struct ipv6hdr ip = {
		.version = 6,
		.payload_len = htons((uint16_t)payload),
		.nexthdr = protocol,
		.hop_limit = ANSWER_HOP_LIMIT,
	};

	memcpy(&ip.saddr, source, sizeof(ip.saddr));
	memcpy(&ip.daddr, syn->client, sizeof(ip.daddr));
	memcpy(frame, &ip, sizeof(ip));
	return sizeof(ip);
}

/* Writes the header of an IP packet from source to the client; returns its length. */
static size_t put_ip(const uint8_t source[16], const struct syn_headers *syn, uint8_t protocol,
		     size_t payload, uint8_t *frame)
{
	if (syn->ipv6)
		return put_ipv6(source, syn, protocol, payload, frame);
	return put_ipv4(source, syn, protocol, payload, frame);
}

/* Makes the length of the SYN's own IP header, options and extensions included,
 * that of a SYN without data, and its checksum right. */
static void finish_syn_ip(const struct syn_headers *syn, uint8_t *frame)
{
	if (syn->ipv6) {
		size_t payload = syn->ip_length - sizeof(struct ipv6hdr) + syn->tcp_length;
		uint16_t field = htons((uint16_t)payload);

		memcpy(frame + offsetof(struct ipv6hdr, payload_len), &field, sizeof(field));
	} else {
		uint16_t field = htons((uint16_t)(syn->ip_length + syn->tcp_length));

		memcpy(frame + offsetof(struct iphdr, tot_len), &field, sizeof(field));
		memset(frame + offsetof(struct iphdr, check), 0, sizeof(field));
		field = checksum_finish(checksum_add(0, frame, syn->ip_length));
		memcpy(frame + offsetof(struct iphdr, check), &field, sizeof(field));
	}
}

/* Puts the leg's own address and port in the remote's place. */
static void put_landing(const struct syn_event *event, struct syn_headers *syn, uint8_t *ip,
			uint8_t *tcp)
{
	uint16_t port = htons(event->landing.service_port);

	memcpy(syn->remote, event->landing.remote, sizeof(syn->remote));
	memcpy(tcp + offsetof(struct tcphdr, dest), &port, sizeof(port));
	if (syn->ipv6)
		memcpy(ip + offsetof(struct ipv6hdr, daddr), syn->remote, 16);
	else
		memcpy(ip + offsetof(struct iphdr, daddr), syn->remote + 12, 4);
}

int frame_syn(const struct syn_event *event, enum frame_goal goal, uint8_t *frame)
{
	struct syn_headers syn;
	uint16_t check = 0;
	uint8_t *ip, *tcp;
	size_t length;
	int result = syn_headers_parse(event, &syn);

	if (result)
		return result;
	length = put_link(event, &syn, WAY_ON, frame);
	ip = frame + length;
	memcpy(ip, syn.ip, syn.ip_length);
	length += syn.ip_length;
	tcp = frame + length;
	memcpy(tcp, syn.tcp, syn.tcp_length);
	if (goal == FRAME_TO_LISTENER)
		put_landing(event, &syn, ip, tcp);
	finish_syn_ip(&syn, ip);
	/* What the client's network card was to complete, or what covered the data. */
	memcpy(tcp + offsetof(struct tcphdr, check), &check, sizeof(check));
	check = checksum_transport(syn.client, syn.remote, IPPROTO_TCP, tcp, syn.tcp_length);
	memcpy(tcp + offsetof(struct tcphdr, check), &check, sizeof(check));
	return (int)(length + syn.tcp_length);
}

int frame_reset(const struct syn_event *event, uint8_t *frame)
{
	struct tcphdr sent, reset = { .rst = 1, .ack = 1, .doff = sizeof(reset) / 4 };
	struct syn_headers syn;
	size_t length;
	int result = syn_headers_parse(event, &syn);

	if (result)
		return result;
	memcpy(&sent, syn.tcp, sizeof(sent));
	reset.source = sent.dest;
	reset.dest = sent.source;
	/* SEG.LEN counts the SYN itself and the data that it carried. */
	reset.ack_seq = htonl(ntohl(sent.seq) + 1 + (uint32_t)syn.data_length);
	reset.check = checksum_transport(syn.remote, syn.client, IPPROTO_TCP, &reset,
					 sizeof(reset));

	length = put_link(event, &syn, WAY_BACK, frame);
	length += put_ip(syn.remote, &syn, IPPROTO_TCP, sizeof(reset), frame + length);
	memcpy(frame + length, &reset, sizeof(reset));
	return (int)(length + sizeof(reset));
}

int frame_icmp_error(const struct syn_event *event, uint8_t type, uint8_t code,
		     const uint8_t from[16], uint8_t *frame)
{
	/* Both families: type, code, checksum and four bytes that no error sent
	 * here has a use for; the original packet follows. */
	uint8_t icmp[sizeof(struct icmp6_hdr) + SYN_FRAME_MAX] = { type, code };
	const size_t check_offset = offsetof(struct icmp6_hdr, icmp6_cksum);
	size_t length, icmp_length = sizeof(struct icmp6_hdr);
	struct syn_headers syn;
	uint16_t check;
	int result = syn_headers_parse(event, &syn);

	if (result)
		return result;
	/* A router of the other family (a translator was on the path) cannot be
	 * the source of this packet. */
	if (!from || address_is_ipv4(from) == syn.ipv6)
		from = syn.remote;
	/* The TCP header lies behind the IP header, so both are quoted in one. */
	memcpy(icmp + icmp_length, syn.ip, syn.ip_length + syn.tcp_length);
	icmp_length += syn.ip_length + syn.tcp_length;
	if (syn.ipv6)
		check = checksum_transport(from, syn.client, IPPROTO_ICMPV6, icmp, icmp_length);
	else
		check = checksum_finish(checksum_add(0, icmp, icmp_length));
	memcpy(icmp + check_offset, &check, sizeof(check));

	length = put_link(event, &syn, WAY_BACK, frame);
	length += put_ip(from, &syn, syn.ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, icmp_length,
			 frame + length);
	memcpy(frame + length, icmp, icmp_length);
	return (int)(length + icmp_length);
}
