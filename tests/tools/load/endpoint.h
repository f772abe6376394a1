/* SPDX-License-Identifier: GPL-2.0 */
/* What clients and server share: sockets, clocks, the end with a message. */
#ifndef LOAD_ENDPOINT_H
#define LOAD_ENDPOINT_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* One send or receive moves at most so much. */
#define BUFFER_SIZE (256U * 1024)

#define NS_PER_S 1000000000LL

/* BUFFER_SIZE bytes that are the same in nobody's neighbour: what is sent. */
const char *noise(void);

/* ns of CLOCK_MONOTONIC. */
int64_t clock_ns(void);

/* Seconds of processor time that this process has used. */
double cpu_seconds(void);

/* Reads "10.1.0.2" or "fd00::2"; ends the process with a message when it is neither. */
socklen_t address_read(struct sockaddr_storage *address, const char *text, uint16_t port);

/* A non-blocking TCP socket with TCP_NODELAY and, unless NULL, a congestion
 * control; ends the process when there is none. */
int socket_make(int family, const char *congestion);

/* A socket whose connection has been asked for; waits with EPOLLOUT. -1 with
 * errno when that failed at once. */
int connection_start(const struct sockaddr_storage *address, socklen_t length,
		     const char *congestion);

/* Has epoll report events of fd with this pointer; op is EPOLL_CTL_ADD or _MOD. */
void watch(int epoll, int op, int fd, uint32_t events, void *owner);

/* Closes with an RST, so that nothing stays behind. */
void connection_reset(int fd);

/* Ends the process: message, errno's text. */
_Noreturn void die(const char *what);

#endif
