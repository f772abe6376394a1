/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The control socket: user/lib/control_server.c in a thread of its own against
 * user/lib/control_client.c, and against clients that do not behave.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"

/* Whose user ID a refused peer has: nobody's. */
#define NOBODY 65534

/* Far more than the socket's buffers hold. */
#define LARGE_ANSWER (5 * 1024 * 1024)

/* Longest wait for anything that must happen. */
#define PATIENCE_S 20

static char directory[] = "/tmp/sluice-control-XXXXXX";
static char path[sizeof(directory) + sizeof("/control.sock")];
static pthread_t thread;
static int stop = -1; /* eventfd that ends the thread */
static int ready = -1; /* eventfd that says it serves */
static struct control_request *kept; /* the request that "keep" has not answered yet */

static void answer_text(struct control_request *request, const char *text)
{
	control_reply_result(request, json_pack("{s:s}", "message", text));
}

static void answer_large(struct control_request *request)
{
	char *text = malloc(LARGE_ANSWER + 1);

	memset(text, 'x', LARGE_ANSWER);
	text[LARGE_ANSWER] = '\0';
	answer_text(request, text);
	free(text);
}

/* Squares; of a list that is longer than SQUARES_MAX, one cannot be made. */
#define SQUARES_MAX 1000

static json_t *answer_square(size_t index, void *context)
{
	cr_expect_str_eq(context, "squares");
	return index < SQUARES_MAX ? json_integer((json_int_t)(index * index)) : NULL;
}

static void answer_squares(struct control_request *request, const json_t *message)
{
	json_int_t count = json_integer_value(json_object_get(message, "count"));

	control_reply_list(request, "squares", (size_t)count, answer_square, "squares");
}

static void handle(struct control_request *request, const json_t *message, void *context)
{
	const char *verb = json_string_value(json_object_get(message, "verb"));

	cr_expect_str_eq(context, "context");
	if (!strcmp(verb, "hello")) {
		answer_text(request, "good day");
	} else if (!strcmp(verb, "large")) {
		answer_large(request);
	} else if (!strcmp(verb, "squares")) {
		answer_squares(request, message);
	} else if (!strcmp(verb, "keep")) {
		kept = request;
	} else if (!strcmp(verb, "release")) {
		answer_text(kept, "at last");
		kept = NULL;
		answer_text(request, "released");
	} else if (!strcmp(verb, "nothing")) {
		control_reply_result(request, NULL);
	} else if (!strcmp(verb, "bytes")) {
		control_reply_error(request, "not UTF-8: \xff\xfe");
	} else {
		control_reply_error(request, "no verb %s,\ntry hello", verb);
	}
}

static int on_stop(sd_event_source *source, int fd, uint32_t events, void *context)
{
	(void)fd;
	(void)events;
	(void)context;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void *serve(void *unused)
{
	struct control_server *server = NULL;
	sd_event *event = NULL;

	(void)unused;
	cr_assert(sd_event_new(&event) >= 0);
	cr_assert(sd_event_add_io(event, NULL, stop, EPOLLIN, on_stop, NULL) >= 0);
	cr_assert_eq(control_server_new(event, path, handle, (void *)"context", &server), 0);
	eventfd_write(ready, 1);
	cr_assert(sd_event_loop(event) >= 0);
	control_server_free(server);
	/* A daemon that stops answers what it owes, to nobody. */
	if (kept)
		answer_text(kept, "too late");
	sd_event_unref(event);
	return NULL;
}

static void make_directory(void)
{
	cr_assert(mkdtemp(directory));
	/* Others must get as far as the socket. */
	cr_assert_eq(chmod(directory, 0755), 0);
	snprintf(path, sizeof(path), "%s/control.sock", directory);
}

/* Fails when anything is left in it. */
static void remove_directory(void)
{
	cr_expect_eq(rmdir(directory), 0, "%s: %s", directory, strerror(errno));
}

static void start_server(void)
{
	eventfd_t value;

	make_directory();
	stop = eventfd(0, EFD_CLOEXEC);
	ready = eventfd(0, EFD_CLOEXEC);
	cr_assert_eq(pthread_create(&thread, NULL, serve, NULL), 0);
	cr_assert_eq(eventfd_read(ready, &value), 0);
}

static void stop_server(void)
{
	eventfd_write(stop, 1);
	pthread_join(thread, NULL);
	close(stop);
	close(ready);
	remove_directory();
}

/* control_call() with {"verb": verb}. The caller owns *result when 0 is returned. */
static int call(const char *verb, json_t **result, char *error, size_t size)
{
	json_t *request = json_pack("{s:s}", "verb", verb);
	int r = control_call(path, request, result, error, size);

	json_decref(request);
	return r;
}

static void expect_message(const char *verb, const char *message)
{
	char error[256] = "";
	json_t *result;

	cr_assert_eq(call(verb, &result, error, sizeof(error)), 0, "%s", error);
	cr_expect_str_eq(json_string_value(json_object_get(result, "message")), message);
	json_decref(result);
}

/* A connection that a test misbehaves on. */
static int connect_raw(void)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_neq(fd, -1);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void send_raw(int fd, const void *bytes, size_t len)
{
	cr_assert_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* All that comes until the server closes, as a string. */
static void receive_raw(int fd, char *text, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, text + len, size - 1 - len, 0);

		cr_assert(n != -1 || errno == ECONNRESET, "%s", strerror(errno));
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	close(fd);
}

/* The one line of error that bytes are answered with. */
static void expect_refused(const void *bytes, size_t len, const char *part)
{
	int fd = connect_raw();
	char text[512];

	send_raw(fd, bytes, len);
	receive_raw(fd, text, sizeof(text));
	cr_expect_eq(strncmp(text, "{\"error\":\"", 10), 0, "%s", text);
	cr_expect(strstr(text, part), "%s", text);
	cr_expect_eq(strchr(text, '\n'), text + strlen(text) - 1, "%s", text);
}

TestSuite(control, .init = start_server, .fini = stop_server, .timeout = 60);

Test(control, call_gives_the_result)
{
	expect_message("hello", "good day");
}

Test(control, call_gives_the_text_of_the_result)
{
	json_t *request = json_pack("{s:s}", "verb", "hello");
	char error[256] = "", *text;

	cr_assert_eq(control_call_text(path, request, &text, error, sizeof(error)), 0, "%s", error);
	cr_expect_str_eq(text, "{\"message\":\"good day\"}");
	free(text);
	json_object_set_new(request, "verb", json_string("sing"));
	cr_expect_eq(control_call_text(path, request, &text, error, sizeof(error)), -EREMOTEIO);
	cr_expect_str_eq(error, "no verb sing,\ntry hello");
	json_decref(request);
}

Test(control, error_is_the_daemons_own_text)
{
	char error[256];
	json_t *result;

	cr_expect_eq(call("sing", &result, error, sizeof(error)), -EREMOTEIO);
	cr_expect_str_eq(error, "no verb sing,\ntry hello");
}

Test(control, error_that_is_not_utf8_is_still_an_error)
{
	char error[256];
	json_t *result;

	cr_expect_eq(call("bytes", &result, error, sizeof(error)), -EREMOTEIO);
	cr_expect_str_eq(error, "not UTF-8: ??");
}

Test(control, result_that_could_not_be_made_is_an_error)
{
	char error[256];
	json_t *result;

	cr_expect_eq(call("nothing", &result, error, sizeof(error)), -EREMOTEIO);
	cr_expect(strstr(error, "no memory"), "%s", error);
}

/* So many squares; NULL, with error, when there is no answer. */
static json_t *call_squares(size_t count, char error[256])
{
	json_t *request = json_pack("{s:s,s:I}", "verb", "squares", "count", (json_int_t)count);
	json_t *result = NULL;
	int r = control_call(path, request, &result, error, 256);

	json_decref(request);
	return r ? NULL : result;
}

Test(control, list_has_every_member_in_order)
{
	static const size_t counts[] = { 0, 1, 2, SQUARES_MAX };
	char error[256] = "";

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		json_t *result = call_squares(counts[i], error);
		const json_t *squares = json_object_get(result, "squares");

		cr_assert_eq(json_array_size(squares), counts[i], "%s", error);
		cr_expect(json_is_array(squares));
		for (size_t j = 0; j < counts[i]; j++)
			cr_expect_eq((size_t)json_integer_value(json_array_get(squares, j)), j * j);
		json_decref(result);
	}
}

Test(control, list_that_could_not_be_made_whole_is_an_error)
{
	char error[256] = "";

	cr_expect_null(call_squares(SQUARES_MAX + 1, error));
	cr_expect(strstr(error, "no memory"), "%s", error);
}

Test(control, garbage_is_refused)
{
	expect_refused("GET / HTTP/1.1\n", 15, "not a request");
	expect_refused("\n", 1, "not a request");
	expect_refused("\0\0\0\n", 4, "not a request");
	expect_refused("\xff\xff\n", 3, "not a request");
	expect_refused("[\"verb\"]\n", 9, "no verb");
	expect_refused("{\"verb\":1}\n", 11, "no verb");
	expect_refused("{\"verb\":\"hello\",\"verb\":\"x\"}\n", 28, "not a request");
	expect_message("hello", "good day");
}

Test(control, nesting_is_limited)
{
	static char deep[CONTROL_REQUEST_MAX / 2];

	memset(deep, '[', sizeof(deep));
	deep[sizeof(deep) - 1] = '\n';
	expect_refused(deep, sizeof(deep), "not a request");
	expect_message("hello", "good day");
}

Test(control, longest_request_is_taken_and_one_byte_more_is_not)
{
	static const char start[] = "{\"verb\":\"hello\"}";
	static char line[CONTROL_REQUEST_MAX + 1];
	char text[256];
	int fd;

	memset(line, ' ', sizeof(line));
	memcpy(line, start, sizeof(start) - 1);
	line[CONTROL_REQUEST_MAX - 1] = '\n';
	fd = connect_raw();
	send_raw(fd, line, CONTROL_REQUEST_MAX);
	receive_raw(fd, text, sizeof(text));
	cr_expect_str_eq(text, "{\"result\":{\"message\":\"good day\"}}\n");

	line[CONTROL_REQUEST_MAX - 1] = ' ';
	line[CONTROL_REQUEST_MAX] = '\n';
	expect_refused(line, sizeof(line), "longer than");
}

Test(control, request_may_come_in_pieces)
{
	static const char line[] = "{\"verb\":\"hello\"}\n";
	int fd = connect_raw();
	char text[256];

	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		send_raw(fd, line + i, 1);
		usleep(1000);
	}
	receive_raw(fd, text, sizeof(text));
	cr_expect_str_eq(text, "{\"result\":{\"message\":\"good day\"}}\n");
}

Test(control, end_of_input_ends_the_request)
{
	int fd = connect_raw();
	char text[256];

	send_raw(fd, "{\"verb\":\"hello\"}", 16);
	shutdown(fd, SHUT_WR);
	receive_raw(fd, text, sizeof(text));
	cr_expect_str_eq(text, "{\"result\":{\"message\":\"good day\"}}\n");
}

Test(control, only_the_first_of_two_lines_is_a_request)
{
	int fd = connect_raw();
	char text[256];

	send_raw(fd, "{\"verb\":\"hello\"}\n{\"verb\":\"sing\"}\n", 33);
	receive_raw(fd, text, sizeof(text));
	cr_expect_str_eq(text, "{\"result\":{\"message\":\"good day\"}}\n");
}

Test(control, two_clients_are_served_at_once)
{
	int first = connect_raw();
	char text[256];

	send_raw(first, "{\"verb\":", 8);
	expect_message("hello", "good day");
	send_raw(first, "\"sing\"}\n", 8);
	receive_raw(first, text, sizeof(text));
	cr_expect(strstr(text, "no verb sing"), "%s", text);
}

Test(control, silent_client_is_dropped)
{
	int fd = connect_raw();
	char text[256];

	receive_raw(fd, text, sizeof(text));
	cr_expect(strstr(text, "no request came"), "%s", text);
}

Test(control, client_that_takes_no_answer_is_dropped)
{
	static char text[LARGE_ANSWER + 64];
	int fd = connect_raw();
	struct pollfd hang_up = { .fd = fd };

	send_raw(fd, "{\"verb\":\"large\"}\n", 17);
	/* Nothing is taken until the server has hung up. */
	cr_assert_eq(poll(&hang_up, 1, PATIENCE_S * 1000), 1);
	receive_raw(fd, text, sizeof(text));
	cr_expect_lt(strlen(text), LARGE_ANSWER);
}

Test(control, large_answer_arrives_whole)
{
	char error[256] = "";
	json_t *result;

	cr_assert_eq(call("large", &result, error, sizeof(error)), 0, "%s", error);
	cr_expect_eq(json_string_length(json_object_get(result, "message")), LARGE_ANSWER);
	json_decref(result);
}

Test(control, large_answer_does_not_stall_others)
{
	static char text[LARGE_ANSWER + 64];
	int fd = connect_raw();

	send_raw(fd, "{\"verb\":\"large\"}\n", 17);
	cr_assert_eq(recv(fd, text, 1, MSG_PEEK), 1);
	expect_message("hello", "good day");
	receive_raw(fd, text, sizeof(text));
	cr_expect_eq(strlen(text), strlen("{\"result\":{\"message\":\"\"}}\n") + LARGE_ANSWER);
}

Test(control, client_may_leave_before_a_large_answer_is_taken)
{
	int fd = connect_raw();
	char byte;

	send_raw(fd, "{\"verb\":\"large\"}\n", 17);
	cr_assert_eq(recv(fd, &byte, 1, 0), 1);
	close(fd);
	expect_message("hello", "good day");
}

Test(control, late_answer_reaches_the_client)
{
	int fd = connect_raw();
	char text[256];

	send_raw(fd, "{\"verb\":\"keep\"}\n", 16);
	expect_message("release", "released");
	receive_raw(fd, text, sizeof(text));
	cr_expect_str_eq(text, "{\"result\":{\"message\":\"at last\"}}\n");
}

Test(control, late_answer_to_nobody_is_harmless)
{
	int fd = connect_raw();

	send_raw(fd, "{\"verb\":\"keep\"}\n", 16);
	close(fd);
	expect_message("hello", "good day");
	expect_message("release", "released");
	expect_message("hello", "good day");
}

Test(control, answer_after_the_server_is_gone_is_harmless)
{
	int fd = connect_raw();

	send_raw(fd, "{\"verb\":\"keep\"}\n", 16);
	expect_message("hello", "good day");
	close(fd);
}

Test(control, clients_beyond_the_limit_wait_for_their_turn)
{
	int fd[CONTROL_CLIENTS_MAX];
	char text[256];
	int waiting;
	char byte;

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		fd[i] = connect_raw();
	waiting = connect_raw();
	send_raw(waiting, "{\"verb\":\"hello\"}\n", 17);
	/* The others have 5 s; half a second is enough to be served if one could be. */
	usleep(500000);
	cr_expect_eq(recv(waiting, &byte, 1, MSG_DONTWAIT), -1);
	cr_expect_eq(errno, EAGAIN);
	close(fd[0]);
	receive_raw(waiting, text, sizeof(text));
	cr_expect_str_eq(text, "{\"result\":{\"message\":\"good day\"}}\n");
	for (int i = 1; i < CONTROL_CLIENTS_MAX; i++)
		close(fd[i]);
}

Test(control, a_thousand_calls_in_a_row_are_served)
{
	for (int i = 0; i < 1000; i++)
		expect_message("hello", "good day");
}

/* In a child: 0 when a call as nobody is refused as it should be. */
static int call_as_nobody(void)
{
	char error[256] = "";
	json_t *result;

	if (setresuid(NOBODY, NOBODY, NOBODY))
		return 1;
	if (call("hello", &result, error, sizeof(error)) != -EREMOTEIO)
		return 2;
	return strstr(error, "must be root") ? 0 : 3;
}

Test(control, other_users_are_told_to_be_root)
{
	int status;
	pid_t pid;

	if (geteuid())
		cr_skip_test("only root can become somebody else");
	pid = fork();
	if (pid == 0)
		_exit(call_as_nobody());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "call_as_nobody() returned %d", WEXITSTATUS(status));
	expect_message("hello", "good day");
}

Test(control, live_socket_is_not_taken_over)
{
	struct control_server *second = NULL;
	sd_event *event;

	cr_assert(sd_event_new(&event) >= 0);
	cr_expect_eq(control_server_new(event, path, handle, NULL, &second), -EADDRINUSE);
	cr_expect_null(second);
	sd_event_unref(event);
	expect_message("hello", "good day");
}

TestSuite(control_file, .init = make_directory, .fini = remove_directory, .timeout = 60);

/* What a daemon that crashed leaves. */
static void leave_stale_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	close(fd);
}

Test(control_file, stale_socket_is_taken_over_and_removed_in_the_end)
{
	struct control_server *server = NULL;
	sd_event *event;
	struct stat st;

	leave_stale_socket();
	cr_assert(sd_event_new(&event) >= 0);
	cr_assert_eq(control_server_new(event, path, handle, NULL, &server), 0);
	cr_assert_eq(lstat(path, &st), 0);
	cr_expect_eq(st.st_mode, S_IFSOCK | 0666);
	control_server_free(server);
	cr_expect_eq(access(path, F_OK), -1);
	sd_event_unref(event);
}

Test(control_file, file_that_is_no_socket_is_left_alone)
{
	struct control_server *server = NULL;
	sd_event *event;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	close(fd);
	cr_assert(sd_event_new(&event) >= 0);
	cr_expect_eq(control_server_new(event, path, handle, NULL, &server), -EEXIST);
	cr_expect_eq(unlink(path), 0);
	sd_event_unref(event);
}

Test(control_file, missing_directory_is_an_error)
{
	struct control_server *server = NULL;
	sd_event *event;

	cr_assert(sd_event_new(&event) >= 0);
	cr_expect_eq(control_server_new(event, "/tmp/sluice-nowhere/x.sock", handle, NULL, &server),
		     -ENOENT);
	sd_event_unref(event);
}

Test(control_file, client_says_that_no_daemon_runs)
{
	char error[256];
	json_t *result;

	cr_expect_eq(call("hello", &result, error, sizeof(error)), -ENOENT);
	cr_expect(strstr(error, "not running"), "%s", error);
	cr_expect(strstr(error, path), "%s", error);
	leave_stale_socket();
	cr_expect_eq(call("hello", &result, error, sizeof(error)), -ECONNREFUSED);
	cr_expect(strstr(error, "not running"), "%s", error);
	unlink(path);
}

/* A daemon that answers every request with the same bytes, or only closes. */
static void *answer_once(void *context)
{
	const char *bytes = context;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char request[256];
	int client;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	eventfd_write(ready, 1);
	client = accept(fd, NULL, NULL);
	cr_assert_gt(recv(client, request, sizeof(request), 0), 0);
	cr_expect_eq(send(client, bytes, strlen(bytes), MSG_NOSIGNAL), (ssize_t)strlen(bytes));
	close(client);
	close(fd);
	unlink(path);
	return NULL;
}

static void expect_bad_answer(const char *bytes, const char *part)
{
	char error[256] = "";
	eventfd_t value;
	json_t *result;

	ready = eventfd(0, EFD_CLOEXEC);
	cr_assert_eq(pthread_create(&thread, NULL, answer_once, (void *)bytes), 0);
	eventfd_read(ready, &value);
	cr_expect_eq(call("hello", &result, error, sizeof(error)), -EPROTO);
	cr_expect(strstr(error, part), "%s", error);
	pthread_join(thread, NULL);
	close(ready);
}

Test(control_file, client_says_what_is_wrong_with_an_answer)
{
	expect_bad_answer("", "closed the connection");
	expect_bad_answer("{\"result\":", "cut short");
	expect_bad_answer("hello\n", "bad answer");
	expect_bad_answer("{\"results\":{}}\n", "neither a result nor an error");
}
