/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all processes that main forks have in common, relays and registrar: how
 * they begin, that they end with main, how main restarts and ends them.
 */
#ifndef SLUICE_CHILD_H
#define SLUICE_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* CLOCK_MONOTONIC. */
uint64_t child_now_us(void);

/* ---- in the child ---- */

/* The first thing after fork: closes all descriptors but the standard ones and
 * keep[] (-1: none; sorted here), above all the links that attach the program,
 * which must go when main goes; takes all signals again; opens the log under name. */
void child_begin(int *keep, size_t count, const char *name);

/* Takes away what main shares with relays and BPF programs: all writable shared
 * memory but the one at keep. For a child that has no part in it. 0 or a negative errno. */
int child_unmap_shared(const void *keep);

/*
 * A child ends by its channel alone, so that it never ends before what it owns
 * was dealt with; and never outlives main, which answers for what it does.
 * After the change of user: the kernel forgets this then. False: main is gone.
 */
bool child_bind_to_main(pid_t main_pid);

/* ---- in main ---- */

/* All zero: never started. */
struct child_restarts {
	uint64_t started_us; /* the present or last process */
	uint64_t delay_us; /* that the next restart waits */
	unsigned count;
};

/* How long to wait before the next start: ever longer for one that dies young. */
uint64_t child_restart_delay(struct child_restarts *restarts);

/* Says in the log how a child ended. what is its name there, lost what goes with it. */
void child_log_death(const char *what, pid_t pid, const siginfo_t *info, const char *lost);

/* Waits for a child that was told to stop, then makes sure of it. */
void child_reap(const char *what, pid_t pid, uint64_t deadline_us);

#endif
