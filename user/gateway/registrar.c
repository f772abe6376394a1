// SPDX-License-Identifier: GPL-2.0
/* The registrar's loop; see registrar.h. */
#include "registrar.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "child.h"
#include "log.h"
#include "sandbox.h"
#include "tls_psk.h"

/* How late a deadline may be noticed. */
#define SWEEP_US 100000ULL
#define EVENTS_PER_TURN 64
#define ACCEPTS_PER_TURN 64
#define ANSWERS_PER_TURN 64
#define LOG_PAUSE_US 1000000ULL

/* Connections, and what a process has besides. */
#define DESCRIPTORS_MAX (REGISTRAR_CONNECTIONS_MAX + 64)

/* Far more than all connections take: 1024 handshakes of at most 160 KiB. */
#define MEMORY_MAX (512UL << 20)

void registrar_log(struct registrar *registrar, const uint8_t source[16], uint16_t port,
		   const char *format, ...)
{
	char endpoint[ENDPOINT_TEXT_MAX], text[256], suppressed[64] = "";
	va_list arguments;

	if (registrar->now_us < registrar->log_after_us) {
		registrar->log_suppressed++;
		return;
	}
	if (registrar->log_suppressed)
		snprintf(suppressed, sizeof(suppressed), " (and %u more lines)",
			 registrar->log_suppressed);
	registrar->log_suppressed = 0;
	registrar->log_after_us = registrar->now_us + LOG_PAUSE_US;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_info("%s: %s%s", endpoint_format(source, port, endpoint), text, suppressed);
}

int registrar_tell_main(const struct registrar *registrar, const struct registrar_request *request)
{
	if (send(registrar->setup.channel, request, sizeof(*request), MSG_DONTWAIT | MSG_NOSIGNAL) <
	    0)
		return -errno;
	return 0;
}

static void accept_some(struct registrar *registrar)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		uint8_t source[16];
		uint16_t port;
		int fd = accept4(registrar->setup.listener, (struct sockaddr *)&peer, &length,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		if (endpoint_from_sockaddr(&peer, source, &port) < 0)
			close(fd);
		else
			registrar_connection_new(registrar, fd, source, port);
	}
}

static void read_channel(struct registrar *registrar)
{
	struct registrar_answer answer;

	for (int i = 0; i < ANSWERS_PER_TURN; i++) {
		ssize_t length = recv(registrar->setup.channel, &answer, sizeof(answer),
				      MSG_DONTWAIT);

		if (length < 0 && errno == EAGAIN)
			return;
		if (length != sizeof(answer)) {
			registrar->stopping = true; /* main has closed the channel, or is gone */
			return;
		}
		registrar_connection_answer(registrar, &answer);
	}
}

static void turn(struct registrar *registrar)
{
	struct epoll_event events[EVENTS_PER_TURN];
	int count = epoll_wait(registrar->epoll, events, EVENTS_PER_TURN, SWEEP_US / 1000);

	registrar->now_us = child_now_us();
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == &registrar->setup.listener)
			accept_some(registrar);
		else if (events[i].data.ptr == &registrar->setup.channel)
			read_channel(registrar);
		else
			registrar_connection_run(events[i].data.ptr);
	}
	if (registrar->now_us >= registrar->next_sweep_us) {
		registrar->next_sweep_us = registrar->now_us + SWEEP_US;
		registrar_connections_sweep(registrar);
	}
	registrar_connections_free_ended(registrar);
}

static int watch(struct registrar *registrar, int *fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = fd };

	return epoll_ctl(registrar->epoll, EPOLL_CTL_ADD, *fd, &event) < 0 ? -errno : 0;
}

/* Everything that needs files, or memory that the sandbox would not give. */
static int start(struct registrar *registrar)
{
	int result;

	list_init(&registrar->connections);
	list_init(&registrar->ended);
	json_object_seed(0); /* reads /dev/urandom when first asked */
	registrar->context = tls_psk_context(TLS_server_method());
	if (!registrar->context || RAND_bytes(registrar->stranger_key, KEY_SIZE) != 1)
		return -ENOTSUP;
	SSL_CTX_set_psk_find_session_callback(registrar->context, registrar_find_key);
	registrar->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (registrar->epoll < 0)
		return -errno;
	result = watch(registrar, &registrar->setup.listener);
	return result ?: watch(registrar, &registrar->setup.channel);
}

static int shut_in(const struct registrar_setup *setup)
{
	const struct sandbox sandbox = { .name = "registrar",
					 .user = setup->user,
					 .root = setup->root,
					 .main_pid = setup->main_pid,
					 .shared = setup->counters,
					 .descriptors = DESCRIPTORS_MAX,
					 .memory = MEMORY_MAX };

	return sandbox_enter(&sandbox);
}

int registrar_run(const struct registrar_setup *setup)
{
	struct registrar_request ready = { .type = REGISTRAR_READY };
	struct registrar *registrar = calloc(1, sizeof(*registrar));
	int result;

	if (!registrar)
		return EXIT_FAILURE;
	registrar->setup = *setup;
	result = start(registrar);
	if (result) {
		log_error("registrar cannot start: %s", strerror(-result));
		return EXIT_FAILURE;
	}
	if (shut_in(setup))
		return EXIT_FAILURE;
	registrar_tell_main(registrar, &ready);
	while (!registrar->stopping)
		turn(registrar);
	return EXIT_SUCCESS;
}
