// SPDX-License-Identifier: GPL-2.0
/* See clsact.h. */
#include "clsact.h"

#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

static int on_filter(const struct nlmsghdr *message, void *found)
{
	if (message->nlmsg_type == RTM_NEWTFILTER)
		*(bool *)found = true;
	return MNL_CB_OK;
}

/* Whether one side, TC_H_MIN_INGRESS or TC_H_MIN_EGRESS, has a filter; in doubt it has. */
static bool has_filter(struct mnl_socket *socket, int ifindex, uint32_t side)
{
	char buffer[8192];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct tcmsg *filter;
	bool found = false;
	int state = MNL_CB_OK;

	request->nlmsg_type = RTM_GETTFILTER;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	filter = mnl_nlmsg_put_extra_header(request, sizeof(*filter));
	filter->tcm_family = AF_UNSPEC;
	filter->tcm_ifindex = ifindex;
	filter->tcm_parent = TC_H_MAKE(TC_H_CLSACT, side);
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return true;
	while (state == MNL_CB_OK) {
		ssize_t length = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		state = length < 0 ? MNL_CB_ERROR
				   : mnl_cb_run(buffer, (size_t)length, 0, 0, on_filter, &found);
	}
	return found || state == MNL_CB_ERROR;
}

bool clsact_is_empty(int ifindex)
{
	struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);
	bool empty;

	if (!socket)
		return false;
	empty = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
		!has_filter(socket, ifindex, TC_H_MIN_INGRESS) &&
		!has_filter(socket, ifindex, TC_H_MIN_EGRESS);
	mnl_socket_close(socket);
	return empty;
}
