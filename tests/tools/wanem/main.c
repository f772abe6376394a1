/* SPDX-License-Identifier: GPL-2.0 */
/*
 * wanem: a WAN link between two network namespaces, for kernels without netem.
 *
 *   namespace a  [wan0] <==== rate, queue, loss, delay ====> [wan0]  namespace b
 *
 * The devices are TUN devices, so the link needs no kernel support besides, and
 * goes with this process.
 */
#include "link.h"
#include "options.h"
#include "report.h"
#include "tun.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Upper bound of a sleep: how long a signal may go unnoticed that came between
 * looking at the flags and falling asleep. */
#define SLEEP_MAX_NS 100000000LL

static volatile sig_atomic_t stop_asked, report_asked;

static void on_signal(int signum)
{
	if (signum == SIGUSR1)
		report_asked = 1;
	else
		stop_asked = 1;
}

static void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
}

/* On a busy machine the link would be milliseconds late without. True when it
 * runs under SCHED_FIFO, which not every container allows. */
static bool be_punctual(void)
{
	const struct sched_param priority = { .sched_priority = 10 };

	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	return sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
}

static int announce(int fd)
{
	static const char line[] = "ready\n";
	ssize_t written = write(fd, line, sizeof(line) - 1);

	if (written < 0) {
		fprintf(stderr, "wanem: writing to file descriptor %d: %s\n", fd, strerror(errno));
		return -errno;
	}
	if (fd != STDOUT_FILENO)
		close(fd);
	return 0;
}

static void sleep_until(int64_t due, const struct link links[2])
{
	struct pollfd ends[2] = {
		{ .fd = links[0].in, .events = POLLIN },
		{ .fd = links[1].in, .events = POLLIN },
	};
	int64_t wait = SLEEP_MAX_NS;
	struct timespec timeout = { 0 };

	if (due != INT64_MAX) {
		int64_t left = due - clock_ns();

		if (left <= 0)
			return;
		if (left < wait)
			wait = left;
	}
	timeout.tv_nsec = wait;
	ppoll(ends, 2, &timeout, NULL);
}

static int carry(struct link links[2], const struct report *report)
{
	while (!stop_asked) {
		int64_t due = INT64_MAX;
		int moved = 0;

		for (unsigned i = 0; i < 2; i++) {
			int64_t next;
			int pulled = link_pull(&links[i]);

			if (pulled < 0) {
				fprintf(stderr, "wanem: reading %s: %s\n", report->tuns[i].device,
					strerror(-pulled));
				return pulled;
			}
			moved += pulled + link_deliver(&links[i], &next);
			if (next < due)
				due = next;
		}
		if (report_asked) {
			report_asked = 0;
			report_print(report);
		}
		if (!moved)
			sleep_until(due, links);
	}
	return 0;
}

static int run(const struct options *options, struct tun tuns[2], struct link links[2])
{
	struct report report = { .links = links, .tuns = tuns };
	int error = 0;

	for (unsigned i = 0; i < 2 && !error; i++)
		error = tun_open(&tuns[i], &options->ends[i]);
	for (unsigned i = 0; i < 2 && !error; i++) {
		error = link_init(&links[i], tuns[i].fd, tuns[!i].fd, &options->directions[i]);
		if (error)
			fprintf(stderr, "wanem: no memory for what the link holds: %s\n",
				strerror(-error));
	}
	if (error)
		return 1;

	catch_signals();
	report.realtime = be_punctual();
	report.started = clock_ns();
	for (unsigned i = 0; i < 2; i++)
		link_start(&links[i], report.started);
	if (announce(options->ready_fd) < 0 || carry(links, &report) < 0)
		return 1;
	report_print(&report);
	return report_is_faithful(&report) ? 0 : 3;
}

int main(int argc, char **argv)
{
	struct tun tuns[2] = { { .fd = -1 }, { .fd = -1 } };
	struct link links[2] = { 0 };
	struct options options;
	int status;

	status = options_parse(&options, argc, argv);
	if (status) {
		script_destroy(&options.script);
		return status - 1;
	}
	status = run(&options, tuns, links);
	for (unsigned i = 0; i < 2; i++) {
		link_destroy(&links[i]);
		tun_close(&tuns[i]);
	}
	script_destroy(&options.script);
	return status;
}
