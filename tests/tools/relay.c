/* SPDX-License-Identifier: GPL-2.0 */
/*
 * relay PORT WORKERS: the plainest transparent TCP splitter, to measure others
 * by. It accepts what TPROXY hands it, connects to where the client wanted to
 * go, and moves bytes by read(2) and write(2). One process a worker, each with
 * its own listener.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS 256
#define BUFFER_SIZE (64U * 1024)
#define BACKLOG 4096

struct leg {
	struct flow *flow;
	struct leg *other;
	int fd;
	/* What was read here and is to be written to the other leg; there only
	 * while something waits, so that an idle flow costs no buffer. */
	char *buffer;
	size_t size, done;
	bool ended; /* its FIN has been read */
	bool passed; /* and passed on */
};

struct flow {
	struct leg legs[2]; /* 0: the client's */
	bool connected, over;
	struct flow *next_over;
};

static char scratch[BUFFER_SIZE];

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void watch(int epoll, struct leg *leg, uint32_t events, int op)
{
	struct epoll_event event = { .events = events | EPOLLET, .data.ptr = leg };

	if (epoll_ctl(epoll, op, leg->fd, &event) < 0)
		die("epoll_ctl");
}

/* Writes what waits: false when the flow is broken. */
static bool leg_flush(struct leg *from)
{
	while (from->done < from->size) {
		ssize_t count = send(from->other->fd, from->buffer + from->done,
				     from->size - from->done, MSG_NOSIGNAL);

		if (count < 0)
			return errno == EAGAIN;
		from->done += (size_t)count;
	}
	free(from->buffer);
	from->buffer = NULL;
	from->size = from->done = 0;
	return true;
}

/* Keeps what the other leg did not take of the scratch buffer. */
static void leg_keep(struct leg *from, size_t done, size_t size)
{
	from->buffer = malloc(size - done);
	if (!from->buffer)
		die("memory");
	memcpy(from->buffer, scratch + done, size - done);
	from->size = size - done;
	from->done = 0;
}

/* Moves what there is from a leg to the other: false when the flow is broken. */
static bool leg_move(struct leg *from)
{
	if (!leg_flush(from))
		return false;
	while (!from->buffer && !from->ended) {
		ssize_t got = recv(from->fd, scratch, sizeof(scratch), 0);
		ssize_t sent;

		if (got < 0)
			return errno == EAGAIN;
		if (!got) {
			from->ended = true;
			break;
		}
		sent = send(from->other->fd, scratch, (size_t)got, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent < got)
			leg_keep(from, sent < 0 ? 0 : (size_t)sent, (size_t)got);
	}
	if (from->ended && !from->buffer && !from->passed) {
		shutdown(from->other->fd, SHUT_WR);
		from->passed = true;
	}
	return true;
}

static void flow_end(struct flow *flow, bool broken, struct flow **over)
{
	struct linger at_once = { .l_onoff = 1 };

	for (unsigned i = 0; i < 2; i++) {
		if (broken)
			setsockopt(flow->legs[i].fd, SOL_SOCKET, SO_LINGER, &at_once,
				   sizeof(at_once));
		close(flow->legs[i].fd);
		free(flow->legs[i].buffer);
	}
	flow->over = true;
	flow->next_over = *over;
	*over = flow;
}

static void flow_go_on(struct flow *flow, struct leg *leg, uint32_t events, struct flow **over)
{
	bool whole = true;

	if (flow->over)
		return;
	if (!flow->connected) {
		int error = 0;
		socklen_t length = sizeof(error);

		if (leg == &flow->legs[0])
			return;
		getsockopt(leg->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error || !(events & EPOLLOUT)) {
			flow_end(flow, true, over);
			return;
		}
		flow->connected = true;
	}
	for (unsigned i = 0; i < 2; i++)
		whole = whole && leg_move(&flow->legs[i]);
	if (!whole || (flow->legs[0].passed && flow->legs[1].passed))
		flow_end(flow, !whole, over);
}

/* A connection to where the client wanted to go: its socket's own address. */
static int connect_on(int client)
{
	struct sockaddr_storage wanted;
	socklen_t length = sizeof(wanted);
	int fd, on = 1;

	if (getsockname(client, (struct sockaddr *)&wanted, &length) < 0)
		return -1;
	fd = socket(wanted.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&wanted, length) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static void accept_all(int epoll, int listener)
{
	for (;;) {
		int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		int remote, on = 1;
		struct flow *flow;

		if (client < 0)
			return;
		remote = connect_on(client);
		if (remote < 0) {
			close(client);
			continue;
		}
		flow = calloc(1, sizeof(*flow));
		if (!flow)
			die("memory");
		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		flow->legs[0] = (struct leg){ flow, &flow->legs[1], .fd = client };
		flow->legs[1] = (struct leg){ flow, &flow->legs[0], .fd = remote };
		for (unsigned i = 0; i < 2; i++)
			watch(epoll, &flow->legs[i], EPOLLIN | EPOLLOUT | EPOLLRDHUP,
			      EPOLL_CTL_ADD);
	}
}

static int listener_make(uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, off = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
	    setsockopt(fd, SOL_IP, IP_TRANSPARENT, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_IPV6, IPV6_TRANSPARENT, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, BACKLOG) < 0)
		die("listening");
	return fd;
}

static _Noreturn void work(int listener)
{
	struct leg waiting = { .fd = listener };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		die("epoll");
	watch(epoll, &waiting, EPOLLIN, EPOLL_CTL_ADD);
	for (;;) {
		struct epoll_event events[EVENTS];
		struct flow *over = NULL;
		int count = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			struct leg *leg = events[i].data.ptr;

			if (leg == &waiting)
				accept_all(epoll, listener);
			else
				flow_go_on(leg->flow, leg, events[i].events, &over);
		}
		while (over) {
			struct flow *next = over->next_over;

			free(over);
			over = next;
		}
	}
}

int main(int argc, char **argv)
{
	unsigned long port = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	unsigned long workers = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	int *listeners;

	if (!port || port > 65535 || !workers || workers > 64) {
		fputs("Usage: relay PORT WORKERS\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	listeners = calloc(workers, sizeof(*listeners));
	if (!listeners)
		die("memory");
	for (unsigned long i = 0; i < workers; i++)
		listeners[i] = listener_make((uint16_t)port);
	for (unsigned long i = 1; i < workers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(listeners[i]);
		}
	}
	puts("ready");
	fflush(stdout);
	work(listeners[0]);
}
