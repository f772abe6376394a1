/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sizes, rates and times as people write them, to numbers and back. All
 * arithmetic is exact, in integers, so that a text made here parses back to
 * the same number.
 */
#include "units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* More than any uint64_t needs, and small enough for the products below. */
#define FRACTION_DIGITS_MAX 15

struct unit {
	const char *suffix; /* compared without case */
	uint64_t factor; /* what one is worth in the base unit */
};

/* In each table the units that are written come first, the largest first, up
 * to and with the base unit (factor 1); those after it are only read. */
static const struct unit size_units[] = {
	{ "TiB", 1ULL << 40 },
	{ "GiB", 1ULL << 30 },
	{ "MiB", 1ULL << 20 },
	{ "KiB", 1ULL << 10 },
	{ "TB", 1000000000000ULL },
	{ "GB", 1000000000ULL },
	{ "MB", 1000000ULL },
	{ "kB", 1000ULL },
	{ "", 1 },
	{ "B", 1 },
	{ "T", 1ULL << 40 },
	{ "G", 1ULL << 30 },
	{ "M", 1ULL << 20 },
	{ "K", 1ULL << 10 },
	{ NULL, 0 },
};

static const struct unit rate_units[] = {
	{ "tbit", 1000000000000ULL },
	{ "gbit", 1000000000ULL },
	{ "mbit", 1000000ULL },
	{ "kbit", 1000ULL },
	{ "bit", 1 },
	{ "", 1 },
	{ "tibit", 1ULL << 40 },
	{ "gibit", 1ULL << 30 },
	{ "mibit", 1ULL << 20 },
	{ "kibit", 1ULL << 10 },
	{ NULL, 0 },
};

static const struct unit duration_units[] = {
	{ "d", 86400000000ULL }, { "h", 3600000000ULL },
	{ "m", 60000000ULL },	 { "s", 1000000ULL },
	{ "ms", 1000ULL },	 { "us", 1 },
	{ "", 1000000ULL },	 { NULL, 0 },
};

/* Reads digits from *text on, which moves behind them. Returns how many;
 * -ERANGE when they do not fit. */
static int digits_parse(const char **text, uint64_t *number)
{
	int count = 0;

	*number = 0;
	for (; **text >= '0' && **text <= '9'; (*text)++, count++) {
		if (__builtin_mul_overflow(*number, 10U, number) ||
		    __builtin_add_overflow(*number, (unsigned)(**text - '0'), number))
			return -ERANGE;
	}
	return count;
}

/* Reads "." and digits; the value is *fraction / *scale. Digits that no unit
 * can show any more are passed over. 0 or -EINVAL. */
static int fraction_parse(const char **text, uint64_t *fraction, uint64_t *scale)
{
	int count = 0;

	*fraction = 0;
	*scale = 1;
	if (**text != '.')
		return 0;
	for ((*text)++; **text >= '0' && **text <= '9'; (*text)++, count++) {
		if (count >= FRACTION_DIGITS_MAX)
			continue;
		*fraction = *fraction * 10 + (unsigned)(**text - '0');
		*scale *= 10;
	}
	return count > 0 ? 0 : -EINVAL;
}

static int unit_parse(const char *text, const struct unit *units, uint64_t *result)
{
	uint64_t whole, fraction, scale;
	unsigned __int128 value;
	int count;

	count = digits_parse(&text, &whole);
	if (count < 0)
		return count;
	if (count == 0 || fraction_parse(&text, &fraction, &scale) < 0)
		return -EINVAL;
	while (units->suffix && strcasecmp(units->suffix, text) != 0)
		units++;
	if (!units->suffix)
		return -EINVAL;
	value = (unsigned __int128)whole * units->factor +
		(unsigned __int128)fraction * units->factor / scale;
	if (value > UINT64_MAX)
		return -ERANGE;
	*result = (uint64_t)value;
	return 0;
}

/* Writes value in this unit, with up to three decimals; returns the length of
 * the number or 0 when it cannot be written so. */
static size_t unit_format(uint64_t value, const struct unit *unit, char *text)
{
	unsigned __int128 thousandths = (unsigned __int128)value * 1000;
	uint64_t fraction;
	size_t length;

	if (value < unit->factor || thousandths % unit->factor != 0)
		return 0;
	thousandths /= unit->factor;
	fraction = (uint64_t)(thousandths % 1000);
	length = (size_t)snprintf(text, UNIT_TEXT_MAX, "%llu.%03llu",
				  (unsigned long long)(thousandths / 1000),
				  (unsigned long long)fraction);
	while (text[length - 1] == '0')
		length--;
	if (text[length - 1] == '.')
		length--;
	snprintf(text + length, UNIT_TEXT_MAX - length, "%s", unit->suffix);
	return length;
}

static const char *shortest_format(uint64_t value, const struct unit *units, char *text)
{
	char candidate[UNIT_TEXT_MAX];
	size_t length, shortest = UNIT_TEXT_MAX;
	const struct unit *unit = units;

	strcpy(text, "0");
	if (value == 0)
		return text;
	do {
		length = unit_format(value, unit, candidate);
		if (length > 0 && length < shortest) {
			shortest = length;
			memcpy(text, candidate, sizeof(candidate));
		}
	} while (unit++->factor != 1);
	return text;
}

int size_parse(const char *text, uint64_t *bytes)
{
	return unit_parse(text, size_units, bytes);
}

int rate_parse(const char *text, uint64_t *bits_per_second)
{
	return unit_parse(text, rate_units, bits_per_second);
}

int duration_parse(const char *text, uint64_t *microseconds)
{
	return unit_parse(text, duration_units, microseconds);
}

int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
	uint64_t parsed;
	const char *end = text;
	int count = digits_parse(&end, &parsed);

	if (count < 0)
		return end[strspn(end, "0123456789")] == '\0' ? -ERANGE : -EINVAL;
	if (count == 0 || *end != '\0')
		return -EINVAL;
	if (parsed < min || parsed > max)
		return -ERANGE;
	*number = parsed;
	return 0;
}

const char *size_format(uint64_t bytes, char *text)
{
	return shortest_format(bytes, size_units, text);
}

const char *rate_format(uint64_t bits_per_second, char *text)
{
	return shortest_format(bits_per_second, rate_units, text);
}

const char *duration_format(uint64_t microseconds, char *text)
{
	return shortest_format(microseconds, duration_units, text);
}
