/* SPDX-License-Identifier: GPL-2.0 */
/* setsockopt(2) of an int, which most options are. */
#ifndef SLUICE_SOCKET_OPTION_H
#define SLUICE_SOCKET_OPTION_H

#include <errno.h>
#include <sys/socket.h>

/* 0 or a negative errno. */
static inline int socket_set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* The same; an option that this kind of socket does not have is no error. MPTCP
 * sockets lack some, the more the older the kernel. */
static inline int socket_try_int(int fd, int level, int option, int value)
{
	int result = socket_set_int(fd, level, option, value);

	return result == -EOPNOTSUPP ? 0 : result;
}

#endif
