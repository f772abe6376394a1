// SPDX-License-Identifier: GPL-2.0
/* See trunk_ask.h. */
#include "trunk_ask.h"

#include <errno.h>
#include <sys/socket.h>

#include "proxy_protocol.h"

int trunk_ask(int fd, const struct half_open_key *tuple)
{
	uint8_t header[PROXY_PROTOCOL_MAX];
	size_t length = proxy_protocol_v2(tuple, header);
	ssize_t sent = send(fd, header, length, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0)
		return -errno;
	/* The send buffer is empty, so all of it fits or the leg is dead. */
	return (size_t)sent == length ? 0 : -EPIPE;
}

int trunk_read_answer(int fd, enum trunk_answer *answer)
{
	unsigned char byte;
	ssize_t length = recv(fd, &byte, 1, MSG_DONTWAIT);

	if (length < 0)
		return -errno;
	if (length == 0 || byte < TRUNK_ACCEPTED || byte > TRUNK_FAILED)
		return -EPROTO;
	*answer = byte;
	return 0;
}
