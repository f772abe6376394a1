// SPDX-License-Identifier: GPL-2.0
/* See leg.h. */
#include "leg.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "rig.h"

void leg_addresses(void)
{
	rig_command("for address in %s %s %s; do ip address add $address/32 dev lo || exit; done",
		    CLIENT4, REMOTE4, GATEWAY4);
	rig_command("for address in %s %s %s; do ip address add $address/128 dev lo nodad || exit; "
		    "done",
		    CLIENT6, REMOTE6, GATEWAY6);
}

static int bound_socket(enum address_name name, bool ipv6, uint16_t port)
{
	int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0), on = 1;
	struct sockaddr_storage sa;
	uint8_t address[16];
	socklen_t length;

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	packet_address(name, ipv6, address);
	length = endpoint_to_sockaddr(address, port, &sa);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, length), 0, "%s", strerror(errno));
	return fd;
}

/* The kernel enters the route to a new IPv6 address when it gets round to it. */
static int connect_when_routed(int fd, const struct sockaddr_storage *sa, socklen_t length)
{
	const struct timespec millisecond = { .tv_nsec = 1000000 };
	int result = connect(fd, (const struct sockaddr *)sa, length);

	for (int i = 0; i < 10000 && result < 0 && errno == ENETUNREACH; i++) {
		nanosleep(&millisecond, NULL);
		result = connect(fd, (const struct sockaddr *)sa, length);
	}
	return result;
}

/* The remote's end has the mark. */
static struct leg open_to(enum address_name name, uint16_t port, uint32_t mark, bool ipv6)
{
	struct leg leg = { .listener = bound_socket(name, ipv6, port),
			   .client = bound_socket(CLIENT, ipv6, CLIENT_PORT) };
	struct sockaddr_storage sa;
	uint8_t address[16];
	socklen_t length;

	cr_assert_eq(setsockopt(leg.listener, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	cr_assert_eq(listen(leg.listener, 1), 0);
	packet_address(name, ipv6, address);
	length = endpoint_to_sockaddr(address, port, &sa);
	cr_assert_eq(connect_when_routed(leg.client, &sa, length), 0, "%s", strerror(errno));
	leg.remote = accept(leg.listener, NULL, NULL);
	cr_assert_geq(leg.remote, 0, "%s", strerror(errno));
	return leg;
}

struct leg leg_open(bool ipv6)
{
	return open_to(REMOTE, SERVICE_PORT, 0, ipv6);
}

struct leg leg_open_landed(bool ipv6)
{
	return open_to(GATEWAY, LISTEN_PORT, MARK_LAN_LEG, ipv6);
}

struct leg leg_open_own_service(bool ipv6)
{
	return open_to(GATEWAY, LISTEN_PORT, 0, ipv6);
}

void leg_listen_own_service(bool ipv6)
{
	cr_assert_eq(listen(bound_socket(GATEWAY, ipv6, LISTEN_PORT), 1), 0);
}

void leg_close(struct leg *leg)
{
	char nothing;

	close(leg->listener);
	cr_assert_eq(shutdown(leg->remote, SHUT_WR), 0);
	cr_assert_eq(read(leg->client, &nothing, 1), 0, "the remote's end is closed");
	close(leg->client);
	cr_assert_eq(read(leg->remote, &nothing, 1), 0, "the client's end is closed");
	close(leg->remote);
}
