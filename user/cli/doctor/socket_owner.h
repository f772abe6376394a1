/* SPDX-License-Identifier: GPL-2.0 */
/* Which process listens at a port. */
#ifndef SLUICE_SOCKET_OWNER_H
#define SLUICE_SOCKET_OWNER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A process of this network namespace whose listener is in the way of one at this
 * address (16 bytes network byte order, v4-mapped; all zero, with or without the
 * prefix, is any) and TCP port, with its name in name (size bytes); 0: none can be
 * found.
 */
pid_t socket_owner(const uint8_t address[16], uint16_t port, char *name, size_t size);

#endif
