// SPDX-License-Identifier: GPL-2.0
/* See time_wait.h. */
#include "time_wait.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"

struct search {
	time_wait_filter *filter;
	const void *context;
	struct inet_diag_req_v2 *found; /* what to destroy; owned */
	size_t count;
	size_t room;
};

static void local_end(const struct inet_diag_msg *entry, uint8_t address[16], uint16_t *port)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	*port = ntohs(entry->id.idiag_sport);
	if (entry->idiag_family == AF_INET6) {
		memcpy(address, entry->id.idiag_src, 16);
	} else {
		memcpy(address, mapped, sizeof(mapped));
		memcpy(address + 12, entry->id.idiag_src, 4);
	}
}

/* Only an address of this host can be bound to. */
static bool is_local(const uint8_t address[16])
{
	struct sockaddr_storage local;
	socklen_t length = endpoint_to_sockaddr(address, 0, &local);
	int fd = socket(local.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool result;

	if (fd < 0)
		return true;
	result = bind(fd, (struct sockaddr *)&local, length) == 0 || errno != EADDRNOTAVAIL;
	close(fd);
	return result;
}

static int on_entry(const struct nlmsghdr *message, void *context)
{
	const struct inet_diag_msg *entry = mnl_nlmsg_get_payload(message);
	struct search *search = context;
	uint8_t address[16];
	uint16_t port;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*entry))
		return MNL_CB_OK;
	local_end(entry, address, &port);
	if (!search->filter(address, port, search->context) || is_local(address))
		return MNL_CB_OK;
	if (search->count == search->room) {
		size_t room = search->room ? search->room * 2 : 64;
		void *found = realloc(search->found, room * sizeof(*search->found));

		if (!found)
			return MNL_CB_ERROR;
		search->found = found;
		search->room = room;
	}
	search->found[search->count++] = (struct inet_diag_req_v2){
		.sdiag_family = entry->idiag_family, .sdiag_protocol = IPPROTO_TCP, .id = entry->id
	};
	return MNL_CB_OK;
}

static int ask(struct mnl_socket *socket, uint16_t type, uint16_t flags,
	       const struct inet_diag_req_v2 *request)
{
	char buffer[sizeof(struct nlmsghdr) + 128];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = type;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	memcpy(mnl_nlmsg_put_extra_header(message, sizeof(*request)), request, sizeof(*request));
	return mnl_socket_sendto(socket, message, message->nlmsg_len) < 0 ? -errno : 0;
}

/* Runs the answers to one request through callback. */
static int answers(struct mnl_socket *socket, mnl_cb_t callback, void *context)
{
	char buffer[32768];
	int state = MNL_CB_OK;

	while (state == MNL_CB_OK) {
		ssize_t length = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		state = length < 0 ? MNL_CB_ERROR
				   : mnl_cb_run(buffer, (size_t)length, 0, 0, callback, context);
	}
	return state == MNL_CB_ERROR ? -errno : 0;
}

static int find(struct mnl_socket *socket, uint8_t family, struct search *search)
{
	struct inet_diag_req_v2 request = { .sdiag_family = family,
					    .sdiag_protocol = IPPROTO_TCP,
					    .idiag_states = 1U << TCP_TIME_WAIT };
	int result = ask(socket, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request);

	return result ?: answers(socket, on_entry, search);
}

int time_wait_remove(time_wait_filter *filter, const void *context)
{
	struct search search = { .filter = filter, .context = context };
	struct mnl_socket *socket = mnl_socket_open(NETLINK_SOCK_DIAG);
	int result = 0, one;

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		result = -errno;
	result = result ?: find(socket, AF_INET, &search);
	result = result ?: find(socket, AF_INET6, &search);
	for (size_t i = 0; i < search.count; i++) {
		one = ask(socket, SOCK_DESTROY, NLM_F_ACK, &search.found[i]);
		one = one ?: answers(socket, NULL, NULL);
		if (one && one != -ENOENT) /* it may have ended by itself */
			result = result ?: one;
	}
	mnl_socket_close(socket);
	free(search.found);
	return result;
}

/* The answer to a question about one connection: keeps what names it, cookie included. */
static int on_one(const struct nlmsghdr *message, void *context)
{
	const struct inet_diag_msg *entry = mnl_nlmsg_get_payload(message);
	struct inet_diag_req_v2 *request = context;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*entry))
		return MNL_CB_OK;
	request->id = entry->id;
	request->idiag_states = 1U << entry->idiag_state;
	return MNL_CB_OK;
}

static void put_address(const uint8_t address[16], bool ipv4, __be32 to[4])
{
	memcpy(to, ipv4 ? address + 12 : address, ipv4 ? 4 : 16);
}

int time_wait_remove_one(const uint8_t local[16], uint16_t local_port, const uint8_t remote[16],
			 uint16_t remote_port)
{
	bool ipv4 = address_is_ipv4(local);
	struct inet_diag_req_v2 request = { .sdiag_family = ipv4 ? AF_INET : AF_INET6,
					    .sdiag_protocol = IPPROTO_TCP,
					    .id = { .idiag_sport = htons(local_port),
						    .idiag_dport = htons(remote_port),
						    .idiag_cookie = { INET_DIAG_NOCOOKIE,
								      INET_DIAG_NOCOOKIE } } };
	struct mnl_socket *socket = mnl_socket_open(NETLINK_SOCK_DIAG);
	int result = 0;

	if (!socket)
		return -errno;
	put_address(local, ipv4, request.id.idiag_src);
	put_address(remote, ipv4, request.id.idiag_dst);
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		result = -errno;
	result = result ?: ask(socket, SOCK_DIAG_BY_FAMILY, NLM_F_ACK, &request);
	result = result ?: answers(socket, on_one, &request);
	/* Whatever else has that name is not ours to end: the cookie tells. */
	if (!result && request.idiag_states != 1U << TCP_TIME_WAIT)
		result = -EBUSY;
	result = result ?: ask(socket, SOCK_DESTROY, NLM_F_ACK, &request);
	result = result ?: answers(socket, NULL, NULL);
	mnl_socket_close(socket);
	return result;
}
