/* SPDX-License-Identifier: GPL-2.0 */
/* What the gateway's event loop does by itself, apart from what it is asked: it
 * looks twice a second for what has had its time, and minds signals. */
#ifndef SLUICE_GATEWAY_LOOP_H
#define SLUICE_GATEWAY_LOOP_H

#include "gateway.h"

/* SIGTERM and SIGINT drain and stop, a second one stops at once; SIGHUP reloads.
 * Blocks them, and SIGCHLD, for the loop; SIGPIPE is ignored. 0 or a negative errno. */
int gateway_add_signals(struct gateway *gateway);

/* Starts gateway->sweep_timer. 0 or a negative errno. */
int gateway_add_sweep(struct gateway *gateway);

/* Removes LAN legs in TIME_WAIT that stand in the way of what is to be forwarded
 * (time_wait.h): of entries that are gone; all of them when the gateway drains, or
 * when a SYN has met one that passes for another reason. */
void gateway_remove_old_legs(struct gateway *gateway);

#endif
