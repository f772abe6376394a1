// SPDX-License-Identifier: GPL-2.0
/* See key_file.h. */
#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What error texts show of a path. */
#define PATH_SHOWN "%.100s"

static int fail(char *error, int result, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(char *error, int result, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, KEY_FILE_ERROR_MAX, format, arguments);
	va_end(arguments);
	return result;
}

static int check_owner(int fd, const char *path, char *error)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return fail(error, -errno, PATH_SHOWN ": %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return fail(error, -EINVAL, PATH_SHOWN " is no regular file", path);
	if (status.st_uid != 0 && status.st_uid != geteuid())
		return fail(error, -EPERM,
			    PATH_SHOWN " belongs to user %u, expected root or the user that reads "
				       "it: chown it",
			    path, status.st_uid);
	if (status.st_mode & (S_IRWXG | S_IRWXO))
		return fail(error, -EPERM,
			    PATH_SHOWN " is open to others (mode %04o), expected 0600: chmod 600 "
				       "it",
			    path, status.st_mode & 07777);
	return 0;
}

/* Value of a hexadecimal digit, or -1. */
static int digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* False when text is not exactly the digits and white space behind them. */
static bool parse(const char *text, size_t length, uint8_t key[KEY_SIZE])
{
	while (length > 0 && strchr(" \t\r\n", text[length - 1]))
		length--;
	if (length != 2 * KEY_SIZE)
		return false;
	for (size_t i = 0; i < KEY_SIZE; i++) {
		int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static int read_open(int fd, const char *path, uint8_t key[KEY_SIZE], char *error)
{
	char text[4 * KEY_SIZE];
	int result = check_owner(fd, path, error);
	ssize_t length;

	if (result)
		return result;
	length = read(fd, text, sizeof(text));
	if (length < 0)
		result = fail(error, -errno, PATH_SHOWN ": %s", path, strerror(errno));
	else if (!parse(text, (size_t)length, key))
		result = fail(error, -EINVAL,
			      PATH_SHOWN
			      " holds no key, expected 64 hexadecimal digits, as `sluice "
			      "keygen` writes them",
			      path);
	explicit_bzero(text, sizeof(text));
	return result;
}

int key_file_read(const char *path, const char *beside, uint8_t key[KEY_SIZE], char *error)
{
	const char *slash = strrchr(beside, '/');
	char joined[PATH_MAX];
	int fd, result;

	if (path[0] != '/' && slash) {
		result = snprintf(joined, sizeof(joined), "%.*s%s", (int)(slash - beside + 1),
				  beside, path);
		if (result >= (int)sizeof(joined))
			return fail(error, -ENAMETOOLONG, PATH_SHOWN " is too long a path", path);
		path = joined;
	}
	/* Without O_NONBLOCK a FIFO in its place would hold up the start. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fail(error, -errno, PATH_SHOWN " cannot be read: %s", path, strerror(errno));
	result = read_open(fd, path, key, error);
	close(fd);
	return result;
}

const char *key_format(const uint8_t key[KEY_SIZE], char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < KEY_SIZE; i++) {
		text[2 * i] = digits[key[i] >> 4];
		text[2 * i + 1] = digits[key[i] & 15];
	}
	memcpy(text + 2 * KEY_SIZE, "\n", 2);
	return text;
}
