/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What setsockopt(2) can do of a WAN connection's parameters [980-984]: on the
 * gateway's own sockets before connect(), and on the listener of a trunk that the
 * agent ends, whose accepted sockets inherit it. The rest is tune.h's.
 */
#ifndef SLUICE_WAN_OPTIONS_H
#define SLUICE_WAN_OPTIONS_H

#include "tables.h"

/* All of it; family is the socket's. Needs CAP_NET_ADMIN. 0 or a negative errno. */
int wan_set_options(int fd, int family, const struct wan_params *params);

/* [984] The congestion control alone. One that this kernel lacks right now is no
 * error: the kernel's default with the same pacing is better than no connection. */
int wan_set_flow_control(int fd, const struct wan_params *params);

#endif
