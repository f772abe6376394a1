/* SPDX-License-Identifier: GPL-2.0 */
/* user/lib/units.c: sizes, rates and times to numbers and back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>

#include "units.h"

struct unit_case {
	const char *text;
	uint64_t number;
	int result;
};

static void expect_cases(int (*parse)(const char *, uint64_t *), const struct unit_case *cases,
			 size_t count)
{
	uint64_t number;

	for (size_t i = 0; i < count; i++) {
		number = 42;
		cr_expect_eq(parse(cases[i].text, &number), cases[i].result, "%s", cases[i].text);
		cr_expect_eq(number, cases[i].result == 0 ? cases[i].number : 42,
			     "%s gives %" PRIu64, cases[i].text, number);
	}
}

#define EXPECT_CASES(parse, cases) expect_cases(parse, cases, sizeof(cases) / sizeof(*(cases)))

Test(units, sizes_are_parsed)
{
	static const struct unit_case cases[] = {
		{ "0", 0, 0 },
		{ "1500", 1500, 0 },
		{ "1500B", 1500, 0 },
		{ "64KiB", 65536, 0 },
		{ "16MiB", 16777216, 0 },
		{ "1GiB", 1073741824, 0 },
		{ "2TiB", 2199023255552, 0 },
		{ "4kB", 4000, 0 },
		{ "4MB", 4000000, 0 },
		{ "4M", 4194304, 0 },
		{ "4mib", 4194304, 0 },
		{ "1.5KiB", 1536, 0 },
		{ "0.5M", 524288, 0 },
		{ "18446744073709551615", UINT64_MAX, 0 },
		{ "18446744073709551616", 0, -ERANGE },
		{ "99999999999TiB", 0, -ERANGE },
		{ "", 0, -EINVAL },
		{ "MiB", 0, -EINVAL },
		{ "-1", 0, -EINVAL },
		{ "+1", 0, -EINVAL },
		{ " 1", 0, -EINVAL },
		{ "1 MiB", 0, -EINVAL },
		{ "1.", 0, -EINVAL },
		{ ".5", 0, -EINVAL },
		{ "1.5.5", 0, -EINVAL },
		{ "1e3", 0, -EINVAL },
		{ "0x10", 0, -EINVAL },
		{ "5mbit", 0, -EINVAL },
	};

	EXPECT_CASES(size_parse, cases);
}

Test(units, rates_are_parsed)
{
	static const struct unit_case cases[] = {
		{ "9600", 9600, 0 },
		{ "9600bit", 9600, 0 },
		{ "64kbit", 64000, 0 },
		{ "500mbit", 500000000, 0 },
		{ "1.5mbit", 1500000, 0 },
		{ "1Gbit", 1000000000, 0 },
		{ "1tbit", 1000000000000, 0 },
		{ "1mibit", 1048576, 0 },
		{ "99999999999tbit", 0, -ERANGE },
		{ "fast", 0, -EINVAL },
		{ "500mb", 0, -EINVAL },
		{ "500mbps", 0, -EINVAL },
	};

	EXPECT_CASES(rate_parse, cases);
}

Test(units, times_are_parsed)
{
	static const struct unit_case cases[] = {
		{ "0", 0, 0 },
		{ "30", 30000000, 0 },
		{ "30s", 30000000, 0 },
		{ "250us", 250, 0 },
		{ "80ms", 80000, 0 },
		{ "0.5ms", 500, 0 },
		{ "5m", 300000000, 0 },
		{ "2h", 7200000000, 0 },
		{ "1d", 86400000000, 0 },
		{ "999999999999d", 0, -ERANGE },
		{ "soon", 0, -EINVAL },
		{ "1w", 0, -EINVAL },
	};

	EXPECT_CASES(duration_parse, cases);
}

Test(units, whole_numbers_are_parsed_within_their_bounds)
{
	uint64_t number = 42;

	cr_expect_eq(number_parse("65535", 1, 65535, &number), 0);
	cr_expect_eq(number, 65535);
	cr_expect_eq(number_parse("007", 1, 65535, &number), 0);
	cr_expect_eq(number, 7);
	cr_expect_eq(number_parse("0", 1, 65535, &number), -ERANGE);
	cr_expect_eq(number_parse("65536", 1, 65535, &number), -ERANGE);
	cr_expect_eq(number_parse("99999999999999999999", 1, 65535, &number), -ERANGE);
	cr_expect_eq(number_parse("99999999999999999999x", 1, 65535, &number), -EINVAL);
	cr_expect_eq(number_parse("", 0, 9, &number), -EINVAL);
	cr_expect_eq(number_parse("-1", 0, 9, &number), -EINVAL);
	cr_expect_eq(number_parse("1.0", 0, 9, &number), -EINVAL);
	cr_expect_eq(number_parse("1 ", 0, 9, &number), -EINVAL);
	cr_expect_eq(number, 7);
}

static void expect_text(const char *(*format)(uint64_t, char *), uint64_t number,
			const char *expected)
{
	char text[UNIT_TEXT_MAX];

	cr_expect_str_eq(format(number, text), expected);
}

Test(units, numbers_are_formatted_with_few_digits)
{
	expect_text(size_format, 0, "0");
	expect_text(size_format, 1, "1");
	expect_text(size_format, 4096, "4KiB");
	expect_text(size_format, 16777216, "16MiB");
	expect_text(size_format, 1610612736, "1.5GiB");
	expect_text(size_format, 4000000, "4MB");
	expect_text(size_format, 1234567, "1234567");
	expect_text(rate_format, 7, "7bit");
	expect_text(rate_format, 64000, "64kbit");
	expect_text(rate_format, 500000000, "500mbit");
	expect_text(rate_format, 2500000000, "2.5gbit");
	expect_text(duration_format, 0, "0");
	expect_text(duration_format, 250, "250us");
	expect_text(duration_format, 80000, "80ms");
	expect_text(duration_format, 90000000, "90s");
	expect_text(duration_format, 60000000, "1m");
	expect_text(duration_format, 7200000000, "2h");
}

static void expect_back(int (*parse)(const char *, uint64_t *),
			const char *(*format)(uint64_t, char *), uint64_t number)
{
	char text[UNIT_TEXT_MAX];
	uint64_t back = ~number;

	cr_expect_eq(parse(format(number, text), &back), 0, "%s", text);
	cr_expect_eq(back, number, "%" PRIu64 " as %s is %" PRIu64, number, text, back);
}

Test(units, every_text_parses_back_to_the_same_number)
{
	uint64_t number = 1;

	for (unsigned shift = 0; shift < 64; shift++) {
		for (uint64_t near = (1ULL << shift) - 1; near <= (1ULL << shift) + 1; near++) {
			expect_back(size_parse, size_format, near);
			expect_back(rate_parse, rate_format, near);
			expect_back(duration_parse, duration_format, near);
		}
		/* A fixed walk over numbers of every length. */
		number = number * 6364136223846793005ULL + 1442695040888963407ULL;
		expect_back(size_parse, size_format, number >> shift);
		expect_back(rate_parse, rate_format, (number >> shift) / 1000 * 1000);
		expect_back(duration_parse, duration_format, number >> shift);
	}
	expect_back(size_parse, size_format, UINT64_MAX);
}
