/* SPDX-License-Identifier: GPL-2.0 */
/* Sizes, rates and times as people write them, to numbers and back. */
#ifndef SLUICE_UNITS_H
#define SLUICE_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* Room for any text the formatters make. */
#define UNIT_TEXT_MAX 32

/* All parsers return 0, -EINVAL (not a number with a known unit) or -ERANGE
 * (too large for the result), and leave the result alone on error. Fractions
 * ("1.5mbit") are taken; negative numbers are not. */

/* "16MiB", "64KiB", "1GiB", "1500" (bytes), "4MB" (10^6), "4M" (2^20): bytes. */
int size_parse(const char *text, uint64_t *bytes);

/* "500mbit", "1gbit", "64kbit", "9600" (bit/s), as tc(8) writes them: bit/s. */
int rate_parse(const char *text, uint64_t *bits_per_second);

/* "80ms", "250us", "30s", "5m", "2h", "1d"; a bare number is seconds: microseconds. */
int duration_parse(const char *text, uint64_t *microseconds);

/* A whole decimal number, min..max. */
int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *number);

/* The text with the fewest digits that parses back to the same number; sizes
 * are written with "KiB" or "kB", not with the bare letter. text holds
 * UNIT_TEXT_MAX bytes; returns text. */
const char *size_format(uint64_t bytes, char *text);
const char *rate_format(uint64_t bits_per_second, char *text);
const char *duration_format(uint64_t microseconds, char *text);

#endif
