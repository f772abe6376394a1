// SPDX-License-Identifier: GPL-2.0
/* See routing.h. */
#include "routing.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tables.h"

/* Lower than any metric that a route gets without asking for one, so that in
 * IPv6, too, ours is the first of the table. */
#define ROUTE_METRIC 1

struct routing {
	struct mnl_socket *socket;
	uint32_t sequence;
};

/* One of the two rules, or the route. */
struct step {
	const char *what; /* as in an error message, "add" or "remove" before it */
	void (*put)(struct nlmsghdr *message, unsigned char family);
	uint16_t add; /* type of the netlink message */
	uint16_t remove;
};

static void put_rule(struct nlmsghdr *message, unsigned char family, uint32_t pref, uint32_t table)
{
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(message, sizeof(*rule));

	rule->family = family;
	rule->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(message, FRA_PRIORITY, pref);
	mnl_attr_put_u32(message, FRA_FWMARK, MARK_STEAL);
	mnl_attr_put_u32(message, FRA_FWMASK, MARK_MASK);
	mnl_attr_put_u32(message, FRA_TABLE, table);
	mnl_attr_put_u8(message, FRA_PROTOCOL, ROUTING_PROTOCOL);
}

static void put_source_rule(struct nlmsghdr *message, unsigned char family)
{
	put_rule(message, family, ROUTING_PREF, RT_TABLE_MAIN);
	mnl_attr_put_strz(message, FRA_IIFNAME, "lo");
}

static void put_steal_rule(struct nlmsghdr *message, unsigned char family)
{
	put_rule(message, family, ROUTING_PREF + 1, ROUTING_TABLE);
}

static void put_local_route(struct nlmsghdr *message, unsigned char family)
{
	struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));

	route->rtm_family = family;
	route->rtm_table = RT_TABLE_UNSPEC; /* RTA_TABLE has it */
	route->rtm_protocol = ROUTING_PROTOCOL;
	route->rtm_scope = RT_SCOPE_HOST;
	route->rtm_type = RTN_LOCAL;
	mnl_attr_put_u32(message, RTA_TABLE, ROUTING_TABLE);
	mnl_attr_put_u32(message, RTA_OIF, if_nametoindex("lo"));
	/* In IPv4 no metric is 0, the lowest. */
	if (family == AF_INET6)
		mnl_attr_put_u32(message, RTA_PRIORITY, ROUTE_METRIC);
}

/* The route comes first: no packet may find the rules without it. */
static const struct step steps[] = {
	{ "the local route", put_local_route, RTM_NEWROUTE, RTM_DELROUTE },
	{ "the rule for reverse path checks", put_source_rule, RTM_NEWRULE, RTM_DELRULE },
	{ "the rule for marked packets", put_steal_rule, RTM_NEWRULE, RTM_DELRULE },
};

#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

/* Sends the message and waits for the kernel's verdict. 0 or a negative errno. */
static int transact(struct routing *routing, struct nlmsghdr *message)
{
	char answer[MNL_SOCKET_BUFFER_SIZE];
	unsigned int port = mnl_socket_get_portid(routing->socket);
	ssize_t length;
	int result;

	message->nlmsg_seq = ++routing->sequence;
	if (mnl_socket_sendto(routing->socket, message, message->nlmsg_len) < 0)
		return -errno;
	do {
		length = mnl_socket_recvfrom(routing->socket, answer, sizeof(answer));
		if (length < 0)
			return -errno;
		result = mnl_cb_run(answer, (size_t)length, routing->sequence, port, NULL, NULL);
	} while (result == MNL_CB_OK);
	return result < 0 ? -errno : 0;
}

static int step_do(struct routing *routing, const struct step *step, unsigned char family, bool add)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = add ? step->add : step->remove;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	/* Without NLM_F_EXCL: whoever has an equal rule keeps it, and we have our own. */
	if (add)
		message->nlmsg_flags |= NLM_F_CREATE;
	step->put(message, family);
	return transact(routing, message);
}

/* Removes every instance of what is tagged as ours. */
static int family_remove(struct routing *routing, unsigned char family)
{
	int first = 0;

	for (size_t i = STEP_COUNT; i-- > 0;) {
		int result;

		do
			result = step_do(routing, &steps[i], family, false);
		while (result == 0);
		/* Gone already: a rule, a route, the table, or the whole family. */
		if (result != -ENOENT && result != -ESRCH && result != -EAFNOSUPPORT &&
		    result != -EOPNOTSUPP && !first)
			first = result;
	}
	return first;
}

/* What the user can do about an error. */
static const char *advice(unsigned char family, int error)
{
	switch (error) {
	case -EPERM:
		return "run as root";
	case -ENETDOWN:
		return "run `ip link set lo up`";
	case -EACCES:
		if (family == AF_INET6)
			return "run `sysctl net.ipv6.conf.lo.disable_ipv6=0`";
		return "see what the security modules of the system allow";
	case -EAFNOSUPPORT:
	case -EOPNOTSUPP:
		return "the kernel needs CONFIG_IP_MULTIPLE_TABLES and CONFIG_IPV6_MULTIPLE_TABLES";
	default:
		return "see `ip rule` and `ip route show table all`";
	}
}

/* A system may have IPv6 in its kernel and switched off on every interface.
 * Then the route is refused, and nobody misses it. */
static bool ipv6_unused(void)
{
	FILE *addresses = fopen("/proc/net/if_inet6", "re");
	bool unused;

	if (!addresses)
		return errno == ENOENT;
	unused = fgetc(addresses) == EOF;
	fclose(addresses);
	return unused;
}

static int family_add(struct routing *routing, unsigned char family, char *error, size_t size)
{
	for (size_t i = 0; i < STEP_COUNT; i++) {
		int result = step_do(routing, &steps[i], family, true);

		if (result == -EACCES && family == AF_INET6 && ipv6_unused())
			return family_remove(routing, family);
		if (result) {
			snprintf(error, size, "cannot add %s (IPv%d, table %d): %s: %s",
				 steps[i].what, family == AF_INET6 ? 6 : 4, ROUTING_TABLE,
				 strerror(-result), advice(family, result));
			return result;
		}
	}
	return 0;
}

static bool kernel_has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno != EAFNOSUPPORT;
	close(fd);
	return true;
}

static int routing_open(struct routing *routing)
{
	routing->sequence = 0;
	routing->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!routing->socket)
		return -errno;
	if (mnl_socket_bind(routing->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int result = -errno;

		mnl_socket_close(routing->socket);
		return result;
	}
	return 0;
}

static int remove_all(struct routing *routing)
{
	int ipv4 = family_remove(routing, AF_INET);
	int ipv6 = family_remove(routing, AF_INET6);

	return ipv4 ? ipv4 : ipv6;
}

int routing_add(char *error, size_t size)
{
	struct routing routing;
	int result = routing_open(&routing);

	if (result) {
		snprintf(error, size, "cannot open a rtnetlink socket: %s", strerror(-result));
		return result;
	}
	result = remove_all(&routing);
	if (result) {
		snprintf(error, size, "cannot clear the policy routing of an earlier run: %s: %s",
			 strerror(-result), advice(AF_UNSPEC, result));
		goto out;
	}
	result = family_add(&routing, AF_INET, error, size);
	if (!result && kernel_has_ipv6())
		result = family_add(&routing, AF_INET6, error, size);
	if (result)
		remove_all(&routing);
out:
	mnl_socket_close(routing.socket);
	return result;
}

int routing_remove(void)
{
	struct routing routing;
	int result = routing_open(&routing);

	if (result)
		return result;
	result = remove_all(&routing);
	mnl_socket_close(routing.socket);
	return result;
}
