/* SPDX-License-Identifier: GPL-2.0 */
/*
 * main's side of a child that serves the network from a sandbox: registrar
 * (registrar_process.c) and metrics (metrics_process.c). Its listening socket,
 * its start, restart and end, and the channel between the two.
 */
#ifndef SLUICE_SERVICE_H
#define SLUICE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define SERVICE_ERROR_MAX 160

struct service;

/* What each service does in its own way. */
struct service_type {
	const char *name; /* "registrar": in logs, and of the process */
	const char *lost; /* what goes with one that dies, for the log */
	size_t message_max; /* bytes of the longest message that a child sends */
	/* Forks the child, which gets both descriptors; its number, or a negative errno. */
	pid_t (*fork)(void *context, int listener, int channel);
	/* A message of the child. NULL, or why it is killed: it does what ours would not. */
	const char *(*message)(struct service *service, void *context, const void *message,
			       size_t length);
	/* The child is gone, or is being stopped. */
	void (*gone)(void *context);
};

/* event is borrowed, type and context must outlive the service. 0 or -ENOMEM. */
int service_new(sd_event *event, const struct service_type *type, void *context,
		struct service **service);

/* Tells the child to stop, waits for it, and frees everything. */
void service_free(struct service *service);

/* Opens the listening socket for an address (network byte order, v4-mapped) and
 * port (0: none is wanted), unless it is open already; it is used from the next
 * service_apply() on. 0, or a negative errno with error (SERVICE_ERROR_MAX
 * bytes) set: nothing has changed then. */
int service_listen(struct service *service, const uint8_t address[16], uint16_t port, char *error);

/* Closes what service_listen() has opened and service_apply() will not use. */
void service_listen_cancel(struct service *service);

/* Starts, stops or restarts the child as the last service_listen() wants it. One
 * that runs stays when nothing but that could have changed and did not: `same`. */
void service_apply(struct service *service, bool same);

/* The child has said that it serves. */
void service_serves(struct service *service);

/* Sends the child a message. 0 or a negative errno. */
int service_send(const struct service *service, const void *message, size_t length);

/* Whether messages of the child are read; it waits meanwhile. */
void service_hear(struct service *service, bool hear);

struct service_report {
	pid_t pid; /* 0 when there is none */
	const char *state; /* "off", "dead", "starting" or "serving" */
	unsigned restarts;
};
struct service_report service_report(const struct service *service);

#endif
