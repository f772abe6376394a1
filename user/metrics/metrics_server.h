/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The metrics process: an HTTP server (libmicrohttpd) for Prometheus and for
 * people's browsers. It holds nothing but the numbers that main lets it see
 * (snapshot.h): no capability, no file, a few system calls. Read-only.
 */
#ifndef SLUICE_METRICS_SERVER_H
#define SLUICE_METRICS_SERVER_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "list.h"
#include "snapshot.h"
#include "status_page.h"

/* Connections at once, in all and from one address. */
#define METRICS_CONNECTIONS_MAX 64
#define METRICS_CONNECTIONS_PER_ADDRESS 16

/* What main gives it at birth. Descriptors belong to the process. */
struct metrics_setup {
	pid_t main_pid;
	int listener; /* listening, non-blocking */
	int channel; /* to main, SOCK_SEQPACKET */
	const char *user; /* whom to run as */
	const char *root; /* an empty directory, to be the file system */
	bool is_public; /* others than this host may ask */
	struct metrics_snapshot *snapshot; /* shared; only main writes it */
};

struct metrics_server {
	struct metrics_setup setup;
	struct MHD_Daemon *http;
	int epoll;
	struct status_page page;
	struct list waiting; /* struct metrics_request, for the snapshot that was asked for */
	bool asked; /* main may be writing the snapshot */
	uint64_t asked_us; /* CLOCK_MONOTONIC */
	bool has_snapshot;
	struct MHD_Response *text; /* of the present snapshot; NULL: not made yet */
	struct MHD_Response *json;
	bool stopping;
};

/* Runs until main tells it to stop or goes away; returns the exit status. */
int metrics_server_run(const struct metrics_setup *setup);

/* ---- metrics_reply.c: what is answered ---- */

/* A request that is to be answered. */
struct metrics_request {
	struct list link; /* in server->waiting, or in none */
	struct MHD_Connection *connection;
	size_t place; /* what is asked for, as metrics_reply.c counts */
	bool has_waited; /* for a snapshot */
};

/* libmicrohttpd's callbacks; context is the server. */
enum MHD_Result metrics_reply(void *context, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **request);
void metrics_request_done(void *context, struct MHD_Connection *connection, void **request,
			  enum MHD_RequestTerminationCode why);

/* The snapshot is there: who waits for it is answered. */
void metrics_reply_waiting(struct metrics_server *server);

/* Whether a browser that was led here by another site's name is turned away:
 * host is what it asks for. For servers that are not public. */
bool metrics_host_is_ours(const char *host);

/* ---- metrics_server.c ---- */

/* Asks main for a snapshot unless it was asked already. False: main is gone. */
bool metrics_server_ask(struct metrics_server *server);

#endif
