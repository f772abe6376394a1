// SPDX-License-Identifier: GPL-2.0
/* Talks to the kernel's MPTCP path manager by generic netlink; see mptcp.h. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/mptcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "mptcp.h"

/* All connections have one pair of addresses, and an address has one id: to the
 * kernel they are connections of one interface. Not 0, which is the first one's. */
#define ADDRESS_ID 1

struct mptcp_manager {
	struct mnl_socket *socket;
	uint16_t family; /* of generic netlink */
	uint32_t sequence;
};

/* Sends a request and reads what answers it. 0 or a negative errno. */
static int transact(struct mptcp_manager *manager, struct nlmsghdr *message, mnl_cb_t on_answer,
		    void *context)
{
	char answer[MNL_SOCKET_BUFFER_SIZE];
	unsigned int port = mnl_socket_get_portid(manager->socket);
	ssize_t length;
	int result;

	message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = ++manager->sequence;
	if (mnl_socket_sendto(manager->socket, message, message->nlmsg_len) < 0)
		return -errno;
	do {
		length = mnl_socket_recvfrom(manager->socket, answer, sizeof(answer));
		if (length < 0)
			return -errno;
		result = mnl_cb_run(answer, (size_t)length, manager->sequence, port, on_answer,
				    context);
	} while (result == MNL_CB_OK);
	return result < 0 ? -errno : 0;
}

static struct nlmsghdr *put_header(char *buffer, uint16_t type, uint8_t command, uint8_t version)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *generic;

	message->nlmsg_type = type;
	generic = mnl_nlmsg_put_extra_header(message, sizeof(*generic));
	generic->cmd = command;
	generic->version = version;
	return message;
}

static int on_family_attribute(const struct nlattr *attribute, void *family)
{
	if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID)
		*(uint16_t *)family = mnl_attr_get_u16(attribute);
	return MNL_CB_OK;
}

static int on_family(const struct nlmsghdr *message, void *family)
{
	return mnl_attr_parse(message, sizeof(struct genlmsghdr), on_family_attribute, family);
}

static int find_family(struct mptcp_manager *manager)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *message = put_header(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	int result;

	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, MPTCP_PM_NAME);
	result = transact(manager, message, on_family, &manager->family);
	if (!result && manager->family == 0)
		result = -ENOENT;
	return result;
}

int mptcp_manager_open(struct mptcp_manager **manager)
{
	struct mptcp_manager *new = calloc(1, sizeof(*new));
	int result = 0;

	*manager = NULL;
	if (!new)
		return -ENOMEM;
	new->socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!new->socket || mnl_socket_bind(new->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		result = -errno;
	result = result ?: find_family(new);
	if (result) {
		mptcp_manager_close(new);
		return result;
	}
	*manager = new;
	return 0;
}

void mptcp_manager_close(struct mptcp_manager *manager)
{
	if (!manager)
		return;
	if (manager->socket)
		mnl_socket_close(manager->socket);
	free(manager);
}

static void put_address(struct nlmsghdr *message, uint16_t type,
			const struct sockaddr_storage *address, bool is_remote)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;
	struct nlattr *nest = mnl_attr_nest_start(message, type);

	mnl_attr_put_u16(message, MPTCP_PM_ADDR_ATTR_FAMILY, address->ss_family);
	if (address->ss_family == AF_INET)
		mnl_attr_put(message, MPTCP_PM_ADDR_ATTR_ADDR4, 4, &ipv4->sin_addr);
	else
		mnl_attr_put(message, MPTCP_PM_ADDR_ATTR_ADDR6, 16, &ipv6->sin6_addr);
	/* The port is in host byte order; here the kernel chooses one. */
	if (is_remote)
		mnl_attr_put_u16(message, MPTCP_PM_ADDR_ATTR_PORT, ntohs(ipv4->sin_port));
	else
		mnl_attr_put_u8(message, MPTCP_PM_ADDR_ATTR_ID, ADDRESS_ID);
	mnl_attr_nest_end(message, nest);
}

int mptcp_add_connection(struct mptcp_manager *manager, int fd, uint32_t token)
{
	struct sockaddr_storage local, remote;
	socklen_t local_length = sizeof(local), remote_length = sizeof(remote);
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *message;

	if (getsockname(fd, (struct sockaddr *)&local, &local_length) < 0 ||
	    getpeername(fd, (struct sockaddr *)&remote, &remote_length) < 0)
		return -errno;
	message = put_header(buffer, manager->family, MPTCP_PM_CMD_SUBFLOW_CREATE, MPTCP_PM_VER);
	put_address(message, MPTCP_PM_ATTR_ADDR, &local, false);
	mnl_attr_put_u32(message, MPTCP_PM_ATTR_TOKEN, token);
	put_address(message, MPTCP_PM_ATTR_ADDR_REMOTE, &remote, true);
	return transact(manager, message, NULL, NULL);
}

static int on_limits_attribute(const struct nlattr *attribute, void *subflows)
{
	if (mnl_attr_get_type(attribute) == MPTCP_PM_ATTR_SUBFLOWS)
		*(uint32_t *)subflows = mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

static int on_limits(const struct nlmsghdr *message, void *subflows)
{
	return mnl_attr_parse(message, sizeof(struct genlmsghdr), on_limits_attribute, subflows);
}

int mptcp_limit(struct mptcp_manager *manager, uint32_t *subflows)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];

	*subflows = 0;
	return transact(manager,
			put_header(buffer, manager->family, MPTCP_PM_CMD_GET_LIMITS, MPTCP_PM_VER),
			on_limits, subflows);
}

int mptcp_set_limit(struct mptcp_manager *manager, uint32_t subflows)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *message = put_header(buffer, manager->family, MPTCP_PM_CMD_SET_LIMITS,
					      MPTCP_PM_VER);

	mnl_attr_put_u32(message, MPTCP_PM_ATTR_SUBFLOWS, subflows);
	return transact(manager, message, NULL, NULL);
}
