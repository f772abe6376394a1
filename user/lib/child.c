// SPDX-License-Identifier: GPL-2.0
/* See child.h. */
#include "child.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

/* A child that dies young is restarted ever more slowly, between these. */
#define RESTART_MIN_US (10 * 1000ULL)
#define RESTART_MAX_US (5 * 1000000ULL)
#define YOUNG_US (10 * 1000000ULL)

uint64_t child_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000ULL + (uint64_t)now.tv_nsec / 1000;
}

static int compare_descriptors(const void *one, const void *other)
{
	return *(const int *)one - *(const int *)other;
}

static void close_others(int *keep, size_t count)
{
	int last = STDERR_FILENO;

	qsort(keep, count, sizeof(keep[0]), compare_descriptors);
	for (size_t i = 0; i < count; i++) {
		if (keep[i] <= last)
			continue;
		if (last + 1 < keep[i])
			close_range((unsigned)last + 1, (unsigned)keep[i] - 1, 0);
		last = keep[i];
	}
	close_range((unsigned)last + 1, ~0U, 0);
}

void child_begin(int *keep, size_t count, const char *name)
{
	sigset_t none;

	close_others(keep, count);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	log_open(name, log_enabled(LOG_LEVEL_DEBUG) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
}

int child_unmap_shared(const void *keep)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], access[8];
	uintptr_t start, end;
	int result = 0;

	if (!maps)
		return -errno;
	while (!result && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &start, &end, access) != 3 ||
		    strcmp(access, "rw-s") != 0 || start == (uintptr_t)keep)
			continue;
		if (munmap((void *)start, end - start) < 0)
			result = -errno;
	}
	fclose(maps);
	return result;
}

bool child_bind_to_main(pid_t main_pid)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == main_pid;
}

uint64_t child_restart_delay(struct child_restarts *restarts)
{
	if (child_now_us() - restarts->started_us < YOUNG_US)
		restarts->delay_us = restarts->delay_us * 2 ?: RESTART_MIN_US;
	else
		restarts->delay_us = RESTART_MIN_US;
	if (restarts->delay_us > RESTART_MAX_US)
		restarts->delay_us = RESTART_MAX_US;
	return restarts->delay_us;
}

void child_log_death(const char *what, pid_t pid, const siginfo_t *info, const char *lost)
{
	if (info->si_code == CLD_EXITED)
		log_error("%s (pid %d) exited with status %d, %s; restarting", what, (int)pid,
			  info->si_status, lost);
	else
		log_error("%s (pid %d) was killed by signal %d, %s; restarting", what, (int)pid,
			  info->si_status, lost);
}

void child_reap(const char *what, pid_t pid, uint64_t deadline_us)
{
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		static const struct timespec pause = { .tv_nsec = 2000000 };

		if (child_now_us() >= deadline_us) {
			log_warning("%s does not stop, killing it", what);
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			return;
		}
		nanosleep(&pause, NULL);
	}
}
