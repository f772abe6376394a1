/* SPDX-License-Identifier: GPL-2.0 */
/* Sockets and clocks of clients and server. */
#include "endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

const char *noise(void)
{
	static uint32_t words[BUFFER_SIZE / 4];
	uint32_t state = 1;

	for (size_t i = 0; !words[0] || (i && i < BUFFER_SIZE / 4); i++) {
		state = state * 1664525U + 1013904223U;
		words[i] = state;
	}
	return (const char *)words;
}

int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

double cpu_seconds(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

socklen_t address_read(struct sockaddr_storage *address, const char *text, uint16_t port)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1) {
		memcpy(address, &ipv4, sizeof(ipv4));
		return sizeof(ipv4);
	}
	if (inet_pton(AF_INET6, text, &ipv6.sin6_addr) == 1) {
		memcpy(address, &ipv6, sizeof(ipv6));
		return sizeof(ipv6);
	}
	fprintf(stderr, "load: \"%s\" is not an address\n", text);
	exit(2);
}

int socket_make(int family, const char *congestion)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		die("a socket");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		die("TCP_NODELAY");
	if (congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion,
				     (socklen_t)strlen(congestion)) < 0)
		die(congestion);
	return fd;
}

int connection_start(const struct sockaddr_storage *address, socklen_t length,
		     const char *congestion)
{
	int fd = socket_make(address->ss_family, congestion);
	int error;

	if (!connect(fd, (const struct sockaddr *)address, length) || errno == EINPROGRESS)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

void watch(int epoll, int op, int fd, uint32_t events, void *owner)
{
	struct epoll_event event = { .events = events, .data.ptr = owner };

	if (epoll_ctl(epoll, op, fd, &event) < 0)
		die("epoll_ctl");
}

void connection_reset(int fd)
{
	struct linger at_once = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}
