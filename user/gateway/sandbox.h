/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shutting in a child that talks to strangers (registrar, metrics): another
 * user, no capability, an empty root, limits, and the system calls that serving
 * takes; any other one kills it.
 */
#ifndef SLUICE_SANDBOX_H
#define SLUICE_SANDBOX_H

#include <stddef.h>
#include <sys/types.h>

struct sandbox {
	const char *name; /* of the child, for the log */
	const char *user; /* whom to run as */
	const char *root; /* an empty directory, to be the file system */
	pid_t main_pid;
	const void *shared; /* the one mapping that it shares with main and keeps */
	size_t descriptors; /* limits: how many there may be at once, */
	size_t memory; /* bytes of address space besides what main has, which grows with its tables */
	const int *calls; /* system calls besides those of every child (SCMP_SYS) */
	size_t call_count;
};

/* Gives up everything that is not needed for serving. 0, or a negative errno
 * after a line in the log; then the child must not go on. */
int sandbox_enter(const struct sandbox *sandbox);

#endif
