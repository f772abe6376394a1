/* SPDX-License-Identifier: GPL-2.0 */
/* How many bytes arrived when: the time series of the plots. */
#include "bins.h"

void bins_add(struct bins *bins, int64_t start, int64_t now, uint64_t bytes)
{
	int64_t index = now > start ? (now - start) / BIN_NS : 0;

	if (index >= BINS_MAX)
		index = BINS_MAX - 1;
	bins->bytes[index] += bytes;
	if (bins->count <= index)
		bins->count = (uint32_t)index + 1;
}

void bins_merge(struct bins *bins, const uint64_t *bytes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		bins->bytes[i] += bytes[i];
	if (bins->count < count)
		bins->count = count;
}
