/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Giving up what a process of sluiced does not need (libcap-ng): main keeps
 * user 0 and a few capabilities, registrar and relays change the user as well.
 */
#ifndef SLUICE_PRIVILEGES_H
#define SLUICE_PRIVILEGES_H

#include <stddef.h>

/* All return 0, or a negative errno with one line in error (size bytes). After
 * an error the process may be half way down: it must not go on. For processes
 * with one thread: capabilities are a thread's own. Where CAP_BPF or
 * CAP_PERFMON is not there, CAP_SYS_ADMIN is taken for it. */

/* Checks that all capabilities are there that main needs to start the gateway;
 * -EPERM names those that are missing. Changes nothing. */
int privileges_check(char *error, size_t size);

/*
 * Keeps the user and exactly these capabilities, permitted and effective.
 * Nothing can be won back: the inheritable, ambient and bounding sets are
 * empty, and so is what a program executed later gets (no_new_privs).
 */
int privileges_keep(const int *capabilities, size_t count, char *error, size_t size);

/* The same, as the user of that name with its primary group alone. After
 * privileges_keep() with CAP_SETUID and CAP_SETGID this still works. CAP_SETPCAP,
 * of no use to a process with empty sets, cannot be kept. */
int privileges_drop(const char *user, const int *capabilities, size_t count, char *error,
		    size_t size);

/* As privileges_drop() with no capability left, and with the directory root as
 * the whole file system. */
int privileges_confine(const char *user, const char *root, char *error, size_t size);

#endif
