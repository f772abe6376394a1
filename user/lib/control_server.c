/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The daemon's side of the control socket: accepts, checks who asks, reads one
 * request, hands it to the handler and writes the answer, never blocking the
 * event loop. user/lib/control_client.c asks; user/lib/control_socket.c makes
 * the listening socket.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "control_socket.h"

/* A client has so long for its whole request, and for each step of taking its answer. */
#define CLIENT_PATIENCE_US (5 * 1000000ULL)

/* At most so much of an answer is written in one turn of the loop. */
#define WRITE_CHUNK 262144

/* At most so much of an answer waits in the kernel. On a busy machine each time that
 * the client has to run before more can be written costs a turn of the scheduler. */
#define SOCKET_BUFFER_MAX (8 << 20)

/* Bytes of parts that wait for a client; further parts are dropped. */
#define PARTS_MAX 262144

/* Connections taken per interval. Anybody may connect, if only to be refused:
 * this bounds what that costs, and what a failing accept(2) costs. */
#define ACCEPT_INTERVAL_US 100000
#define ACCEPT_BURST 100

static const char no_memory[] = "no memory for the answer, try again later";

struct control_server {
	struct control_socket *socket; /* owned */
	sd_event_source *listener; /* off while CONTROL_CLIENTS_MAX requests are under way */
	sd_event *event; /* a reference */
	control_handler *handler;
	void *context; /* handler's */
	unsigned count; /* members of requests */
	LIST_HEAD(, control_request) requests;
};

/*
 * One client and its request. It reads until message is there, waits until
 * answer is there, and writes that. Waiting is the handler's time: the client
 * may go away (fd is -1 then), and so may the server (server is NULL then).
 */
struct control_request {
	struct control_server *server;
	LIST_ENTRY(control_request) link; /* in server->requests */
	int fd;
	sd_event_source *io; /* NULL with fd -1 */
	sd_event_source *deadline; /* NULL with fd -1; off while waiting */
	json_t *message; /* owned; given up when the answer is there */
	void (*gone)(void *context); /* answered in parts: the client is gone; NULL otherwise */
	void *gone_context;
	char *answer; /* owned; lines with their newlines */
	size_t answer_len; /* bytes */
	size_t answer_sent; /* bytes of these */
	size_t received; /* bytes of line in use */
	char line[CONTROL_REQUEST_MAX];
};

static void request_hang_up(struct control_request *request)
{
	request->io = sd_event_source_disable_unref(request->io);
	request->deadline = sd_event_source_disable_unref(request->deadline);
	if (request->fd != -1)
		close(request->fd);
	request->fd = -1;
}

static void request_free(struct control_request *request)
{
	struct control_server *server = request->server;

	if (server) {
		LIST_REMOVE(request, link);
		server->count--;
		sd_event_source_set_enabled(server->listener, SD_EVENT_ON);
	}
	request_hang_up(request);
	json_decref(request->message);
	free(request->answer);
	free(request);
}

/* The client does not take its answer. Whoever answers in parts is told, and ends
 * the request with the reply that is still owed. */
static void request_lose(struct control_request *request)
{
	void (*gone)(void *context) = request->gone;

	if (!gone) {
		request_free(request);
		return;
	}
	request->gone = NULL;
	request_hang_up(request);
	gone(request->gone_context);
}

static int request_rearm(struct control_request *request)
{
	int r = sd_event_source_set_time_relative(request->deadline, CLIENT_PATIENCE_US);

	return r < 0 ? r : sd_event_source_set_enabled(request->deadline, SD_EVENT_ONESHOT);
}

/* All parts so far are written: the next one is waited for, or the hang-up. */
static void request_idle(struct control_request *request)
{
	free(request->answer);
	request->answer = NULL;
	request->answer_len = request->answer_sent = 0;
	if (sd_event_source_set_io_events(request->io, 0) < 0 ||
	    sd_event_source_set_enabled(request->deadline, SD_EVENT_OFF) < 0)
		request_lose(request);
}

static void request_write(struct control_request *request)
{
	size_t left = request->answer_len - request->answer_sent;
	ssize_t n = send(request->fd, request->answer + request->answer_sent,
			 left < WRITE_CHUNK ? left : WRITE_CHUNK, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		request->answer_sent += (size_t)n;
	if (n == -1)
		request_lose(request);
	else if (request->answer_sent == request->answer_len && request->gone)
		request_idle(request);
	else if (request->answer_sent == request->answer_len)
		request_free(request);
	else if (request_rearm(request) < 0)
		request_lose(request);
}

/* Adds a line to what is to be written; text is stolen. 0 or -ENOMEM. */
static int add_text(struct control_request *request, char *text, size_t length)
{
	char *answer;

	if (!request->answer) {
		request->answer = text;
		request->answer_len = length;
		return 0;
	}
	answer = realloc(request->answer, request->answer_len + length);
	if (answer) {
		memcpy(answer + request->answer_len, text, length);
		request->answer = answer;
		request->answer_len += length;
	}
	free(text);
	return answer ? 0 : -ENOMEM;
}

/* The same as JSON, borrowed. */
static int add_line(struct control_request *request, const json_t *line)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	bool failed = !out || json_dumpf(line, out, JSON_COMPACT) || putc('\n', out) == EOF;

	if (out && fclose(out) == 0 && !failed)
		return add_text(request, text, length);
	free(text);
	return -ENOMEM;
}

/* Without privilege the buffer stays as it was, and the answer takes longer. */
static void make_room(const struct control_request *request)
{
	int size = request->answer_len < SOCKET_BUFFER_MAX ? (int)request->answer_len
							   : SOCKET_BUFFER_MAX;

	if (size > WRITE_CHUNK)
		setsockopt(request->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

/* Ends the handler's time: from here on the request writes its answer and goes away. */
static void request_answer(struct control_request *request, int r)
{
	json_decref(request->message);
	request->message = NULL;
	request->gone = NULL; /* nothing is owed any more */

	if (r || request->fd == -1) {
		request_free(request);
		return;
	}
	make_room(request);
	/* Refused when the loop has ended: then what is sent now is all. */
	request_rearm(request);
	sd_event_source_set_io_events(request->io, EPOLLOUT);
	request_write(request);
}

/* The same with an answer, which is stolen. */
static void request_answer_json(struct control_request *request, json_t *answer)
{
	int r = add_line(request, answer);

	json_decref(answer);
	request_answer(request, r);
}

/* {key: value}; value is stolen. NULL when there is no memory, or no value. */
static json_t *wrap(const char *key, json_t *value)
{
	json_t *object = json_object();

	if (json_object_set_new(object, key, value)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

void control_reply_result(struct control_request *request, json_t *result)
{
	json_t *answer = wrap("result", result);

	if (answer)
		request_answer_json(request, answer);
	else
		control_reply_error(request, "%s", no_memory);
}

static bool write_list(FILE *out, const char *key, size_t count,
		       json_t *(*item)(size_t index, void *context), void *context)
{
	bool done = fprintf(out, "{\"result\":{\"%s\":[", key) > 0;

	for (size_t i = 0; done && i < count; i++) {
		json_t *one = item(i, context);

		done = one && (i == 0 || putc(',', out) != EOF) &&
		       json_dumpf(one, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
		json_decref(one);
	}
	return done && fputs("]}}\n", out) != EOF;
}

void control_reply_list(struct control_request *request, const char *key, size_t count,
			json_t *(*item)(size_t index, void *context), void *context)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out;
	bool done;

	if (request->fd == -1) { /* nobody is there to read it */
		request_answer(request, -EPIPE);
		return;
	}
	out = open_memstream(&text, &length);
	done = out && write_list(out, key, count, item, context);
	if (out && fclose(out) == 0 && done) {
		request_answer(request, add_text(request, text, length));
		return;
	}
	free(text);
	control_reply_error(request, "%s", no_memory);
}

void control_reply_error(struct control_request *request, const char *format, ...)
{
	json_t *string = NULL;
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len != -1) {
		string = json_string(text);
		/* Not UTF-8, then: text may quote what a client sent, cut anywhere. */
		if (!string) {
			for (char *c = text; *c; c++)
				*c = (unsigned char)*c < 0x80 ? *c : '?';
			string = json_string(text);
		}
		free(text);
	}
	request_answer_json(request, wrap("error", string));
}

void control_reply_in_parts(struct control_request *request, void (*gone)(void *context),
			    void *context)
{
	request->gone = gone;
	request->gone_context = context;
}

/* Never writes by itself: the caller is in the middle of things, and must not
 * hear from here that the client is gone. */
int control_reply_part(struct control_request *request, json_t *part)
{
	int r = request->answer_len - request->answer_sent > PARTS_MAX ? -ENOBUFS : 0;

	if (!r && request->fd == -1)
		r = -EPIPE;
	if (!r && !request->answer)
		r = request_rearm(request) < 0 ? -EIO : 0;
	if (!r)
		r = add_line(request, part);
	if (!r && sd_event_source_set_io_events(request->io, EPOLLOUT) < 0)
		r = -EIO;
	json_decref(part);
	return r;
}

static void request_parse(struct control_request *request, size_t len)
{
	json_error_t why;

	request->message = json_loadb(request->line, len, JSON_REJECT_DUPLICATES, &why);
	if (!request->message) {
		control_reply_error(request, "not a request, %s, send one JSON object on one line",
				    why.text);
		return;
	}
	if (!json_is_string(json_object_get(request->message, "verb"))) {
		control_reply_error(request,
				    "not a request, it has no verb, send {\"verb\":\"show\",...}");
		return;
	}
	/* No events asked for: what is left is the hang-up, which always comes. */
	if (sd_event_source_set_io_events(request->io, 0) < 0 ||
	    sd_event_source_set_enabled(request->deadline, SD_EVENT_OFF) < 0) {
		request_free(request);
		return;
	}
	request->server->handler(request, request->message, request->server->context);
}

static void request_read(struct control_request *request)
{
	char *start = request->line + request->received;
	ssize_t n = recv(request->fd, start, sizeof(request->line) - request->received,
			 MSG_DONTWAIT);
	char *newline;

	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR)
			request_free(request);
		return;
	}
	newline = memchr(start, '\n', (size_t)n);
	request->received += (size_t)n;
	if (newline)
		request_parse(request, (size_t)(newline - request->line));
	else if (n == 0 && request->received)
		request_parse(request, request->received);
	else if (n == 0)
		request_free(request);
	else if (request->received == sizeof(request->line))
		control_reply_error(request, "request refused, longer than %d bytes, send less",
				    CONTROL_REQUEST_MAX - 1);
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct control_request *request = userdata;

	(void)source;
	(void)fd;
	(void)events;
	if (request->answer)
		request_write(request);
	else if (request->gone)
		request_lose(request);
	else if (request->message)
		request_hang_up(request);
	else
		request_read(request);
	return 0;
}

/* True when the client has taken what was sent: then it was this loop, on a busy
 * machine, that was late. */
static bool has_room(const struct control_request *request)
{
	struct pollfd client = { .fd = request->fd, .events = POLLOUT };

	return poll(&client, 1, 0) == 1 && client.revents == POLLOUT;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct control_request *request = userdata;

	(void)source;
	(void)usec;
	if (request->answer && has_room(request) && request_rearm(request) >= 0)
		request_write(request);
	else if (request->answer)
		request_lose(request);
	else
		control_reply_error(request, "no request came within %llu s, send it at once",
				    CLIENT_PATIENCE_US / 1000000);
	return 0;
}

/* Takes fd over. Without the resources to serve it closes it: the client sees that. */
static void request_new(struct control_server *server, int fd)
{
	struct control_request *request = calloc(1, sizeof(*request));
	int r;

	if (!request) {
		close(fd);
		return;
	}
	request->server = server;
	request->fd = fd;
	LIST_INSERT_HEAD(&server->requests, request, link);
	server->count++;

	r = sd_event_add_io(server->event, &request->io, fd, EPOLLIN, on_client, request);
	if (r >= 0)
		r = sd_event_add_time_relative(server->event, &request->deadline, CLOCK_MONOTONIC,
					       CLIENT_PATIENCE_US, 0, on_deadline, request);
	if (r >= 0 && server->count >= CONTROL_CLIENTS_MAX)
		r = sd_event_source_set_enabled(server->listener, SD_EVENT_OFF);
	if (r < 0)
		request_free(request);
}

/* True for root and for the daemon's own user; others are told. */
static bool peer_allowed(int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);
	char text[128];
	int n;

	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	    (peer.uid == 0 || peer.uid == geteuid()))
		return true;
	n = snprintf(text, sizeof(text),
		     "{\"error\":\"refused, you must be root and are user %u, try sudo\"}\n",
		     peer.uid);
	/* An empty send buffer takes a line whole. Who is gone already needs none. */
	(void)!send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	return false;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct control_server *server = userdata;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)events;
	if (client == -1)
		return 0; /* the next turn tries again, no oftener than the rate limit */
	if (peer_allowed(client))
		request_new(server, client);
	else
		close(client);
	return 0;
}

int control_server_new(sd_event *event, const char *path, control_handler *handler, void *context,
		       struct control_server **server)
{
	struct control_server *new = calloc(1, sizeof(*new));
	int r;

	if (!new)
		return -ENOMEM;
	LIST_INIT(&new->requests);
	new->event = sd_event_ref(event);
	new->handler = handler;
	new->context = context;
	r = control_socket_open(path, &new->socket);
	if (r)
		goto fail;
	r = sd_event_add_io(event, &new->listener, control_socket_fd(new->socket), EPOLLIN,
			    on_connection, new);
	if (r < 0)
		goto fail;
	r = sd_event_source_set_ratelimit(new->listener, ACCEPT_INTERVAL_US, ACCEPT_BURST);
	if (r < 0)
		goto fail;
	*server = new;
	return 0;
fail:
	control_server_free(new);
	return r;
}

void control_server_free(struct control_server *server)
{
	struct control_request *request;

	if (!server)
		return;
	server->listener = sd_event_source_disable_unref(server->listener);
	while ((request = LIST_FIRST(&server->requests))) {
		LIST_REMOVE(request, link);
		request->server = NULL;
		/* The handler still owes the reply, which will free it. */
		if (request->message)
			request_hang_up(request);
		else
			request_free(request);
	}
	control_socket_close(server->socket);
	sd_event_unref(server->event);
	free(server);
}
