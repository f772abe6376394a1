/* SPDX-License-Identifier: GPL-2.0 */
/* Questions to the kernel about TCP sockets, and their end (sock_diag(7)). */
#ifndef SLUICE_SOCKET_DIAG_H
#define SLUICE_SOCKET_DIAG_H

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <stdint.h>

/* A netlink socket to ask by, to be closed with mnl_socket_close(). NULL: errno says why. */
struct mnl_socket *socket_diag_open(void);

/* Sends a request of a type (SOCK_DIAG_BY_FAMILY, SOCK_DESTROY). 0 or a negative errno. */
int socket_diag_ask(struct mnl_socket *socket, uint16_t type, uint16_t flags,
		    const struct inet_diag_req_v2 *request);

/* Runs the answers to one request through callback (libmnl's). 0 or a negative errno. */
int socket_diag_answers(struct mnl_socket *socket, mnl_cb_t callback, void *context);

/*
 * The connection with these ends (16 bytes network byte order, v4-mapped; ports in
 * host byte order): what names it, cookie included, and in idiag_states the bit of
 * its state (TCP_SYN_RECV, ...); without it, a listener that would take it. 0,
 * -ENOENT, or another negative errno.
 */
int socket_diag_find(const uint8_t local[16], uint16_t local_port, const uint8_t remote[16],
		     uint16_t remote_port, struct inet_diag_req_v2 *found);

#endif
