// SPDX-License-Identifier: GPL-2.0
/* See tls_lines.h. */
#include "tls_lines.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

void tls_lines_init(struct tls_lines *lines, SSL *ssl)
{
	*lines = (struct tls_lines){ .ssl = ssl };
}

void tls_lines_free(struct tls_lines *lines)
{
	SSL_free(lines->ssl);
	free(lines->in);
	free(lines->out);
	*lines = (struct tls_lines){ 0 };
}

/* What a call of OpenSSL that did not succeed means. */
static int status_of(struct tls_lines *lines, int result)
{
	switch (SSL_get_error(lines->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		lines->wants_write = true;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return -ECONNRESET;
	case SSL_ERROR_SYSCALL:
		return errno && errno != EAGAIN ? -errno : -ECONNRESET;
	default:
		return -EPROTO;
	}
}

int tls_lines_handshake(struct tls_lines *lines)
{
	int result;

	lines->wants_write = false;
	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(lines->ssl);
	if (result != 1)
		return status_of(lines, result);
	/* Only the key proves who the peer is. */
	if (!SSL_session_reused(lines->ssl))
		return -EPROTO;
	lines->in = malloc(PROTOCOL_LINE_MAX);
	lines->out = malloc(TLS_LINES_OUT_MAX);
	return lines->in && lines->out ? 0 : -ENOMEM;
}

int tls_lines_read(struct tls_lines *lines)
{
	size_t taken;
	int result;

	memmove(lines->in, lines->in + lines->in_start, lines->in_end - lines->in_start);
	lines->in_end -= lines->in_start;
	lines->in_start = 0;
	if (lines->in_end == PROTOCOL_LINE_MAX)
		return -EMSGSIZE;
	ERR_clear_error();
	errno = 0;
	result = SSL_read_ex(lines->ssl, lines->in + lines->in_end,
			     PROTOCOL_LINE_MAX - lines->in_end, &taken);
	if (result != 1)
		return status_of(lines, result);
	lines->in_end += taken;
	return 0;
}

bool tls_lines_next(struct tls_lines *lines, const char **line, size_t *length)
{
	char *start = lines->in + lines->in_start, *newline;

	newline = memchr(start, '\n', lines->in_end - lines->in_start);
	if (!newline)
		return false;
	*line = start;
	*length = (size_t)(newline - start);
	lines->in_start += *length + 1;
	return true;
}

int tls_lines_put(struct tls_lines *lines, json_t *message)
{
	size_t room = TLS_LINES_OUT_MAX - lines->out_end, length;

	if (!message)
		return -ENOMEM;
	if (lines->out_start > 0 && room < PROTOCOL_LINE_MAX) {
		memmove(lines->out, lines->out + lines->out_start,
			lines->out_end - lines->out_start);
		lines->out_end -= lines->out_start;
		lines->out_start = 0;
		room = TLS_LINES_OUT_MAX - lines->out_end;
	}
	length = json_dumpb(message, lines->out + lines->out_end, room, JSON_COMPACT);
	json_decref(message);
	if (length == 0 || length + 1 > PROTOCOL_LINE_MAX)
		return -EMSGSIZE;
	if (length + 1 > room)
		return -ENOBUFS;
	lines->out_end += length;
	lines->out[lines->out_end++] = '\n';
	return 0;
}

int tls_lines_flush(struct tls_lines *lines)
{
	size_t sent;
	int result;

	lines->wants_write = false;
	while (lines->out_start < lines->out_end) {
		ERR_clear_error();
		errno = 0;
		result = SSL_write_ex(lines->ssl, lines->out + lines->out_start,
				      lines->out_end - lines->out_start, &sent);
		if (result != 1)
			return status_of(lines, result);
		lines->out_start += sent;
	}
	lines->out_start = lines->out_end = 0;
	return 0;
}

uint32_t tls_lines_events(const struct tls_lines *lines)
{
	return EPOLLIN | (lines->wants_write ? (uint32_t)EPOLLOUT : 0);
}
