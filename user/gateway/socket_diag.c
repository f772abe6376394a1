// SPDX-License-Identifier: GPL-2.0
/* See socket_diag.h. */
#include "socket_diag.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"

struct mnl_socket *socket_diag_open(void)
{
	struct mnl_socket *socket = mnl_socket_open(NETLINK_SOCK_DIAG);
	int error;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0)
		return socket;
	error = errno;
	mnl_socket_close(socket);
	errno = error;
	return NULL;
}

int socket_diag_ask(struct mnl_socket *socket, uint16_t type, uint16_t flags,
		    const struct inet_diag_req_v2 *request)
{
	char buffer[sizeof(struct nlmsghdr) + 128];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = type;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	memcpy(mnl_nlmsg_put_extra_header(message, sizeof(*request)), request, sizeof(*request));
	return mnl_socket_sendto(socket, message, message->nlmsg_len) < 0 ? -errno : 0;
}

int socket_diag_answers(struct mnl_socket *socket, mnl_cb_t callback, void *context)
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

int socket_diag_find(const uint8_t local[16], uint16_t local_port, const uint8_t remote[16],
		     uint16_t remote_port, struct inet_diag_req_v2 *found)
{
	bool ipv4 = address_is_ipv4(local);
	struct mnl_socket *socket = socket_diag_open();
	int result;

	if (!socket)
		return -errno;
	*found = (struct inet_diag_req_v2){ .sdiag_family = ipv4 ? AF_INET : AF_INET6,
					    .sdiag_protocol = IPPROTO_TCP,
					    .id = { .idiag_sport = htons(local_port),
						    .idiag_dport = htons(remote_port),
						    .idiag_cookie = { INET_DIAG_NOCOOKIE,
								      INET_DIAG_NOCOOKIE } } };
	put_address(local, ipv4, found->id.idiag_src);
	put_address(remote, ipv4, found->id.idiag_dst);
	result = socket_diag_ask(socket, SOCK_DIAG_BY_FAMILY, NLM_F_ACK, found);
	result = result ?: socket_diag_answers(socket, on_one, found);
	mnl_socket_close(socket);
	return result;
}
