// SPDX-License-Identifier: GPL-2.0
/*
 * The WAN side at tc ingress: what comes back to a WAN leg that carries its
 * client's address reaches it, though the address is not this host's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "way.h"

#define DATA_LENGTH 100

/* Opens a leg from the client's address and port to the remote's trunk port.
 * Returns the SYN that left for the remote. */
static int connect_leg(const struct way *way, struct packet_spec *syn)
{
	int fd = socket(way->ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
	struct sockaddr_storage sa;
	uint8_t address[16];
	socklen_t length;

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	cr_assert_eq(setsockopt(fd, way->ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
				way->ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, sizeof(on)),
		     0);
	packet_address(CLIENT, way->ipv6, address);
	length = endpoint_to_sockaddr(address, CLIENT_PORT, &sa);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, length), 0, "%s", strerror(errno));
	packet_address(REMOTE, way->ipv6, address);
	length = endpoint_to_sockaddr(address, TRUNK_PORT, &sa);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sa, length), -1);
	cr_assert_eq(errno, EINPROGRESS, "%s", strerror(errno));
	*syn = way_read(way, way->out, CLIENT_PORT, TRUNK_PORT, SYN, "SYN of the leg");
	return fd;
}

static int socket_error(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	socklen_t length = sizeof(int);
	int error;

	cr_assert_eq(poll(&poll_fd, 1, 0), 1, "the leg has heard nothing");
	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
	return error;
}

static struct packet_spec from_remote(uint8_t flags, struct packet_spec about)
{
	return (struct packet_spec){ .from = REMOTE,
				     .to = CLIENT,
				     .from_port = TRUNK_PORT,
				     .to_port = CLIENT_PORT,
				     .flags = flags,
				     .seq = ISN,
				     .ack = about.seq + 1 };
}

static void connects(const struct way *way, int lan_out)
{
	struct packet_spec syn, next;
	char bytes[DATA_LENGTH + 1];
	int fd = connect_leg(way, &syn);

	next = from_remote(SYN | ACK, syn);
	way_arrive(way, next, COUNTED_wan_to_leg, "SYN+ACK");
	cr_expect_eq(socket_error(fd), 0, "%s: connected", way->dev);
	way_read(way, way->out, CLIENT_PORT, TRUNK_PORT, ACK, "the leg's ACK");
	next.seq = ISN + 1;
	next.flags = PSH | ACK;
	next.payload = DATA_LENGTH;
	way_arrive(way, next, COUNTED_wan_to_leg, "data");
	cr_expect_eq(recv(fd, bytes, sizeof(bytes), 0), DATA_LENGTH, "%s: data", way->dev);
	next.seq += DATA_LENGTH;
	next.payload = 0;
	next.flags = RST | ACK;
	way_arrive(way, next, COUNTED_wan_to_leg, "reset");
	cr_expect_eq(recv(fd, bytes, sizeof(bytes), 0), -1, "%s: reset", way->dev);
	cr_expect_eq(errno, ECONNRESET, "%s: reset", way->dev);
	close(fd);
	cr_expect(lan_is_quiet(lan_out), "%s: something reached the client", way->dev);
	next.flags = ACK;
	way_arrive(way, next, COUNTED_NOTHING, "packet for the client itself");
	way_read(way, lan_out, TRUNK_PORT, CLIENT_PORT, ACK, "packet for the client itself");
	while (!lan_is_quiet(way->out))
		continue;
}

Test(wan, leg_with_the_clients_address_gets_its_packets)
{
	way_check(true, connects);
}

static void refused(const struct way *way, int lan_out)
{
	struct packet_spec syn;
	int fd = connect_leg(way, &syn);

	way_arrive(way, from_remote(RST | ACK, syn), COUNTED_wan_to_leg, "RST");
	cr_expect_eq(socket_error(fd), ECONNREFUSED, "%s: refused", way->dev);
	close(fd);
	cr_expect(lan_is_quiet(lan_out), "%s: something reached the client", way->dev);
}

Test(wan, leg_with_the_clients_address_is_refused)
{
	way_check(true, refused);
}

/* Port unreachable: the one error of either family that ends a connection attempt. */
static void icmp_error(const struct way *way, int lan_out)
{
	struct packet_spec syn, error;
	int fd = connect_leg(way, &syn);

	syn.from = CLIENT;
	syn.to = REMOTE;
	syn.from_port = CLIENT_PORT;
	syn.to_port = TRUNK_PORT;
	error = (struct packet_spec){ .from = ROUTER,
				      .to = CLIENT,
				      .protocol = way->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
				      .icmp_type = way->ipv6 ? 1 : 3,
				      .icmp_code = way->ipv6 ? 4 : 3,
				      .quoted = &syn };
	way_arrive(way, error, COUNTED_icmp_to_leg, "ICMP error");
	cr_expect_eq(socket_error(fd), ECONNREFUSED, "%s: the leg heard of it", way->dev);
	close(fd);
	cr_expect(lan_is_quiet(lan_out), "%s: something reached the client", way->dev);
	way_arrive(way, error, COUNTED_NOTHING, "ICMP error about nobody's packet");
}

Test(wan, leg_with_the_clients_address_hears_of_icmp_errors)
{
	way_check(true, icmp_error);
}
