/* SPDX-License-Identifier: GPL-2.0 */
/* PROXY protocol version 2 header (haproxy.org, proxy-protocol.txt, 2.2), sent first on the WAN leg. */
#ifndef SLUICE_PROXY_PROTOCOL_H
#define SLUICE_PROXY_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include "tables.h"

#define PROXY_PROTOCOL_MAX 52

/* Writes the header for the connection in tuple (client to remote, as the client
 * sees it) into header (PROXY_PROTOCOL_MAX bytes); returns its length. */
size_t proxy_protocol_v2(const struct half_open_key *tuple, uint8_t *header);

#endif
