// SPDX-License-Identifier: GPL-2.0
/* See wan_leg.h. */
#include "wan_leg.h"

#include <errno.h>
#include <time.h> /* before errqueue.h, which needs struct timespec */

#include <linux/errqueue.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "log.h"
#include "mptcp.h"
#include "relay_flow.h"
#include "socket_option.h"
#include "time_wait.h"
#include "tune.h"
#include "wan_options.h"

static int family_of(const struct half_open_key *tuple)
{
	return address_is_ipv4(tuple->remote) ? AF_INET : AF_INET6;
}

/* source = client: the remote sees the client's address and port. Two flows of
 * one client port to two remotes share it, hence SO_REUSEADDR. */
static int bind_to_client(int fd, int family, const struct half_open_key *tuple)
{
	struct sockaddr_storage client;
	socklen_t length = endpoint_to_sockaddr(tuple->client, tuple->client_port, &client);
	int result;

	if (family == AF_INET)
		result = socket_set_int(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
	else
		result = socket_set_int(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
	result = result ?: socket_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (result)
		return result;
	return bind(fd, (struct sockaddr *)&client, length) < 0 ? -errno : 0;
}

static int set_error_queue(int fd, int family, int on)
{
	if (family == AF_INET)
		return socket_try_int(fd, IPPROTO_IP, IP_RECVERR, on);
	return socket_try_int(fd, IPPROTO_IPV6, IPV6_RECVERR, on);
}

static int configure(int fd, int family, const struct half_open_key *tuple,
		     const struct wan_params *params, int socket_map)
{
	int result = leg_set_options(fd);

	result = result ?: set_error_queue(fd, family, 1);
	result = result ?: wan_set_options(fd, family, params);
	if (socket_map >= 0)
		result = result ?: tune_socket(socket_map, fd, params);
	if (params->source == SOURCE_CLIENT)
		result = result ?: bind_to_client(fd, family, tuple);
	return result;
}

/*
 * connect(2), once more if the name of the connection is taken by an old leg in
 * TIME_WAIT. The kernel lets a new one follow where both ends use timestamps; a
 * client that uses its port again while the remote has none must not wait for
 * a minute, and its SYN must not be forwarded, as the old leg would take what
 * the remote answers.
 */
static int connect_leg(int fd, const struct half_open_key *tuple, uint16_t trunk_port,
		       const struct wan_params *params, const struct sockaddr *remote,
		       socklen_t length)
{
	if (connect(fd, remote, length) == 0 || errno == EINPROGRESS)
		return 0;
	if (errno != EADDRNOTAVAIL || params->source != SOURCE_CLIENT)
		return -errno;
	if (time_wait_remove_one(tuple->client, tuple->client_port, tuple->remote, trunk_port))
		return -EADDRNOTAVAIL;
	if (connect(fd, remote, length) == 0 || errno == EINPROGRESS)
		return 0;
	return -errno;
}

int wan_leg_connect(const struct half_open_key *tuple, uint16_t trunk_port,
		    const struct wan_params *params, int socket_map)
{
	int family = family_of(tuple);
	struct sockaddr_storage remote;
	socklen_t length = endpoint_to_sockaddr(tuple->remote, trunk_port, &remote);
	int fd, result;

	/* [982] MPTCP begins as one connection that offers to be joined by more. */
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    params->parallel > 1 ? IPPROTO_MPTCP : IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	result = configure(fd, family, tuple, params, socket_map);
	if (result) {
		log_warning("WAN leg: parameters refused by the kernel: %s", strerror(-result));
		goto failed;
	}
	result = connect_leg(fd, tuple, trunk_port, params, (struct sockaddr *)&remote, length);
	if (result)
		goto failed;
	return fd;
failed:
	close(fd);
	return result;
}

void wan_leg_connected(int fd, const struct half_open_key *tuple, const struct wan_params *params)
{
	set_error_queue(fd, family_of(tuple), 0);
	/* A route's congctl took the place of what was set before connect(); it may
	 * also lock it, and then that is what the operator wants. */
	wan_set_flow_control(fd, params);
}

static void take_extended_error(const struct sock_extended_err *extended, struct wan_error *error)
{
	const struct sockaddr *offender = SO_EE_OFFENDER(extended);
	struct sockaddr_storage router = { 0 };
	uint16_t port;

	if (extended->ee_origin != SO_EE_ORIGIN_ICMP && extended->ee_origin != SO_EE_ORIGIN_ICMP6)
		return;
	memcpy(&router, offender,
	       offender->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					       : sizeof(struct sockaddr_in));
	if (endpoint_from_sockaddr(&router, error->from, &port))
		return;
	error->from_icmp = true;
	error->type = extended->ee_type;
	error->code = extended->ee_code;
}

void wan_leg_error(int fd, struct wan_error *error)
{
	char control[512];
	char quoted[128];
	struct iovec into = { .iov_base = quoted, .iov_len = sizeof(quoted) };
	struct msghdr message = { .msg_iov = &into,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	socklen_t length = sizeof(error->error);

	memset(error, 0, sizeof(*error));
	if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0) {
		for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part;
		     part = CMSG_NXTHDR(&message, part)) {
			if ((part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
			    (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR))
				take_extended_error((void *)CMSG_DATA(part), error);
		}
	}
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error->error, &length);
}
