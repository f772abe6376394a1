/* SPDX-License-Identifier: GPL-2.0 */
/* Key files: what is read, and what is refused with what to do. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "config_files.h"
#include "key_file.h"
#include "secret.h"

TestSuite(key_file, .init = make_scratch, .fini = remove_scratch);

Test(key_file, a_key_is_read_and_written)
{
	char error[KEY_FILE_ERROR_MAX], text[KEY_TEXT_MAX];
	uint8_t key[KEY_SIZE];

	cr_assert_eq(key_file_read(in_scratch("good.key"), "/nowhere/file", key, error), 0, "%s",
		     error);
	cr_expect_eq(key[0], 0x00);
	cr_expect_eq(key[1], 0x11);
	cr_expect_eq(key[31], 0xff);
	cr_expect_str_eq(key_format(key, text), "00112233445566778899aabbccddeeff"
						"00112233445566778899aabbccddeeff\n");
}

Test(key_file, a_relative_path_starts_beside_the_file_that_names_it)
{
	char error[KEY_FILE_ERROR_MAX], beside[128];
	uint8_t key[KEY_SIZE];

	snprintf(beside, sizeof(beside), "%s", in_scratch("file.conf"));
	cr_expect_eq(key_file_read("good.key", beside, key, error), 0, "%s", error);
	cr_expect_eq(key_file_read("none.key", beside, key, error), -ENOENT);
}

static void expect_refused(const char *name, const char *word)
{
	char error[KEY_FILE_ERROR_MAX];
	uint8_t key[KEY_SIZE];

	cr_expect_lt(key_file_read(in_scratch(name), "", key, error), 0);
	cr_expect(strstr(error, word), "%s", error);
}

Test(key_file, one_that_others_may_read_is_refused)
{
	static const mode_t modes[] = { 0640, 0604, 0620, 0610, 0601, 0777 };

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		write_scratch("open.key", KEY, modes[i]);
		expect_refused("open.key", "chmod 600");
	}
	write_scratch("open.key", KEY, 0400);
	cr_expect_eq(chown(in_scratch("open.key"), 12345, 0), geteuid() == 0 ? 0 : -1);
	if (geteuid() == 0)
		expect_refused("open.key", "belongs to user 12345");
}

Test(key_file, what_is_no_key_is_refused)
{
	static const char *const texts[] = { "",
					     "\n",
					     "0123",
					     KEY "0",
					     KEY "\n" KEY,
					     " " KEY,
					     "g0112233445566778899aabbccddeeff"
					     "00112233445566778899aabbccddeeff" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		write_scratch("bad.key", texts[i], 0600);
		expect_refused("bad.key", "64 hexadecimal digits");
	}
	expect_refused("", "regular file");
}

Test(secret, children_get_zeros_unless_they_are_to_inherit)
{
	uint8_t *secret = secret_new(KEY_SIZE);

	cr_assert(secret);
	secret[0] = 7;
	for (int inherit = 0; inherit < 2; inherit++) {
		int status;
		pid_t pid;

		cr_assert_eq(secret_inherit(secret, KEY_SIZE, inherit), 0);
		pid = fork();
		if (pid == 0)
			_exit(secret[0]);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_expect_eq(WEXITSTATUS(status), inherit ? 7 : 0);
	}
	secret_free(secret, KEY_SIZE);
}
