/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PROXY protocol version 2 header (haproxy.org, proxy-protocol.txt, 2.2): the
 * first bytes of a connection that is made on behalf of another.
 */
#ifndef SLUICE_PROXY_PROTOCOL_H
#define SLUICE_PROXY_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include "tables.h"

#define PROXY_PROTOCOL_MAX 52

/* Writes the header for the connection in tuple (client to remote, as the client
 * sees it) into header (PROXY_PROTOCOL_MAX bytes); returns its length. */
size_t proxy_protocol_v2(const struct half_open_key *tuple, uint8_t *header);

/*
 * Reads a header as proxy_protocol_v2() writes it, from bytes of which length
 * are there. Returns how many more bytes it takes before it can be told, so that
 * what follows the header is never read; 0 with *tuple set; or -EPROTO when it is none.
 */
int proxy_protocol_v2_parse(const uint8_t *header, size_t length, struct half_open_key *tuple);

#endif
