/* SPDX-License-Identifier: GPL-2.0 */
/* Asking the kernel's routing table (rtnetlink, RTM_GETROUTE). */
#ifndef SLUICE_ROUTE_H
#define SLUICE_ROUTE_H

#include <stdint.h>

/* The index of the interface that leads to address (16 bytes, network byte order,
 * v4-mapped). 0, or a negative errno when there is no route. */
int route_interface(const uint8_t address[16], int *ifindex);

/* The router on the way to address (16 bytes, network byte order, v4-mapped).
 * 0, -ENOENT when the destination is on a link of ours, or another negative
 * errno when there is no route. */
int route_next_hop(const uint8_t address[16], uint8_t next_hop[16]);

#endif
