// SPDX-License-Identifier: GPL-2.0
/* See checksum.h. */
#include "checksum.h"

#include <arpa/inet.h>

uint32_t checksum_add(uint32_t sum, const void *bytes, size_t length)
{
	const uint8_t *byte = bytes;
	size_t i;

	for (i = 0; i + 1 < length; i += 2)
		sum += (uint32_t)byte[i] << 8 | byte[i + 1];
	if (i < length)
		sum += (uint32_t)byte[i] << 8;
	return sum;
}

uint16_t checksum_finish(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

uint16_t checksum_transport(const uint8_t source[16], const uint8_t destination[16],
			    uint8_t protocol, const void *segment, size_t length)
{
	uint32_t sum;

	/* The prefix of a v4-mapped address sums up to 0xffff, which is zero in
	 * ones' complement: one pseudo-header serves both families. */
	sum = checksum_add(0, source, 16);
	sum = checksum_add(sum, destination, 16);
	sum += protocol;
	sum += (uint32_t)length;
	return checksum_finish(checksum_add(sum, segment, length));
}
