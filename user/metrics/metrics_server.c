// SPDX-License-Identifier: GPL-2.0
/* The metrics process's loop; see metrics_server.h. */
#include "metrics_server.h"

#include <errno.h>
#include <jansson.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "log.h"
#include "sandbox.h"

/* Who does not get on with a request is closed. */
#define CONNECTION_TIMEOUT_S 10U

/* A request line and headers, of which we want little. */
#define CONNECTION_MEMORY 16384U

/* Connections, and what a process has besides. */
#define DESCRIPTORS_MAX (METRICS_CONNECTIONS_MAX + 32)

/* Two answers of some MiB, and what they are made of. */
#define MEMORY_MAX (256UL << 20)

/* How long main may take for a snapshot before who waits is told so. */
#define ANSWER_US 3000000ULL

/* What libmicrohttpd calls besides. */
static const int calls[] = { SCMP_SYS(setsockopt), SCMP_SYS(writev), SCMP_SYS(getpeername),
			     SCMP_SYS(getsockname), SCMP_SYS(fcntl) };

static int tell_main(const struct metrics_server *server, uint32_t word)
{
	return send(server->setup.channel, &word, sizeof(word), MSG_DONTWAIT | MSG_NOSIGNAL) < 0
		       ? -errno
		       : 0;
}

static void drop_answers(struct metrics_server *server)
{
	if (server->text)
		MHD_destroy_response(server->text);
	if (server->json)
		MHD_destroy_response(server->json);
	server->text = server->json = NULL;
}

bool metrics_server_ask(struct metrics_server *server)
{
	if (server->asked)
		return true;
	if (tell_main(server, METRICS_ASK))
		return false;
	drop_answers(server);
	server->asked = true;
	server->asked_us = child_now_us();
	return true;
}

static void read_channel(struct metrics_server *server)
{
	uint32_t word;
	ssize_t length = recv(server->setup.channel, &word, sizeof(word), MSG_DONTWAIT);

	if (length < 0 && errno == EAGAIN)
		return;
	if (length != sizeof(word)) {
		server->stopping = true; /* main has closed the channel, or is gone */
		return;
	}
	server->asked = false;
	server->has_snapshot = true;
	metrics_reply_waiting(server);
}

/* -1: nothing to wait for but events. */
static int turn_timeout(const struct metrics_server *server)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (!list_empty(&server->waiting))
		return 100;
	if (MHD_get_timeout(server->http, &ms) != MHD_YES)
		return -1;
	return ms > 10000 ? 10000 : (int)ms;
}

static void turn(struct metrics_server *server)
{
	struct epoll_event events[2];
	int count = epoll_wait(server->epoll, events, 2, turn_timeout(server));

	for (int i = 0; i < count; i++)
		if (events[i].data.ptr == &server->setup.channel)
			read_channel(server);
	if (!list_empty(&server->waiting) && child_now_us() >= server->asked_us + ANSWER_US)
		metrics_reply_waiting(server); /* without a snapshot, it must be */
	MHD_run(server->http);
}

static int watch(struct metrics_server *server, int fd, void *what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };

	return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* What libmicrohttpd complains about is what strangers do. */
static void log_http(void *context, const char *format, va_list arguments)
{
	char text[200];

	(void)context;
	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	vsnprintf(text, sizeof(text), format, arguments);
	text[strcspn(text, "\n")] = '\0';
	log_debug("%s", text);
}

static struct MHD_Daemon *start_http(struct metrics_server *server)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
				NULL, NULL, metrics_reply, server, MHD_OPTION_EXTERNAL_LOGGER,
				log_http, NULL, MHD_OPTION_LISTEN_SOCKET, server->setup.listener,
				MHD_OPTION_CONNECTION_LIMIT, METRICS_CONNECTIONS_MAX,
				MHD_OPTION_PER_IP_CONNECTION_LIMIT, METRICS_CONNECTIONS_PER_ADDRESS,
				MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_TIMEOUT_S,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
				MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
				metrics_request_done, server, MHD_OPTION_END);
}

/* Everything that needs files, or memory that the sandbox would not give. */
static int start(struct metrics_server *server)
{
	const union MHD_DaemonInfo *info;
	int result;

	list_init(&server->waiting);
	json_object_seed(0); /* reads /dev/urandom when first asked */
	tzset(); /* looks for a file the first time */
	result = status_page_init(&server->page);
	if (result)
		return result;
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (server->epoll < 0)
		return -errno;
	server->http = start_http(server);
	info = server->http ? MHD_get_daemon_info(server->http, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info)
		return -ENOTSUP;
	result = watch(server, info->epoll_fd, server->http);
	return result ?: watch(server, server->setup.channel, &server->setup.channel);
}

static int shut_in(const struct metrics_setup *setup)
{
	const struct sandbox sandbox = { .name = "metrics",
					 .user = setup->user,
					 .root = setup->root,
					 .main_pid = setup->main_pid,
					 .shared = setup->snapshot,
					 .descriptors = DESCRIPTORS_MAX,
					 .memory = MEMORY_MAX,
					 .calls = calls,
					 .call_count = sizeof(calls) / sizeof(calls[0]) };
	int result = sandbox_enter(&sandbox);

	if (!result && mprotect(setup->snapshot, sizeof(*setup->snapshot), PROT_READ) < 0)
		result = -errno;
	return result;
}

int metrics_server_run(const struct metrics_setup *setup)
{
	struct metrics_server *server = calloc(1, sizeof(*server));
	int result;

	if (!server)
		return EXIT_FAILURE;
	server->setup = *setup;
	result = start(server);
	if (result) {
		log_error("metrics cannot start: %s", strerror(-result));
		return EXIT_FAILURE;
	}
	if (shut_in(setup))
		return EXIT_FAILURE;
	tell_main(server, METRICS_READY);
	while (!server->stopping)
		turn(server);
	return EXIT_SUCCESS;
}
