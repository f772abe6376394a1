/* SPDX-License-Identifier: GPL-2.0 */
/* JSON values as people read them, short enough for a column. */
#include <inttypes.h>
#include <stdio.h>

#include "format.h"

#define MINUTE 60
#define HOUR 3600
#define DAY 86400

const char *format_text(const json_t *value, char *text)
{
	(void)text;
	return json_string_length(value) ? json_string_value(value) : "-";
}

const char *format_number(const json_t *value, char *text)
{
	if (!json_is_integer(value))
		return "-";
	snprintf(text, CELL_TEXT_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return text;
}

const char *format_port(const json_t *value, char *text)
{
	return json_integer_value(value) ? format_number(value, text) : "-";
}

const char *format_yes(const json_t *value, char *text)
{
	(void)text;
	return json_is_true(value) ? "yes" : "-";
}

/* About three digits and a unit: units[i] stands for step to the power of i. */
static const char *format_scaled(double number, unsigned step, const char *const *units, char *text)
{
	int decimals = 0;

	/* What would be printed as a whole step is one of the next unit. */
	while (number >= step - 0.5 && units[1]) {
		number /= step;
		units++;
		decimals = number < 99.95;
	}
	snprintf(text, CELL_TEXT_MAX, "%.*f%s", decimals, number, *units);
	return text;
}

const char *format_bytes(const json_t *value, char *text)
{
	static const char *const units[] = { "", "K", "M", "G", "T", "P", "E", NULL };

	if (!json_is_number(value))
		return "-";
	return format_scaled(json_number_value(value), 1024, units, text);
}

const char *format_rate(const json_t *value, char *text)
{
	static const char *const units[] = { "bit", "kbit", "mbit", "gbit", "tbit", NULL };

	if (json_number_value(value) <= 0)
		return "-";
	return format_scaled(json_number_value(value), 1000, units, text);
}

const char *format_rtt(const json_t *value, char *text)
{
	static const char *const units[] = { "us", "ms", "s", NULL };

	if (json_number_value(value) <= 0)
		return "-";
	return format_scaled(json_number_value(value), 1000, units, text);
}

const char *format_age(const json_t *value, char *text)
{
	uint64_t seconds;

	if (!json_is_number(value) || json_number_value(value) < 0)
		return "-";
	seconds = (uint64_t)json_number_value(value);
	if (seconds < MINUTE)
		snprintf(text, CELL_TEXT_MAX, "%" PRIu64 "s", seconds);
	else if (seconds < HOUR)
		snprintf(text, CELL_TEXT_MAX, "%" PRIu64 "m%02" PRIu64 "s", seconds / MINUTE,
			 seconds % MINUTE);
	else if (seconds < DAY)
		snprintf(text, CELL_TEXT_MAX, "%" PRIu64 "h%02" PRIu64 "m", seconds / HOUR,
			 seconds % HOUR / MINUTE);
	else
		snprintf(text, CELL_TEXT_MAX, "%" PRIu64 "d%02" PRIu64 "h", seconds / DAY,
			 seconds % DAY / HOUR);
	return text;
}

const char *format_values(const json_t *value, char *text)
{
	json_t *object = (json_t *)value; /* the iteration macro takes no const */
	size_t len = 0;
	const char *key;
	json_t *member;

	if (!json_object_size(value))
		return "defaults";
	json_object_foreach(object, key, member) {
		int n = snprintf(text + len, CELL_TEXT_MAX - len, "%s%s=%s", len ? " " : "", key,
				 json_string_value(member) ?: "-");

		if (n < 0 || (size_t)n >= CELL_TEXT_MAX - len)
			break;
		len += (size_t)n;
	}
	return text;
}
