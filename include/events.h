/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the intercept program tells a relay, through that relay's ring buffer
 * in the map held_syns.
 */
#ifndef SLUICE_EVENTS_H
#define SLUICE_EVENTS_H

#include "tables.h"

/* Link, IP and TCP headers of a SYN: Ethernet 14, two inner VLAN tags 8,
 * IPv6 40 with 64 of extension headers, TCP 60, rounded up. */
#define SYN_FRAME_MAX 192

/* A SYN for a registered port. */
struct syn_event {
	struct half_open_key tuple; /* who connects to what; key of half_open */
	struct half_open_key landing; /* the LAN leg's addresses and ports: the tuple itself, or with
				       * the gateway's address and listen port in the remote's place (XDP) */
	__u32 isn; /* sequence number, host byte order */
	struct port_value port; /* the port_table entry that matched */
	__u32 client_bucket; /* index into half_open_by_client */
	__u32 ifindex; /* the LAN interface it came from */
	__u16 vlan_tci; /* tag that the kernel took off the frame, host byte order */
	__u16 vlan_proto; /* its TPID, network byte order; 0: there was none */
	__u8 held; /* 1: the frame was dropped and waits for the relay; 0: it went to the listener */
	__u8 l3_offset; /* where the IP header starts in frame */
	__u8 l4_offset; /* where the TCP header starts in frame */
	__u8 frame_len; /* bytes of frame in use: everything up to the end of the TCP header */
	__u32 shared_landing; /* 1: nexthop_flows has the connection */
	__u8 frame[SYN_FRAME_MAX]; /* as it came in; its TCP checksum may be partial */
};

_Static_assert(sizeof(struct syn_event) % 4 == 0, "syn_event has no tail padding");

#endif
