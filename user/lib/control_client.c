/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The client's side of the control socket: one request, one answer. Used by
 * the operator's program (user/cli); user/lib/control_server.c answers.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"

/* A daemon that says nothing for so long is stuck. */
#define SILENCE_MAX_S 30

/* First size of the buffer for the answer; it doubles as needed. */
#define ANSWER_START 65536

/* What came back: a line without its newline. */
struct answer {
	char *text; /* owned */
	size_t len; /* bytes of text in use */
	size_t size; /* bytes allocated */
};

__attribute__((format(printf, 4, 5))) static int fail(char *error, size_t size, int code,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return code;
}

static int fail_connect(const char *path, int code, char *error, size_t size)
{
	switch (code) {
	case -ENOENT:
	case -ECONNREFUSED:
		return fail(error, size, code,
			    "cannot reach sluiced at %s, it is not running there, start it or give "
			    "its --run-dir",
			    path);
	case -EACCES:
	case -EPERM:
		return fail(error, size, -EACCES,
			    "cannot reach sluiced at %s, permission denied, try sudo", path);
	case -EAGAIN:
		return fail(error, size, -ETIMEDOUT,
			    "cannot reach sluiced at %s, it takes no connections, see its log",
			    path);
	default:
		return fail(error, size, code, "cannot reach sluiced at %s, %s, check --run-dir",
			    path, strerror(-code));
	}
}

/* A connected socket that gives up after SILENCE_MAX_S, or a negative errno with text in error. */
static int connect_to(const char *path, char *error, size_t size)
{
	const struct timeval limit = { .tv_sec = SILENCE_MAX_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;
	int code;

	if (strlen(path) >= sizeof(address.sun_path))
		return fail_connect(path, -ENAMETOOLONG, error, size);
	strcpy(address.sun_path, path);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return fail_connect(path, -errno, error, size);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == -1 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) == -1) {
		code = -errno;
		close(fd);
		return fail_connect(path, code, error, size);
	}
	return fd;
}

/*
 * Sends the request and its newline. A daemon that refuses a peer answers and
 * closes without reading, so a broken pipe is no failure here: the answer is there.
 */
static int send_request(int fd, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t sent = 0;
	size_t len;
	int r = 0;

	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len++] = '\n'; /* in place of the NUL, which nobody needs from here on */
	while (sent < len) {
		ssize_t n = send(fd, text + sent, len - sent, MSG_NOSIGNAL);

		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EPIPE && errno != ECONNRESET)
			r = -errno;
		break;
	}
	free(text);
	return r;
}

static int make_room(struct answer *answer)
{
	size_t size = answer->size ? answer->size * 2 : ANSWER_START;
	char *text;

	if (answer->len < answer->size)
		return 0;
	text = realloc(answer->text, size);
	if (!text)
		return -ENOMEM;
	answer->text = text;
	answer->size = size;
	return 0;
}

/* Makes the first line the answer's text, and returns what comes after it; NULL: there is none. */
static char *end_line(struct answer *answer, size_t from)
{
	char *newline = memchr(answer->text + from, '\n', answer->len - from);

	if (newline)
		*newline = '\0';
	return newline ? newline + 1 : NULL;
}

/* Reads up to a newline, in whose place a NUL is put; *next is what comes after it.
 * -ENODATA: closed without an answer; -EPROTO: closed within it. */
static int receive_line(int fd, struct answer *answer, char **next)
{
	*next = answer->text ? end_line(answer, 0) : NULL;
	while (!*next) {
		ssize_t n;
		int r;

		r = make_room(answer);
		if (r)
			return r;
		n = recv(fd, answer->text + answer->len, answer->size - answer->len, 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno != ECONNRESET)
			return -errno;
		if (n <= 0)
			return answer->len ? -EPROTO : -ENODATA;
		answer->len += (size_t)n;
		*next = end_line(answer, answer->len - (size_t)n);
	}
	return 0;
}

/* Takes the first line out. */
static void drop_line(struct answer *answer, const char *next)
{
	answer->len -= (size_t)(next - answer->text);
	memmove(answer->text, next, answer->len);
}

static int fail_exchange(const char *path, int code, char *error, size_t size)
{
	switch (code) {
	case -EAGAIN:
		return fail(error, size, -ETIMEDOUT,
			    "no answer from sluiced at %s, silent for %d s, see its log", path,
			    SILENCE_MAX_S);
	case -ENODATA:
		return fail(error, size, -EPROTO,
			    "no answer from sluiced at %s, it closed the connection, see its log",
			    path);
	case -EPROTO:
		return fail(error, size, -EPROTO,
			    "bad answer from sluiced at %s, it was cut short, see its log", path);
	default:
		return fail(error, size, code, "cannot talk to sluiced at %s, %s, try again", path,
			    strerror(-code));
	}
}

static int parse_answer(const char *path, const struct answer *answer, json_t **result, char *error,
			size_t size)
{
	json_error_t why;
	json_t *message = json_loads(answer->text, JSON_REJECT_DUPLICATES, &why);
	const char *text = json_string_value(json_object_get(message, "error"));
	json_t *found = json_object_get(message, "result");
	int r = 0;

	if (text)
		r = fail(error, size, -EREMOTEIO, "%s", text);
	else if (found)
		*result = json_incref(found);
	else
		r = fail(error, size, -EPROTO,
			 "bad answer from sluiced at %s, %s, check that it is sluiced", path,
			 message ? "neither a result nor an error" : why.text);
	json_decref(message);
	return r;
}

/* One request, and the one line that answers it. */
static int exchange(const char *path, const json_t *request, struct answer *answer, char *error,
		    size_t size)
{
	int fd = connect_to(path, error, size);
	char *next;
	int r;

	if (fd < 0)
		return fd;
	r = send_request(fd, request);
	if (!r)
		r = receive_line(fd, answer, &next);
	if (r)
		r = fail_exchange(path, r, error, size);
	close(fd);
	return r;
}

int control_call(const char *path, const json_t *request, json_t **result, char *error, size_t size)
{
	struct answer answer = { 0 };
	int r = exchange(path, request, &answer, error, size);

	if (!r)
		r = parse_answer(path, &answer, result, error, size);
	free(answer.text);
	return r;
}

/* What control_server.c puts around a result. */
static const char result_begin[] = "{\"result\":";

/* The text of a result within its line; NULL: it is none, or not written as ours are. */
static char *cut_result(char *line)
{
	size_t length = strlen(line), begin = sizeof(result_begin) - 1;

	if (length <= begin + 1 || strncmp(line, result_begin, begin) || line[length - 1] != '}')
		return NULL;
	line[length - 1] = '\0';
	return line + begin;
}

int control_call_text(const char *path, const json_t *request, char **result, char *error,
		      size_t size)
{
	struct answer answer = { 0 };
	json_t *parsed = NULL;
	int r = exchange(path, request, &answer, error, size);
	char *cut = r ? NULL : cut_result(answer.text);

	*result = NULL;
	if (cut)
		*result = strdup(cut);
	else if (!r && !(r = parse_answer(path, &answer, &parsed, error, size)))
		*result = json_dumps(parsed, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!r && !*result)
		r = fail(error, size, -ENOMEM, "no memory for the answer of sluiced");
	json_decref(parsed);
	free(answer.text);
	return r;
}

/* True when the line was a part and more are wanted; otherwise *wanted says which of the two. */
static bool take_part(const struct answer *answer, bool (*part)(const json_t *part, void *context),
		      void *context, bool *wanted)
{
	json_t *message = json_loads(answer->text, JSON_REJECT_DUPLICATES, NULL);
	bool is_part = json_object_get(message, "event") != NULL;

	*wanted = !is_part || part(message, context);
	json_decref(message);
	return is_part;
}

int control_follow(const char *path, const json_t *request,
		   bool (*part)(const json_t *part, void *context), void *context, json_t **result,
		   char *error, size_t size)
{
	static const struct timeval for_ever;
	struct answer answer = { 0 };
	int fd = connect_to(path, error, size);
	bool wanted = true;
	char *next = NULL;
	int r;

	*result = NULL;
	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
	r = send_request(fd, request);
	while (!r) {
		r = receive_line(fd, &answer, &next);
		if (r || !take_part(&answer, part, context, &wanted) || !wanted)
			break;
		drop_line(&answer, next);
	}
	if (r)
		r = fail_exchange(path, r, error, size);
	else if (wanted)
		r = parse_answer(path, &answer, result, error, size);
	free(answer.text);
	close(fd);
	return r;
}
