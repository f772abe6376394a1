/* SPDX-License-Identifier: GPL-2.0 */
/* The Internet checksum (RFC 1071) of headers that frame.c makes or corrects. */
#ifndef SLUICE_CHECKSUM_H
#define SLUICE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds length bytes to a running sum, which starts at 0. Only the last part of
 * what is summed may have an odd length. */
uint32_t checksum_add(uint32_t sum, const void *bytes, size_t length);

/* The checksum field, in network byte order, for what was summed with that field zero. */
uint16_t checksum_finish(uint32_t sum);

/*
 * The same for a transport header and its payload, the pseudo-header of its
 * address family included (RFC 9293, 3.1; RFC 8200, 8.1). Addresses are 16
 * bytes, IPv4 v4-mapped. The checksum field in segment must be zero.
 */
uint16_t checksum_transport(const uint8_t source[16], const uint8_t destination[16],
			    uint8_t protocol, const void *segment, size_t length);

#endif
