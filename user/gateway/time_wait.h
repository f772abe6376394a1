/* SPDX-License-Identifier: GPL-2.0 */
/*
 * LAN legs in TIME_WAIT, when their remote's packets are to be forwarded from
 * now on: the kernel would match such packets with the old socket (early demux)
 * and then refuse to forward them, so a client that used its port again would
 * meet silence for a minute.
 */
#ifndef SLUICE_TIME_WAIT_H
#define SLUICE_TIME_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* Tells whether the socket with this local end (16 bytes network byte order,
 * v4-mapped; port in host byte order) is one of those meant. */
typedef bool time_wait_filter(const uint8_t address[16], uint16_t port, const void *context);

/* Removes TIME_WAIT sockets that pass the filter and whose local address is not
 * this host's own (sock_diag, SOCK_DESTROY). 0, or a negative errno; -EOPNOTSUPP
 * where the kernel was built without CONFIG_INET_DIAG_DESTROY. */
int time_wait_remove(time_wait_filter *filter, const void *context);

/* Ends one connection if it is in TIME_WAIT. 0, -EBUSY when it lives, or
 * another negative errno. */
int time_wait_remove_one(const uint8_t local[16], uint16_t local_port, const uint8_t remote[16],
			 uint16_t remote_port);

#endif
