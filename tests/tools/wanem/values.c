/* SPDX-License-Identifier: GPL-2.0 */
/* Rates and losses as people write them. */
#include "values.h"

#include "units.h"

#include <stdlib.h>

#define RATE_MIN 1000ULL

bool rate_read(const char *text, uint64_t *bits_per_second)
{
	return !rate_parse(text, bits_per_second) && *bits_per_second >= RATE_MIN;
}

bool loss_read(const char *text, double *part)
{
	char *end;

	*part = strtod(text, &end);
	if (end != text && *end == '%') {
		*part /= 100;
		end++;
	}
	return end != text && !*end && *part >= 0 && *part <= 1;
}
