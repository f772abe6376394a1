// SPDX-License-Identifier: GPL-2.0
/*
 * What the metrics process answers: the status page, metrics for Prometheus and
 * the page's own JSON; to GET and HEAD, to who may ask. Declared in
 * metrics_server.h.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "address.h"
#include "child.h"
#include "metrics_json.h"
#include "metrics_server.h"
#include "metrics_text.h"

/* A snapshot so young is good enough: who asks more often gets the same again. */
#define FRESH_US 250000ULL

#define CSP_NOTHING "default-src 'none'; frame-ancestors 'none'"

/* ---- answers ---- */

/* Headers that every answer has: nothing of it is to be kept, guessed at, framed
 * or read by pages of others. */
static struct MHD_Response *add_headers(struct MHD_Response *response, const char *type,
					const char *policy)
{
	if (!response)
		return NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "Content-Security-Policy", policy);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
	MHD_add_response_header(response, "Cross-Origin-Opener-Policy", "same-origin");
	return response;
}

/* text is kept by the caller for as long as the process lives. */
static struct MHD_Response *of_literal(const char *text, size_t size)
{
	return MHD_create_response_from_buffer(size, (void *)text, MHD_RESPMEM_PERSISTENT);
}

/* text is freed; NULL: there was no memory for it. */
static struct MHD_Response *of_text(char *text)
{
	return text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE)
		    : NULL;
}

static enum MHD_Result send_and_drop(struct MHD_Connection *connection, unsigned status,
				     struct MHD_Response *response)
{
	enum MHD_Result result = response ? MHD_queue_response(connection, status, response)
					  : MHD_NO;

	if (response)
		MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
	struct MHD_Response *response = add_headers(of_literal(text, strlen(text)),
						    "text/plain; charset=utf-8", CSP_NOTHING);

	if (response && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	return send_and_drop(connection, status, response);
}

static enum MHD_Result send_page(struct metrics_server *server, struct MHD_Connection *connection)
{
	const struct status_page *page = &server->page;

	return send_and_drop(connection, MHD_HTTP_OK,
			     add_headers(of_literal(page->html, page->size),
					 "text/html; charset=utf-8", page->policy));
}

/* Made once for all who ask for the same snapshot. */
static enum MHD_Result send_text(struct metrics_server *server, struct MHD_Connection *connection)
{
	if (!server->text)
		server->text = add_headers(of_text(metrics_text(server->setup.snapshot)),
					   "text/plain; version=0.0.4; charset=utf-8", CSP_NOTHING);
	return server->text ? MHD_queue_response(connection, MHD_HTTP_OK, server->text) : MHD_NO;
}

static enum MHD_Result send_json(struct metrics_server *server, struct MHD_Connection *connection)
{
	if (!server->json)
		server->json = add_headers(of_text(metrics_json(server->setup.snapshot)),
					   "application/json", CSP_NOTHING);
	return server->json ? MHD_queue_response(connection, MHD_HTTP_OK, server->json) : MHD_NO;
}

static const struct {
	const char *url;
	enum MHD_Result (*send)(struct metrics_server *server, struct MHD_Connection *connection);
	bool needs_snapshot;
} places[] = {
	{ "/", send_page, false },
	{ "/metrics", send_text, true },
	{ "/status.json", send_json, true },
};

#define PLACE_COUNT (sizeof(places) / sizeof(places[0]))

/* ---- who may ask ---- */

bool metrics_host_is_ours(const char *host)
{
	bool in_brackets = host[0] == '[';
	const char *start = host + in_brackets;
	size_t length = strcspn(start, in_brackets ? "]" : ":");
	const char *rest = start + length;
	uint8_t address[16];
	char name[64];

	if (in_brackets && *rest++ != ']')
		return false;
	if (length >= sizeof(name) || (*rest != '\0' && *rest != ':'))
		return false;
	memcpy(name, start, length);
	name[length] = '\0';
	return strcasecmp(name, "localhost") == 0 ||
	       (address_parse(name, address) == 0 && address_is_loopback(address));
}

static bool may_ask(const struct metrics_server *server, struct MHD_Connection *connection)
{
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_HOST);

	return server->setup.is_public || !host || metrics_host_is_ours(host);
}

/* ---- requests ---- */

static bool is_fresh(const struct metrics_server *server)
{
	return server->has_snapshot && !server->asked &&
	       child_now_us() < server->setup.snapshot->taken_us + FRESH_US;
}

static bool has_header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name) != NULL;
}

/* The request's headers are there. What is refused now is closed as well. */
static enum MHD_Result begin(struct metrics_server *server, struct MHD_Connection *connection,
			     const char *url, const char *method, void **data)
{
	struct metrics_request *request;
	size_t place = 0;

	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "Only to be looked at.\n");
	if (has_header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH) ||
	    has_header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING))
		return refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE,
			      "There is nothing to send.\n");
	if (!may_ask(server, connection))
		return refuse(connection, MHD_HTTP_FORBIDDEN,
			      "Only by the name localhost or a loopback address, unless the "
			      "gateway's metrics are public.\n");
	while (place < PLACE_COUNT && strcmp(places[place].url, url) != 0)
		place++;
	if (place == PLACE_COUNT)
		return refuse(connection, MHD_HTTP_NOT_FOUND,
			      "Nothing here: try / or /metrics or /status.json\n");
	request = calloc(1, sizeof(*request));
	if (!request)
		return MHD_NO;
	list_init(&request->link);
	request->connection = connection;
	request->place = place;
	*data = request;
	return MHD_YES;
}

/* Puts the request off until the snapshot is there. */
static enum MHD_Result await_snapshot(struct metrics_server *server,
				      struct metrics_request *request)
{
	if (!metrics_server_ask(server))
		return MHD_NO;
	request->has_waited = true;
	list_append(&server->waiting, &request->link);
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

enum MHD_Result metrics_reply(void *context, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **data)
{
	struct metrics_server *server = context;
	struct metrics_request *request = *data;

	(void)version;
	(void)upload;
	(void)upload_size;
	if (!request)
		return begin(server, connection, url, method, data);
	if (!places[request->place].needs_snapshot || is_fresh(server))
		return places[request->place].send(server, connection);
	if (!request->has_waited)
		return await_snapshot(server, request);
	if (server->asked)
		return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
			      "The gateway does not answer.\n");
	return places[request->place].send(server, connection);
}

void metrics_request_done(void *context, struct MHD_Connection *connection, void **data,
			  enum MHD_RequestTerminationCode why)
{
	struct metrics_request *request = *data;

	(void)context;
	(void)connection;
	(void)why;
	if (!request)
		return;
	list_remove(&request->link);
	free(request);
	*data = NULL;
}

void metrics_reply_waiting(struct metrics_server *server)
{
	while (!list_empty(&server->waiting)) {
		struct metrics_request *request = list_entry(server->waiting.next,
							     struct metrics_request, link);

		list_remove(&request->link);
		MHD_resume_connection(request->connection);
	}
}
