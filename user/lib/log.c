/* SPDX-License-Identifier: GPL-2.0 */
/* One line per message on standard error, whole even when several processes write at once. */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longest line; no longer than PIPE_BUF, so that a pipe takes it whole. */
#define LOG_LINE_MAX 2048

static char log_name[64] = "sluice";
static enum log_level log_limit = LOG_LEVEL_INFO;
static bool log_to_journal;

/* systemd names the device and inode of its stream; standard error may have
 * been redirected elsewhere since. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat status;

	return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

void log_open(const char *name, enum log_level level)
{
	snprintf(log_name, sizeof(log_name), "%s", name);
	log_limit = level;
	log_to_journal = stderr_is_journal();
}

bool log_enabled(enum log_level level)
{
	return level <= log_limit;
}

bool log_has_room(void)
{
	struct pollfd standard_error = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&standard_error, 1, 0) > 0 && standard_error.revents & POLLOUT;
}

/* Text from outside must not be able to begin a line of its own or to send
 * escape sequences to a terminal. */
static void replace_control_characters(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n' || *text == '\t')
			*text = ' ';
		else if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	int saved_errno = errno;
	size_t room, length = 0;
	int written;
	va_list arguments;

	if (!log_enabled(level))
		return;
	if (log_to_journal)
		length = (size_t)snprintf(line, sizeof(line), "<%d>", (int)level);
	length += (size_t)snprintf(line + length, sizeof(line) - length, "%s: ", log_name);
	room = sizeof(line) - 1 - length;
	errno = saved_errno; /* for %m */
	va_start(arguments, format);
	written = vsnprintf(line + length, room, format, arguments);
	va_end(arguments);
	replace_control_characters(line + length);
	if (written >= (int)room)
		memcpy(line + length + room - 4, "...", 4);
	length += strlen(line + length);
	line[length++] = '\n';
	/* A log that cannot be written is no reason to fail. */
	if (write(STDERR_FILENO, line, length) < 0)
		errno = saved_errno;
	errno = saved_errno;
}
