/* SPDX-License-Identifier: GPL-2.0 */
/* A scratch directory with configuration and key files, for the tests that read them. */
#ifndef SLUICE_TESTS_CONFIG_FILES_H
#define SLUICE_TESTS_CONFIG_FILES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static char scratch[] = "/tmp/sluice-unit-XXXXXX";
static char scratch_path[128];

static inline const char *in_scratch(const char *name)
{
	snprintf(scratch_path, sizeof(scratch_path), "%s/%s", scratch, name);
	return scratch_path;
}

static inline void write_scratch(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(in_scratch(name), "we");

	cr_assert(file);
	fputs(text, file);
	fclose(file);
	cr_assert_eq(chmod(scratch_path, mode), 0);
}

static inline void make_scratch(void)
{
	cr_assert(mkdtemp(scratch));
	write_scratch("good.key", KEY "\n", 0600);
}

static inline void remove_scratch(void)
{
	static const char *const names[] = { "good.key", "bad.key", "open.key", "file.conf" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(in_scratch(names[i]));
	rmdir(scratch);
}

/* Runs load on a file with this text; what is said of it is in *errors (owned by
 * the caller), without the file's name and with "DIR" for the directory. */
#define LOAD_SCRATCH(load, text, config, errors)                                  \
	({                                                                        \
		size_t load_size;                                                 \
		FILE *load_stream = open_memstream(errors, &load_size);           \
		int load_result;                                                  \
		write_scratch("file.conf", text, 0600);                           \
		load_result = load(in_scratch("file.conf"), config, load_stream); \
		fclose(load_stream);                                              \
		remove_word(*(errors), in_scratch("file.conf"), "");              \
		remove_word(*(errors), scratch, "DIR");                           \
		load_result;                                                      \
	})

static inline void remove_word(char *text, const char *word, const char *instead)
{
	size_t length = strlen(word), new_length = strlen(instead);

	while ((text = strstr(text, word))) {
		memcpy(text, instead, new_length);
		memmove(text + new_length, text + length, strlen(text + length) + 1);
	}
}

#endif
