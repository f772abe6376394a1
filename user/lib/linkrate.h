/* SPDX-License-Identifier: GPL-2.0 */
/* Registering the congestion control of bpf/linkrate.bpf.c; used by tune.c only. */
#ifndef SLUICE_LINKRATE_H
#define SLUICE_LINKRATE_H

#include <stdbool.h>

struct linkrate_registration;

/* Whether the kernel takes the algorithm of that name; loads its module if
 * that is one. True when it cannot be asked. */
bool congestion_control_available(const char *name);

/* Registers linkrate with socket_map for its parameters. 0, or a negative
 * errno: -EEXIST when it is registered already. */
int linkrate_register(int socket_map, struct linkrate_registration **registration);

/* Holds the registration that another process made, so that it outlives that
 * process: a descriptor to be closed in the end, or -1 when there is none (the
 * kernel is older than 6.4) or this process may not have it (CAP_SYS_ADMIN). */
int linkrate_hold(void);

/* NULL is allowed. Sockets that use it go on. */
void linkrate_unregister(struct linkrate_registration *registration);

#endif
