// SPDX-License-Identifier: GPL-2.0
/* See namespace_lock.h. */
#include "namespace_lock.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int namespace_lock(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0sluice/gateway" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), result;

	if (fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
		return fd;
	result = -errno;
	if (fd >= 0)
		close(fd);
	return result;
}
