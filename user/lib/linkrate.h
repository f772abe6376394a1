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

/* NULL is allowed. Sockets that use it go on. */
void linkrate_unregister(struct linkrate_registration *registration);

#endif
