/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lines over a non-blocking TLS connection: as much in memory as one line in
 * and a few out, whatever the peer does. For registrar and agent.
 */
#ifndef SLUICE_TLS_LINES_H
#define SLUICE_TLS_LINES_H

#include <jansson.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent_protocol.h"

/* What may wait to be sent. */
#define TLS_LINES_OUT_MAX (4 * PROTOCOL_LINE_MAX)

struct tls_lines {
	SSL *ssl; /* owned */
	char *in; /* PROTOCOL_LINE_MAX bytes; from the end of the handshake on; owned */
	size_t in_start, in_end; /* what was received and not taken */
	char *out; /* TLS_LINES_OUT_MAX bytes; owned */
	size_t out_start, out_end; /* what was not sent yet */
	bool wants_write; /* the last call waits for the socket to take more */
};

/* Takes over ssl, which has its descriptor and role. */
void tls_lines_init(struct tls_lines *lines, SSL *ssl);
void tls_lines_free(struct tls_lines *lines);

/* All return 0, -EAGAIN when the socket has to become ready first, or another
 * negative errno: the connection is of no use any more then. */

/* Goes on with the handshake. -EPROTO: OpenSSL's error queue says why. */
int tls_lines_handshake(struct tls_lines *lines);

/* Reads some more. -EMSGSIZE when the line is longer than a line may be,
 * -ECONNRESET when the peer has closed. Not while a whole line waits. */
int tls_lines_read(struct tls_lines *lines);

/* Takes the next whole line, which is valid until the next tls_lines_read():
 * its length without newline. False when there is none. */
bool tls_lines_next(struct tls_lines *lines, const char **line, size_t *length);

/* Appends a message (stolen; NULL: no memory) to what is to be sent. -ENOBUFS
 * when the peer does not read. */
int tls_lines_put(struct tls_lines *lines, json_t *message);

/* Sends what waits. */
int tls_lines_flush(struct tls_lines *lines);

/* What epoll is to wait for. */
uint32_t tls_lines_events(const struct tls_lines *lines);

#endif
