// SPDX-License-Identifier: GPL-2.0
/* See time_wait.h. */
#include "time_wait.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "socket_diag.h"

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

static int find(struct mnl_socket *socket, uint8_t family, struct search *search)
{
	struct inet_diag_req_v2 request = { .sdiag_family = family,
					    .sdiag_protocol = IPPROTO_TCP,
					    .idiag_states = 1U << TCP_TIME_WAIT };
	int result = socket_diag_ask(socket, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request);

	return result ?: socket_diag_answers(socket, on_entry, search);
}

int time_wait_remove(time_wait_filter *filter, const void *context)
{
	struct search search = { .filter = filter, .context = context };
	struct mnl_socket *socket = socket_diag_open();
	int result, one;

	if (!socket)
		return -errno;
	result = find(socket, AF_INET, &search);
	result = result ?: find(socket, AF_INET6, &search);
	for (size_t i = 0; i < search.count; i++) {
		one = socket_diag_ask(socket, SOCK_DESTROY, NLM_F_ACK, &search.found[i]);
		one = one ?: socket_diag_answers(socket, NULL, NULL);
		if (one && one != -ENOENT) /* it may have ended by itself */
			result = result ?: one;
	}
	mnl_socket_close(socket);
	free(search.found);
	return result;
}

int time_wait_remove_one(const uint8_t local[16], uint16_t local_port, const uint8_t remote[16],
			 uint16_t remote_port)
{
	struct inet_diag_req_v2 found;
	struct mnl_socket *socket;
	int result = socket_diag_find(local, local_port, remote, remote_port, &found);

	if (result)
		return result;
	/* Whatever else has that name is not ours to end: the cookie tells. */
	if (found.idiag_states != 1U << TCP_TIME_WAIT)
		return -EBUSY;
	socket = socket_diag_open();
	if (!socket)
		return -errno;
	result = socket_diag_ask(socket, SOCK_DESTROY, NLM_F_ACK, &found);
	result = result ?: socket_diag_answers(socket, NULL, NULL);
	mnl_socket_close(socket);
	return result;
}
