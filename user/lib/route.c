// SPDX-License-Identifier: GPL-2.0
/* See route.h. */
#include "route.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"

struct answer {
	uint8_t next_hop[16];
	bool has_next_hop;
	int ifindex;
};

static int on_attribute(const struct nlattr *attribute, void *context)
{
	struct answer *answer = context;
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (mnl_attr_get_type(attribute) == RTA_OIF)
		answer->ifindex = (int)mnl_attr_get_u32(attribute);
	if (mnl_attr_get_type(attribute) != RTA_GATEWAY)
		return MNL_CB_OK;
	if (mnl_attr_get_payload_len(attribute) == 4) {
		memcpy(answer->next_hop, mapped, sizeof(mapped));
		memcpy(answer->next_hop + 12, mnl_attr_get_payload(attribute), 4);
	} else if (mnl_attr_get_payload_len(attribute) == 16) {
		memcpy(answer->next_hop, mnl_attr_get_payload(attribute), 16);
	}
	answer->has_next_hop = true;
	return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *message, void *context)
{
	if (message->nlmsg_type == RTM_NEWROUTE)
		mnl_attr_parse(message, sizeof(struct rtmsg), on_attribute, context);
	return MNL_CB_OK;
}

/* 0, or a negative errno when there is no route. */
static int ask(const uint8_t address[16], struct answer *answer)
{
	char buffer[8192]; /* a route is a few hundred bytes */
	struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);
	bool ipv4 = address_is_ipv4(address);
	struct nlmsghdr *message;
	struct rtmsg *route;
	ssize_t length;
	int result = 0;

	if (!socket)
		return -errno;
	message = mnl_nlmsg_put_header(buffer);
	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST;
	route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
	route->rtm_family = ipv4 ? AF_INET : AF_INET6;
	route->rtm_dst_len = ipv4 ? 32 : 128;
	mnl_attr_put(message, RTA_DST, ipv4 ? 4 : 16, ipv4 ? address + 12 : address);
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		result = -errno;
	length = result ? -1 : mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (!result &&
	    (length < 0 || mnl_cb_run(buffer, (size_t)length, 0, 0, on_route, answer) < 0))
		result = -errno;
	mnl_socket_close(socket);
	return result;
}

int route_interface(const uint8_t address[16], int *ifindex)
{
	struct answer answer = { 0 };
	int result = ask(address, &answer);

	*ifindex = answer.ifindex;
	return result;
}

int route_next_hop(const uint8_t address[16], uint8_t next_hop[16])
{
	struct answer answer = { 0 };
	int result = ask(address, &answer);

	if (result)
		return result;
	memcpy(next_hop, answer.next_hop, sizeof(answer.next_hop));
	return answer.has_next_hop ? 0 : -ENOENT;
}
