/* SPDX-License-Identifier: GPL-2.0 */
/* sluice keygen: a new key for a policy and its agent. Asks no daemon. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "key_file.h"

/* A key is written once: another one under its name would lock its agent out. */
static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t length = strlen(text);
	ssize_t written;

	if (fd < 0)
		return cli_fail("%s: %s%s", path, strerror(errno),
				errno == EEXIST ? ": remove it first" : "");
	written = write(fd, text, length);
	if (written == (ssize_t)length && fsync(fd) == 0 && close(fd) == 0)
		return 0;
	unlink(path);
	return cli_fail("%s: cannot be written: %s", path, strerror(errno));
}

int verb_keygen(const struct cli *cli, int count, char **arguments)
{
	uint8_t key[KEY_SIZE];
	char text[KEY_TEXT_MAX];
	int r = 0;

	if (count > 1)
		return cli_usage(cli, "one file at most");
	if (RAND_priv_bytes(key, sizeof(key)) != 1)
		return cli_fail("no random numbers from OpenSSL: see `openssl rand -hex 32`");
	key_format(key, text);
	if (count == 1)
		r = write_file(arguments[0], text);
	else
		fputs(text, stdout);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(text, sizeof(text));
	return r;
}
