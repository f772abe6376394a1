/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets for the tables of the tests, from a description that names only what
 * is special: the rest of it, zero, stands for a SYN without options from
 * CLIENT to REMOTE, with all lengths and checksums right.
 */
#ifndef TESTS_PACKET_H
#define TESTS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT4 "10.1.0.2"
#define CLIENT6 "2001:db8:1::2"
#define REMOTE4 "203.0.113.9"
#define REMOTE6 "2001:db8:2::9"
/* The gateway's own, where legs of XDP land. */
#define GATEWAY4 "10.1.0.1"
#define GATEWAY6 "2001:db8:1::1"
/* Nobody's; routed like the remotes. */
#define STRANGER4 "203.0.113.77"
#define STRANGER6 "2001:db8:2::77"
/* The router that leads to both. */
#define ROUTER4 "198.51.100.254"
#define ROUTER6 "2001:db8:3::fe"

#define CLIENT_PORT 40000
#define SERVICE_PORT 80
#define ISN 0xfffffff0U

#define PACKET_MAX 2048
#define TAGS_MAX 3
#define EXTENSIONS_MAX 6

enum tcp_flags { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, ECE = 64, CWR = 128 };

enum address_name { DEFAULT_ADDRESS, CLIENT, REMOTE, STRANGER, ROUTER, GATEWAY };

/* Integers are in host byte order, lengths in bytes. */
struct packet_spec {
	bool ipv6;
	bool no_link; /* starts with the IP header */
	const char *to_mac; /* 6 bytes; NULL: the loopback interface's, zero */
	uint16_t tags[TAGS_MAX]; /* TPIDs of VLAN tags, outermost first; VLAN IDs 100, 101, ... */
	uint16_t ethertype; /* 0: that of the family */
	enum address_name from; /* default CLIENT */
	enum address_name to; /* default REMOTE */
	uint8_t from_last; /* last byte of the source address; 0: unchanged */
	uint8_t version; /* of IP; 0: that of the family */
	uint8_t ihl; /* IPv4 header length field; 0: 5 and options */
	uint8_t ip_options; /* IPv4 options, no-operations; a multiple of 4 */
	uint16_t fragment; /* IPv4 flags and fragment offset */
	uint8_t protocol; /* IPv4 protocol or last next header; 0: TCP */
	uint32_t flow_label; /* of IPv6 */
	uint8_t extensions[EXTENSIONS_MAX]; /* IPv6 extension headers + 1, as hop-by-hop is 0 */
	uint8_t extension_words; /* 8-byte units of the first beyond its first one */
	uint8_t segments_left; /* field of the first, when it is a routing header */
	uint16_t from_port; /* 0: CLIENT_PORT */
	uint16_t to_port; /* 0: SERVICE_PORT */
	uint32_t seq; /* 0: ISN */
	uint32_t ack;
	uint8_t flags; /* 0: SYN */
	uint8_t doff; /* TCP data offset field; 0: 5 and options */
	uint8_t tcp_options; /* no-operations; a multiple of 4 */
	uint16_t payload; /* bytes of data */
	uint8_t icmp_type; /* with protocol ICMP or ICMPv6 */
	uint8_t icmp_code;
	const struct packet_spec *quoted; /* what an ICMP error is about; of the same family */
	uint16_t cut; /* bytes taken off the end of the frame */
};

/* Extension headers as struct packet_spec wants them. */
#define HOP_BY_HOP (0 + 1)
#define ROUTING (43 + 1)
#define FRAGMENT (44 + 1)
#define AUTHENTICATION (51 + 1)
#define DESTINATION (60 + 1)

struct packet {
	uint8_t bytes[PACKET_MAX];
	size_t length;
	size_t l3_offset;
	size_t l4_offset;
	size_t headers_end; /* end of the TCP header */
};

void packet_build(const struct packet_spec *spec, struct packet *packet);

/* The 16 bytes of an address as the tables have it. */
void packet_address(enum address_name name, bool ipv6, uint8_t address[16]);

#endif
