/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The control socket's protocol: a client connects to RUN_DIR/control.sock,
 * sends one JSON object on one line, gets one JSON object on one line, and
 * both close. {"result": ...} is success, {"error": "text"} is not.
 *
 * Requests ("verb" is always there):
 *   {"verb":"show","noun":"status|proxies|ports|params|flows|counters"}
 *   {"verb":"show","noun":"flows","ended":true,"limit":N}    without limit: all that are kept
 *   {"verb":"show","noun":"flow","id":N}
 *   {"verb":"explain","client":"ADDRESS" or "ADDRESS:PORT","remote":"ADDRESS:PORT"}
 *   {"verb":"add","address":"ADDRESS","port":N,"trunk":N,"nexthop":BOOL,"params":{"key":"text",...}}
 *   {"verb":"del","address":"ADDRESS","port":N}          without port: the whole proxy
 *   {"verb":"attach","dev":"NAME"}   {"verb":"detach","dev":"NAME"}
 *   {"verb":"drain"}   {"verb":"reload"}
 *   {"verb":"trace","client":"ADDRESS", "ADDRESS:PORT" or "*","remote":"ADDRESS:PORT"}
 *     answered in parts: an object with "event" a line, until the client closes or a result ends it
 */
#ifndef SLUICE_CONTROL_H
#define SLUICE_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

/* Longest request that is read; a longer one is refused. */
#define CONTROL_REQUEST_MAX 65536

/* Requests served at once; further clients wait in the socket's backlog. */
#define CONTROL_CLIENTS_MAX 32

/* ---- client side (user/cli) ---- */

/*
 * Sends request to the socket at path and waits for the answer. On success
 * *result is a new reference and 0 is returned. Otherwise error (size bytes)
 * holds one line for the user (what, why, what to do) and a negative errno is
 * returned: -ENOENT/-ECONNREFUSED no daemon, -EACCES not allowed, -EPROTO bad
 * answer, -EREMOTEIO the daemon refused or failed (its own text).
 */
int control_call(const char *path, const json_t *request, json_t **result, char *error,
		 size_t size);

/*
 * The same, with the result as the JSON text that the daemon has sent, which the
 * caller frees: a list of ten thousand flows takes longer to be understood and
 * written again than to be made.
 */
int control_call_text(const char *path, const json_t *request, char **result, char *error,
		      size_t size);

/*
 * The same for an answer in parts: part is called for each with a borrowed
 * reference, and ends it all by returning false. 0 with *result NULL then.
 */
int control_follow(const char *path, const json_t *request,
		   bool (*part)(const json_t *part, void *context), void *context, json_t **result,
		   char *error, size_t size);

/* ---- server side (user/gateway) ---- */

struct control_server;
struct control_request; /* one request under way; ends with exactly one of the two replies below */

/* Called once for every well-formed request of an allowed peer. message is
 * borrowed and valid until the reply. The reply may be sent later. */
typedef void control_handler(struct control_request *request, const json_t *message, void *context);

/*
 * Listens on path (mode 0666: who may is decided by the peer's credentials, so
 * that others get a clear error; a peer that is not root and not this process's
 * own user is answered {"error":...} before a byte of it is read). A stale socket file is replaced. Owned by
 * the caller until control_server_free(), which also removes the file.
 * 0 or a negative errno.
 */
int control_server_new(sd_event *event, const char *path, control_handler *handler, void *context,
		       struct control_server **server);
void control_server_free(struct control_server *server);

/*
 * The request is answered in parts until one of the replies below ends it. gone is
 * called at most once, when the client is gone: the reply is still owed then.
 */
void control_reply_in_parts(struct control_request *request, void (*gone)(void *context),
			    void *context);

/* Sends a part (stolen). -ENOBUFS when the client is so slow that it is dropped. */
int control_reply_part(struct control_request *request, json_t *part);

/* Ends the request. result is stolen. A client that went away is no error. */
void control_reply_result(struct control_request *request, json_t *result);

/*
 * The same with the result {key: [...]}. item gives a new reference to each of count
 * members in turn, or NULL without memory. No more than one of them is in memory as
 * JSON at a time: of a long list that is most of what it costs.
 */
void control_reply_list(struct control_request *request, const char *key, size_t count,
			json_t *(*item)(size_t index, void *context), void *context);

void control_reply_error(struct control_request *request, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
