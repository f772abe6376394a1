// SPDX-License-Identifier: GPL-2.0
/* The socket options of a leg; declared in relay_flow.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "relay_flow.h"
#include "socket_option.h"

/* Unanswered probes, and seconds between them, before a dead peer is given up. */
#define KEEPALIVE_PROBES 4
#define KEEPALIVE_INTERVAL_S 15

int leg_set_options(int fd)
{
	static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	int result = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		return -errno;
	result = result ?: socket_try_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	return result ?: socket_try_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int leg_keep_alive(int fd, uint32_t keepalive_s)
{
	int result = socket_try_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);

	result = result
			 ?: socket_try_int(fd, IPPROTO_TCP, TCP_KEEPIDLE,
					   keepalive_s > 32767 ? 32767 : (int)keepalive_s);
	result = result ?: socket_try_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	return result ?: socket_try_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}
