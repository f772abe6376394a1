/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tuning of TCP sockets by programs in the kernel (bpf/tune.bpf.c and
 * bpf/linkrate.bpf.c), for the gateway's WAN legs and the agent's trunk ports.
 *
 * A process opens it once. Nothing of it outlives the process: the program is
 * attached to the root of the cgroups by a link that the kernel removes, and
 * so is the congestion control (from kernel 6.4 on; before, by tune_close()).
 */
#ifndef SLUICE_TUNE_H
#define SLUICE_TUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "tables.h"

#define TUNE_ERROR_MAX 256

struct tune;

/*
 * Loads and attaches the programs and registers linkrate, unless another
 * process of this host has: then that one's is used. 0, or a negative errno
 * with one line in error (TUNE_ERROR_MAX bytes) when sockets cannot be tuned.
 * A kernel that does not take linkrate is no error; see tune_has_linkrate().
 */
int tune_open(struct tune **tune, char *error);

/* Detaches everything. Sockets keep what they have. NULL is allowed. */
void tune_close(struct tune *tune);

/* Whether TCP_CONGESTION takes "linkrate" in this host. */
bool tune_has_linkrate(void);

/* True when this process is the one that registered it. */
bool tune_owns_linkrate(const struct tune *tune);

/* To be called now and then: registers linkrate when the process that had
 * registered it is gone, and this one could not hold on to that. */
void tune_keep_linkrate(struct tune *tune);

/* Descriptor of the map that tune_socket() needs; borrowed. A process without
 * any privilege for BPF can use it. */
int tune_socket_map(const struct tune *tune);

/* Says how a socket is to be tuned; before connect(). Everything that
 * setsockopt(2) can do is left to the caller. 0 or a negative errno. */
int tune_socket(int socket_map, int fd, const struct wan_params *params);

/*
 * Tunes in full the sockets that are accepted at a local port from now on,
 * whoever listens there, in the network namespace of the caller. Loads the
 * congestion control's module. Replaces what was set before. 0 or a negative
 * errno: -ENOENT when the kernel has no such congestion control.
 */
int tune_trunk_port_set(struct tune *tune, uint16_t port, const struct wan_params *params);

/* New sockets of the port are left alone from now on. -ENOENT: it was not set. */
int tune_trunk_port_remove(struct tune *tune, uint16_t port);

#endif
