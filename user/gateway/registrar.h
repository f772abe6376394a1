/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The registrar process: takes connections of agents, understands what they say
 * and hands main fixed-size requests. It holds the identities' keys, and nothing
 * else: no capability, no file, a few system calls (sandbox.c).
 */
#ifndef SLUICE_REGISTRAR_H
#define SLUICE_REGISTRAR_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "counters.h"
#include "key_file.h"
#include "list.h"
#include "registration.h"

/* Connections at once, in all and from one source: an IPv4 address or an IPv6 /64. */
#define REGISTRAR_CONNECTIONS_MAX 1024
#define REGISTRAR_CONNECTIONS_PER_SOURCE 64

/* What main gives the registrar at birth. Descriptors belong to the registrar. */
struct registrar_setup {
	pid_t main_pid;
	int listener; /* listening, non-blocking */
	int channel; /* to main, SOCK_SEQPACKET */
	uint32_t lease_s;
	const char *user; /* whom to run as */
	const char *root; /* an empty directory, to be the file system */
	size_t identity_count;
	const char (*names)[IDENTITY_NAME_MAX]; /* of the identities, in the policies' order */
	const uint8_t (*keys)[KEY_SIZE]; /* theirs */
	struct registrar_counters *counters; /* shared with main */
};

struct registrar_connection;

struct registrar {
	struct registrar_setup setup;
	SSL_CTX *context;
	int epoll;
	uint64_t now_us; /* CLOCK_MONOTONIC at the start of this turn */
	uint64_t next_sweep_us;
	uint64_t last_connection; /* number given last */
	uint8_t stranger_key[KEY_SIZE]; /* that identities have which there are not */
	struct list connections; /* struct registrar_connection, oldest first */
	struct list ended; /* freed when the turn is over */
	unsigned count; /* connections of both lists */
	bool stopping;
	uint64_t log_after_us; /* no line before */
	unsigned log_suppressed; /* lines since the last one */
};

/* Runs until main tells it to stop or goes away; returns the exit status. */
int registrar_run(const struct registrar_setup *setup);

/* One line at most a second in all, whoever makes us write; with the peer's
 * address and the number of lines left out. */
void registrar_log(struct registrar *registrar, const uint8_t source[16], uint16_t port,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Hands main a request. 0 or a negative errno. */
int registrar_tell_main(const struct registrar *registrar, const struct registrar_request *request);

static inline void registrar_count(__u64 *counter)
{
	/* Read by main while it changes: never torn, order does not matter. */
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* ---- registrar_connection.c ---- */

/* Takes over a descriptor that was just accepted. */
void registrar_connection_new(struct registrar *registrar, int fd, const uint8_t source[16],
			      uint16_t port);

/* Its socket is ready, or it may go on after a pause. */
void registrar_connection_run(struct registrar_connection *connection);

/* main has answered a request. */
void registrar_connection_answer(struct registrar *registrar,
				 const struct registrar_answer *answer);

/* Deadlines and pauses of all connections. */
void registrar_connections_sweep(struct registrar *registrar);

void registrar_connections_free_ended(struct registrar *registrar);

/* OpenSSL's question for the key of an identity. */
int registrar_find_key(SSL *ssl, const unsigned char *identity, size_t length,
		       SSL_SESSION **session);

#endif
