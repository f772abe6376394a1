/* SPDX-License-Identifier: GPL-2.0 */
/* Fuzzes the reading of PROXY headers: what is taken for one is one, to the byte. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proxy_protocol.h"
#include "targets.h"

static void claim(bool holds)
{
	if (!holds)
		abort();
}

void fuzz_proxy(const uint8_t *input, size_t size)
{
	uint8_t again[PROXY_PROTOCOL_MAX], *header;
	struct half_open_key tuple;
	size_t length = 0;
	int wanted;

	/* As the agent reads it: so many bytes as it asks for, in a buffer that ends there. */
	while ((wanted = proxy_protocol_v2_parse(input, length, &tuple)) > 0) {
		length += (size_t)wanted;
		claim(length <= PROXY_PROTOCOL_MAX);
		if (length > size)
			return;
	}
	if (wanted < 0)
		return;
	header = malloc(length);
	claim(header != NULL);
	memcpy(header, input, length);
	claim(proxy_protocol_v2_parse(header, length, &tuple) == 0);
	/* IPv4 in an IPv6 header is valid, and is written more shortly. */
	if (proxy_protocol_v2(&tuple, again) == length)
		claim(memcmp(again, header, length) == 0);
	free(header);
}
