/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Several TCP connections for one flow [982]: MPTCP (RFC 8684) with all
 * subflows on the one path there is. The side that connects adds them, as its
 * own ("userspace") path manager; the side that listens only has to allow them.
 */
#ifndef SLUICE_MPTCP_H
#define SLUICE_MPTCP_H

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Connections of one flow at most. The kernel's path manager at the other end takes
 * eight besides the first, so one is left to stand in for a first that was lost. */
#define MPTCP_CONNECTIONS_MAX 8
#define MPTCP_SUBFLOWS_MAX 8

/* Whether this network namespace lets MPTCP sockets be made. */
bool mptcp_is_available(void);

/*
 * MPTCP sockets that this network namespace makes from now on have no
 * subflows but those that their owner adds; until mptcp_give_back(), which puts
 * back what was there before. Idempotent. 0 or a negative errno.
 */
int mptcp_take_over(void);
void mptcp_give_back(void);

/* What the kernel says of one socket. */
struct mptcp_state {
	bool fallen_back; /* plain TCP, now and for good: the peer or the path has no MPTCP */
	unsigned connections; /* TCP connections that carry it or are coming up, the first included */
	uint32_t token; /* names it in the path manager */
};

/* Of an MPTCP socket that is connected; of a plain TCP socket: fallen back. */
void mptcp_read(int fd, struct mptcp_state *state);

/* TCP_INFO of every connection of the socket, max of them; returns how many, or
 * a negative errno. */
int mptcp_connections_info(int fd, struct tcp_info *infos, unsigned max);

/* A netlink socket to the kernel's path manager. Needs CAP_NET_ADMIN to be of use. */
struct mptcp_manager;

int mptcp_manager_open(struct mptcp_manager **manager);
void mptcp_manager_close(struct mptcp_manager *manager);

/*
 * Adds one connection, between the addresses of the first and to the same port.
 * It comes up by itself; mptcp_read() tells. 0 or a negative errno: -ENOTCONN as
 * long as the peer has not acknowledged data on the first.
 */
int mptcp_add_connection(struct mptcp_manager *manager, int fd, uint32_t token);

/* Subflows that accepted sockets of this network namespace may have. */
int mptcp_limit(struct mptcp_manager *manager, uint32_t *subflows);
int mptcp_set_limit(struct mptcp_manager *manager, uint32_t subflows);

#endif
