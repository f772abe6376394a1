/* SPDX-License-Identifier: GPL-2.0 */
/* The verbs of load and what the command line asks of them. */
#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

#include <stdint.h>

struct settings {
	const char *address; /* to connect to */
	uint16_t port;
	const char *congestion; /* congestion control of what this side sends; NULL: the default */
	unsigned connections;
	uint64_t up, down; /* bytes that client and server send, in all or a request */
	double seconds; /* how long; 0: as long as the bytes take */
	double limit; /* seconds after which it is stopped */
	/* of blast */
	const char *device;
	const char *mac; /* of the gateway */
	const char *source;
};

/* All return the exit status, and print one line of JSON. */

/* The server: answers orders until it is ended; prints "ready". */
int serve(const struct settings *settings);

/* Bytes up, down, or both ways at once over connections that begin together. */
int transfer(const struct settings *settings);

/* Requests of up bytes, answers of down bytes, one after the other on every connection. */
int request(const struct settings *settings);

/* Connect, request, answer, close; again and again on so many connections at once. */
int reconnect(const struct settings *settings);

/* Connections that do nothing after one request, until standard input ends. */
int idle(const struct settings *settings);

/* Small TCP segments that belong to no connection, as fast as they go out of a device. */
int blast(const struct settings *settings);

#endif
