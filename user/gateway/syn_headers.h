/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A SYN that BPF saved, taken apart and checked anew: frame.c builds its
 * answers from this and never looks at an offset of the event itself.
 */
#ifndef SLUICE_SYN_HEADERS_H
#define SLUICE_SYN_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events.h"

/* Pointers lead into the event. */
struct syn_headers {
	const uint8_t *link; /* Ethernet header and the tags inside the frame */
	size_t link_length; /* 0: the interface has no link header */
	const uint8_t *ip;
	size_t ip_length; /* with IPv4 options or IPv6 extension headers */
	const uint8_t *tcp;
	size_t tcp_length; /* with options */
	size_t data_length; /* bytes that the SYN carried behind its TCP header; not saved */
	bool ipv6;
	uint8_t client[16]; /* source address, network byte order, v4-mapped */
	uint8_t remote[16]; /* destination address */
};

/* 0, or -EINVAL when the event does not hold all headers of a SYN. */
int syn_headers_parse(const struct syn_event *event, struct syn_headers *headers);

#endif
