/* SPDX-License-Identifier: GPL-2.0 */
/* Which process listens at a port. */
#ifndef SLUICE_SOCKET_OWNER_H
#define SLUICE_SOCKET_OWNER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process of this network namespace that listens at a TCP port, with its name
 * in name (size bytes); 0: none can be found. */
pid_t socket_owner(uint16_t port, char *name, size_t size);

#endif
