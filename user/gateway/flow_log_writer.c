// SPDX-License-Identifier: GPL-2.0
/*
 * The process that writes the flow log, with no privilege but two descriptors.
 * Lines are written whole or not at all: what a full disk has not taken of one
 * is cut off again.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flow_log.h"
#include "log.h"

/* What is written at once: whole lines of at most 4096 bytes. */
#define BATCH_BYTES 65536

static uint64_t count_lines(const char *text, size_t length)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < length; i++)
		lines += text[i] == '\n';
	return lines;
}

/* Cuts off the part of a line at the end of the file. */
static void cut_off(int to, size_t part)
{
	struct stat status;

	if (part && fstat(to, &status) == 0 && S_ISREG(status.st_mode) &&
	    ftruncate(to, status.st_size - (off_t)part) < 0)
		log_error("part of a line stays in the flow log: %m");
}

/* Writes whole lines; those that cannot be are counted. The log hears of it once. */
static void write_lines(int to, const char *text, size_t length, struct log_counters *counters)
{
	static bool told;
	size_t written = 0, whole;

	while (written < length) {
		ssize_t sent = write(to, text + written, length - written);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			break;
		written += (size_t)sent;
	}
	if (written == length) {
		told = false;
		return;
	}
	if (!told)
		log_error("flow log: %m: flows are left out until there is room");
	told = true;
	for (whole = written; whole > 0 && text[whole - 1] != '\n'; whole--)
		;
	cut_off(to, written - whole);
	flow_log_count_dropped(counters, count_lines(text + whole, length - whole));
}

void flow_log_writer_run(int from, int to, struct log_counters *counters)
{
	static char batch[BATCH_BYTES];
	size_t length = 0, whole;

	for (;;) {
		ssize_t got = read(from, batch + length, sizeof(batch) - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return;
		length += (size_t)got;
		for (whole = length; whole > 0 && batch[whole - 1] != '\n'; whole--)
			;
		write_lines(to, batch, whole, counters);
		memmove(batch, batch + whole, length - whole);
		length -= whole;
	}
}
