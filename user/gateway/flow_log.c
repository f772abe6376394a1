// SPDX-License-Identifier: GPL-2.0
/* main's end of the flow log; see flow_log.h. */
#include "flow_log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "log.h"
#include "privileges.h"

/* What may wait for the disk: about a thousand lines. */
#define PIPE_BYTES_WANTED (1 << 20)

/* Lines are written whole, as the pipe takes no more than this in one piece. */
#define LINE_MAX_BYTES 4096

/* How long the writer may take for its last lines. */
#define STOP_TIMEOUT_US 3000000ULL

struct flow_log {
	char *path; /* owned */
	int pipe; /* to the writer; -1: it has ended */
	pid_t writer;
	sd_event_source *source; /* its end */
	bool retired; /* is to end, and to be freed then */
};

static int on_writer_end(sd_event_source *source, const siginfo_t *info, void *context)
{
	struct flow_log *flow_log = context;

	(void)source;
	if (flow_log->retired) {
		flow_log->writer = 0;
		flow_log_close(flow_log);
		return 0;
	}
	log_error("flow log's writer (pid %d) %s %d: no flows are written to %s until a reload",
		  (int)flow_log->writer,
		  info->si_code == CLD_EXITED ? "exited with status" : "was killed by signal",
		  info->si_status, flow_log->path);
	close(flow_log->pipe);
	flow_log->pipe = -1;
	flow_log->writer = 0;
	return 0;
}

static _Noreturn void run_child(int from, int to, const char *user, struct log_counters *counters)
{
	int keep[] = { from, to };
	char error[160];

	child_begin(keep, sizeof(keep) / sizeof(keep[0]), "sluiced flow log");
	/* It ends when main closes the pipe, or is gone: not before it has written all. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (child_unmap_shared(counters) || privileges_drop(user, NULL, 0, error, sizeof(error)))
		_exit(EXIT_FAILURE);
	flow_log_writer_run(from, to, counters);
	_exit(EXIT_SUCCESS);
}

static int start_writer(struct flow_log *flow_log, int file, const char *user,
			struct log_counters *counters)
{
	int ends[2], result = 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES_WANTED);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	flow_log->writer = fork();
	if (flow_log->writer == 0)
		run_child(ends[0], file, user, counters);
	if (flow_log->writer < 0)
		result = -errno;
	close(ends[0]);
	if (result) {
		flow_log->writer = 0;
		close(ends[1]);
		return result;
	}
	flow_log->pipe = ends[1];
	return 0;
}

int flow_log_open(const char *path, sd_event *event, const char *user,
		  struct log_counters *counters, struct flow_log **flow_log, char *error,
		  size_t size)
{
	struct flow_log *new = calloc(1, sizeof(*new));
	int result = -ENOMEM, file;

	*flow_log = NULL;
	file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0640);
	if (file < 0) {
		result = -errno;
		snprintf(error, size,
			 "flow-log: %.200s: %s: its directory must be there, and "
			 "root's",
			 path, strerror(-result));
		free(new);
		return result;
	}
	if (new)
		new->path = strdup(path);
	if (new &&new->path) {
		new->pipe = -1;
		result = start_writer(new, file, user, counters);
	}
	close(file);
	if (!result)
		result = sd_event_add_child(event, &new->source, new->writer, WEXITED,
					    on_writer_end, new);
	if (result >= 0) {
		*flow_log = new;
		return 0;
	}
	snprintf(error, size, "flow-log: its writer cannot be started: %s", strerror(-result));
	flow_log_close(new);
	return result;
}

void flow_log_close(struct flow_log *flow_log)
{
	if (!flow_log)
		return;
	sd_event_source_disable_unref(flow_log->source);
	if (flow_log->pipe >= 0)
		close(flow_log->pipe);
	if (flow_log->writer)
		child_reap("flow log's writer", flow_log->writer, child_now_us() + STOP_TIMEOUT_US);
	free(flow_log->path);
	free(flow_log);
}

void flow_log_retire(struct flow_log *flow_log)
{
	if (!flow_log)
		return;
	if (flow_log->writer == 0) {
		flow_log_close(flow_log);
		return;
	}
	flow_log->retired = true;
	close(flow_log->pipe);
	flow_log->pipe = -1;
}

int flow_log_write(struct flow_log *flow_log, const char *line)
{
	struct iovec parts[] = { { .iov_base = (void *)line, .iov_len = strlen(line) },
				 { .iov_base = "\n", .iov_len = 1 } };

	if (flow_log->pipe < 0)
		return -EPIPE;
	if (parts[0].iov_len + 1 > LINE_MAX_BYTES)
		return -EMSGSIZE;
	return writev(flow_log->pipe, parts, 2) < 0 ? -errno : 0;
}

void flow_log_count_dropped(struct log_counters *counters, uint64_t lines)
{
	__atomic_add_fetch(&counters->flow_log_dropped, lines, __ATOMIC_RELAXED);
}
