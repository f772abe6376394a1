// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel engine on loopback: its self-test, and a leg that the kernel's map
 * does not take. Whole flows are tests/net/test_splice.py's.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel_engine.h"
#include "kernel_engine_test.h"

static struct relay relay;
static struct relay_counters counters;
static struct relay_flow flow;

static void nothing(struct relay_flow *unused)
{
	(void)unused;
}

static const struct relay_front front = { .progress = nothing,
					  .check = nothing,
					  .ended = nothing,
					  .free = nothing };

/* Both ends of a connection over loopback. */
static void connect_pair(int *here, int *there)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(bind(listener, (struct sockaddr *)&address, length), 0);
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	*here = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(*here, (struct sockaddr *)&address, length), 0);
	*there = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	cr_assert_geq(*there, 0);
	close(listener);
}

/* A flow between two peers, joined by the kernel engine once fate has been at it. */
static void make_flow(int *client, int *server)
{
	struct splice_maps maps;
	int leg;

	if (geteuid() != 0)
		cr_skip("needs root");
	cr_assert_eq(splice_program_load(4, &maps), 0);
	cr_assert_eq(relay_init(&relay, &front, &counters), 0);
	cr_assert_eq(kernel_engine_open(&relay, &maps), 0);
	flow_init(&flow, &relay);
	connect_pair(client, &leg);
	cr_assert_eq(leg_set_options(leg), 0);
	cr_assert_eq(leg_open(&flow.client, leg), 0);
	connect_pair(server, &leg);
	cr_assert_eq(leg_set_options(leg), 0);
	cr_assert_eq(leg_open(&flow.remote, leg), 0);
	flow.engine = ENGINE_KERNEL;
}

/* Gives the relay turns until the peer can read. */
static size_t read_with_relay(int fd, char *bytes, size_t size)
{
	for (int i = 0; i < 2000; i++) {
		ssize_t got = recv(fd, bytes, size, MSG_DONTWAIT);

		if (got >= 0)
			return (size_t)got;
		cr_assert_eq(errno, EAGAIN, "%s", strerror(errno));
		relay_turn(&relay, 1, NULL);
	}
	cr_assert_fail("nothing to read");
	return 0;
}

Test(kernel_engine, self_test_passes)
{
	char text[KERNEL_ENGINE_TEST_TEXT_MAX];

	if (geteuid() != 0)
		cr_skip("needs root");
	cr_assert_eq(kernel_engine_test(text), 0, "%s", text);
	cr_assert(strstr(text, "passed"), "%s", text);
}

Test(kernel_engine, self_test_fails_when_told_to)
{
	char text[KERNEL_ENGINE_TEST_TEXT_MAX];

	setenv("SLUICE_SELF_TEST", "fail", 1);
	cr_assert_eq(kernel_engine_test(text), -ECANCELED);
	cr_assert_str_eq(text, "SLUICE_SELF_TEST=fail is set");
}

/* The remote has finished before the flow is joined, so its leg is refused. The
 * client's is in by then, and bytes it was passed meanwhile must not be lost. */
Test(kernel_engine, leg_that_is_half_closed_is_carried_by_the_relay)
{
	char bytes[64];
	int client, server;

	make_flow(&client, &server);
	cr_assert_eq(send(server, "all I have", 10, 0), 10);
	cr_assert_eq(shutdown(server, SHUT_WR), 0);
	cr_assert_eq(send(client, "early", 5, 0), 5);
	usleep(2000); /* the FIN has crossed loopback */
	engine_join(&flow);
	cr_assert(flow.client.in_kernel);
	cr_assert_not(flow.remote.in_kernel);
	cr_assert_eq(send(client, " and late", 9, 0), 9);
	cr_assert_eq(read_with_relay(client, bytes, sizeof(bytes)), 10);
	cr_assert_eq(memcmp(bytes, "all I have", 10), 0);
	cr_assert_eq(read_with_relay(client, bytes, sizeof(bytes)), 0);
	for (size_t got = 0; got < 14;)
		got += read_with_relay(server, bytes + got, sizeof(bytes) - got);
	cr_assert_eq(memcmp(bytes, "early and late", 14), 0);
	cr_assert_eq(shutdown(client, SHUT_WR), 0);
	cr_assert_eq(read_with_relay(server, bytes, sizeof(bytes)), 0);
	while (flow.state != FLOW_ENDED)
		relay_turn(&relay, 1, NULL);
	cr_assert_eq(flow.end, FLOW_END_CLOSED);
	relay_free(&relay);
}

/* The kernel hands the program whole segments: what the front has read of one must
 * not reach the other side. */
Test(kernel_engine, what_the_front_has_read_of_a_segment_is_not_carried)
{
	char bytes[64];
	int client, server;

	make_flow(&client, &server);
	cr_assert_eq(send(server, "!answer", 7, 0), 7);
	cr_assert_eq(recv(flow.remote.fd, bytes, 1, MSG_WAITALL), 1);
	flow.down.read_before = 1;
	engine_join(&flow);
	cr_assert(flow.remote.in_kernel);
	cr_assert_eq(read_with_relay(client, bytes, sizeof(bytes)), 6);
	cr_assert_eq(memcmp(bytes, "answer", 6), 0);
	cr_assert_eq(shutdown(server, SHUT_WR), 0);
	cr_assert_eq(read_with_relay(client, bytes, sizeof(bytes)), 0);
	relay_free(&relay);
}

Test(kernel_engine, reset_before_the_flow_is_joined_resets_the_other_side)
{
	static const struct linger now = { .l_onoff = 1 };
	char byte;
	int client, server;

	make_flow(&client, &server);
	cr_assert_eq(setsockopt(server, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(server);
	usleep(2000); /* the reset has crossed loopback */
	engine_join(&flow);
	while (flow.state != FLOW_ENDED)
		relay_turn(&relay, 1, NULL);
	cr_assert_eq(flow.end, FLOW_END_REMOTE_RESET);
	cr_assert_lt(recv(client, &byte, 1, 0), 0);
	cr_assert_eq(errno, ECONNRESET);
	relay_free(&relay);
}

Test(kernel_engine, slots_are_given_back)
{
	int client, server;

	make_flow(&client, &server);
	engine_join(&flow);
	cr_assert(flow.up.shared);
	flow_end(&flow, FLOW_END_SHUTDOWN);
	cr_assert_null(flow.up.shared);
	close(client);
	close(server);
	relay_free(&relay);
}
