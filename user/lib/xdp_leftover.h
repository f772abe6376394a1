/* SPDX-License-Identifier: GPL-2.0 */
/* The XDP program on an interface, when all who held it were killed at once. */
#ifndef SLUICE_XDP_LEFTOVER_H
#define SLUICE_XDP_LEFTOVER_H

#include <stdbool.h>

/* The function in bpf/xdp.bpf.c, by which a program is known to be ours. */
#define XDP_PROGRAM_NAME "sluice_lan"

/* Whether a program of that name is on the interface: the only one, or one of those
 * that share it. */
bool xdp_leftover_is_on(int ifindex);

/* Takes it off. 0, -ENOENT when there is none, or another negative errno. */
int xdp_leftover_remove(int ifindex);

#endif
