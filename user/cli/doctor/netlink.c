/* SPDX-License-Identifier: GPL-2.0 */
/* See netlink.h. */
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "address.h"

/* Sends the message and gives every answer to callback. 0 or a negative errno. */
static int ask(struct nlmsghdr *message, mnl_cb_t callback, void *context)
{
	char buffer[32768];
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int result = MNL_CB_OK;

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		result = MNL_CB_ERROR;
	while (result == MNL_CB_OK) {
		ssize_t length = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		result = length < 0 ? MNL_CB_ERROR
				    : mnl_cb_run(buffer, (size_t)length, 0, 0, callback, context);
		if (!(message->nlmsg_flags & NLM_F_DUMP))
			break;
	}
	result = result == MNL_CB_ERROR ? -errno : 0;
	mnl_socket_close(socket);
	return result;
}

/* ---- rules ---- */

struct rules {
	void (*visit)(const struct ip_rule *rule, void *context);
	void *context;
};

static void format_prefix(int family, const struct nlattr *attribute, uint8_t length, char text[64])
{
	char address[INET6_ADDRSTRLEN];

	if (inet_ntop(family, mnl_attr_get_payload(attribute), address, sizeof(address)))
		snprintf(text, 64, "%s/%u", address, length);
}

static int on_rule_attribute(const struct nlattr *attribute, void *context)
{
	struct ip_rule *rule = context;

	switch (mnl_attr_get_type(attribute)) {
	case FRA_PRIORITY:
		rule->pref = mnl_attr_get_u32(attribute);
		break;
	case FRA_FWMARK:
		rule->mark = mnl_attr_get_u32(attribute);
		break;
	case FRA_FWMASK:
		rule->mask = mnl_attr_get_u32(attribute);
		break;
	case FRA_TABLE:
		rule->table = mnl_attr_get_u32(attribute);
		break;
	case FRA_PROTOCOL:
		rule->protocol = mnl_attr_get_u8(attribute);
		break;
	case FRA_IIFNAME:
		snprintf(rule->iif, sizeof(rule->iif), "%s", mnl_attr_get_str(attribute));
		break;
	case FRA_SUPPRESS_PREFIXLEN:
		/* -1 is none; 0 is wg-quick's: everything but the default route. */
		rule->has_more |= mnl_attr_get_u32(attribute) != UINT32_MAX;
		break;
	case FRA_OIFNAME:
	case FRA_TUN_ID:
	case FRA_L3MDEV:
	case FRA_UID_RANGE:
	case FRA_IP_PROTO:
	case FRA_SPORT_RANGE:
	case FRA_DPORT_RANGE:
		rule->has_more = true;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* Prefixes, whose length is in the header. */
static int on_rule_prefix(const struct nlattr *attribute, void *context)
{
	const struct fib_rule_hdr *header = ((const void **)context)[0];
	struct ip_rule *rule = ((void **)context)[1];

	if (mnl_attr_get_type(attribute) == FRA_SRC)
		format_prefix(header->family, attribute, header->src_len, rule->from);
	if (mnl_attr_get_type(attribute) == FRA_DST)
		format_prefix(header->family, attribute, header->dst_len, rule->to);
	return MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *message, void *context)
{
	const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
	struct ip_rule rule = { .family = header->family,
				.table = header->table,
				.has_more = header->tos != 0,
				.inverted = header->flags & FIB_RULE_INVERT };
	const void *prefixes[] = { header, &rule };
	struct rules *rules = context;

	mnl_attr_parse(message, sizeof(*header), on_rule_attribute, &rule);
	mnl_attr_parse(message, sizeof(*header), on_rule_prefix, prefixes);
	if (header->action != FR_ACT_TO_TBL)
		rule.table = 0;
	rules->visit(&rule, rules->context);
	return MNL_CB_OK;
}

int netlink_rules(int family, void (*visit)(const struct ip_rule *rule, void *context),
		  void *context)
{
	char buffer[512];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	struct rules rules = { visit, context };

	message->nlmsg_type = RTM_GETRULE;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->family = (uint8_t)family;
	return ask(message, on_rule, &rules);
}

/* ---- routes ---- */

struct routes {
	uint32_t table;
	uint8_t protocol;
	int ifindex;
	int count;
};

/* Of one route. */
struct route_seen {
	uint32_t table;
	int ifindex;
};

static int on_route_attribute(const struct nlattr *attribute, void *context)
{
	struct route_seen *seen = context;

	if (mnl_attr_get_type(attribute) == RTA_TABLE)
		seen->table = mnl_attr_get_u32(attribute);
	if (mnl_attr_get_type(attribute) == RTA_OIF)
		seen->ifindex = (int)mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	struct route_seen seen = { .table = route->rtm_table };
	struct routes *routes = context;

	mnl_attr_parse(message, sizeof(*route), on_route_attribute, &seen);
	routes->count += seen.table == routes->table &&
			 (!routes->protocol || route->rtm_protocol == routes->protocol) &&
			 (!routes->ifindex || seen.ifindex == routes->ifindex);
	return MNL_CB_OK;
}

int netlink_routes(int family, uint32_t table, uint8_t protocol, int ifindex)
{
	char buffer[512];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
	struct routes routes = { table ?: RT_TABLE_MAIN, protocol, ifindex, 0 };
	int result;

	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	route->rtm_family = (uint8_t)family;
	result = ask(message, on_route, &routes);
	return result < 0 ? result : routes.count;
}

static int on_answer(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type == RTM_NEWROUTE)
		*(bool *)context = route->rtm_type == RTN_LOCAL;
	return MNL_CB_OK;
}

int netlink_route_of(const uint8_t source[16], const uint8_t target[16], int iif, uint32_t mark,
		     bool *is_local)
{
	bool ipv4 = address_is_ipv4(target);
	char buffer[512];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));

	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST;
	route->rtm_family = ipv4 ? AF_INET : AF_INET6;
	route->rtm_dst_len = route->rtm_src_len = ipv4 ? 32 : 128;
	mnl_attr_put(message, RTA_DST, ipv4 ? 4 : 16, ipv4 ? target + 12 : target);
	mnl_attr_put(message, RTA_SRC, ipv4 ? 4 : 16, ipv4 ? source + 12 : source);
	mnl_attr_put_u32(message, RTA_MARK, mark);
	if (iif)
		mnl_attr_put_u32(message, RTA_IIF, (uint32_t)iif);
	*is_local = false;
	return ask(message, on_answer, is_local);
}
