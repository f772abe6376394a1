/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Connections between their SYN and the joining of both legs: honest connect
 * (docs/design.md) and connect = early.
 */
#ifndef SLUICE_HALF_OPEN_H
#define SLUICE_HALF_OPEN_H

#include <sys/socket.h>

#include "gateway_flow.h"

/* Opens the relay's AF_PACKET sockets. 0 or a negative errno. */
int half_open_init(struct gateway_relay *relay);
void half_open_free(struct gateway_relay *relay);

/* A SYN that BPF took for this relay: opens the WAN leg. */
void half_open_syn(struct gateway_relay *relay, const struct syn_event *syn);

/* A connection that a listener accepted: the LAN leg of a half-open flow, or a
 * stranger's, which is reset. fd belongs to the callee; client is its peer. */
void half_open_accepted(struct gateway_relay *relay, int fd, const struct sockaddr_storage *client);

/* Something happened to a leg of a flow that is not joined yet. */
void half_open_progress(struct gateway_flow *flow);

/* Looks at the deadline of a flow that is not joined yet. */
void half_open_check(struct gateway_flow *flow);

/* The gateway stops: the client's SYN is forwarded if it is still held, and the
 * flow ended; otherwise nothing happens. */
void half_open_let_go(struct gateway_flow *flow);

/* Takes the flow out of the half-open tables, if it is in them. */
void half_open_leave(struct gateway_flow *flow);

#endif
