/* SPDX-License-Identifier: GPL-2.0 */
/* See socket_owner.h: the kernel's list of sockets gives an inode, /proc who has it. */
#include "socket_owner.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"

#define STATE_LISTEN 0x0a

/* An address of /proc's tables: words of 8 hexadecimal digits, in the host's byte order. */
static void parse_local(const char *text, uint8_t address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	size_t words = strlen(text) / 8;
	char digits[9] = "";
	uint32_t word;

	memcpy(address, mapped, sizeof(mapped));
	for (size_t i = 0; i < words; i++) {
		memcpy(digits, text + 8 * i, 8);
		word = (uint32_t)strtoul(digits, NULL, 16);
		memcpy(address + (words == 1 ? 12 : 4 * i), &word, sizeof(word));
	}
}

static bool is_any(const uint8_t address[16])
{
	static const uint8_t none[16];

	return memcmp(address, none, 16) == 0 ||
	       (address_is_ipv4(address) && memcmp(address + 12, none, 4) == 0);
}

/* The inode of a listener, in one of /proc's tables of sockets, that is in the way of
 * one at this address and port, or 0. */
static unsigned long listener_inode(const char *path, const uint8_t address[16], uint16_t port)
{
	FILE *table = fopen(path, "re");
	char line[512], local[33];
	unsigned local_port, state;
	unsigned long inode, found = 0;
	uint8_t theirs[16];

	while (table && !found && fgets(line, sizeof(line), table)) {
		if (sscanf(line, " %*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*d %*d %lu",
			   local, &local_port, &state, &inode) != 4 ||
		    local_port != port || state != STATE_LISTEN)
			continue;
		parse_local(local, theirs);
		if (is_any(address) || is_any(theirs) || memcmp(address, theirs, 16) == 0)
			found = inode;
	}
	if (table)
		fclose(table);
	return found;
}

static bool has_socket(const char *pid, const char *wanted)
{
	char path[300], target[64];
	bool found = false;
	struct dirent *entry;
	ssize_t length;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	directory = opendir(path);
	while (directory && !found && (entry = readdir(directory))) {
		length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		found = strcmp(target, wanted) == 0;
	}
	if (directory)
		closedir(directory);
	return found;
}

static void read_name(const char *pid, char *name, size_t size)
{
	char path[300];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (!file || !fgets(name, (int)size, file))
		snprintf(name, size, "a process");
	name[strcspn(name, "\n")] = '\0';
	if (file)
		fclose(file);
}

pid_t socket_owner(const uint8_t address[16], uint16_t port, char *name, size_t size)
{
	unsigned long inode = listener_inode("/proc/net/tcp", address, port)
				      ?: listener_inode("/proc/net/tcp6", address, port);
	DIR *processes = inode ? opendir("/proc") : NULL;
	struct dirent *entry;
	char wanted[64];
	pid_t owner = 0;

	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	while (processes && !owner && (entry = readdir(processes))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    !has_socket(entry->d_name, wanted))
			continue;
		owner = (pid_t)strtol(entry->d_name, NULL, 10);
		read_name(entry->d_name, name, size);
	}
	if (processes)
		closedir(processes);
	return owner;
}
