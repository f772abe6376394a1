/* SPDX-License-Identifier: GPL-2.0 */
/* Lists from the kernel by rtnetlink (libmnl): policy rules, routes, traffic control filters. */
#ifndef SLUICE_DOCTOR_NETLINK_H
#define SLUICE_DOCTOR_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A rule of `ip rule`. */
struct ip_rule {
	int family; /* AF_INET or AF_INET6 */
	uint32_t pref;
	uint32_t mark, mask; /* mask 0: it does not look at the mark */
	uint32_t table; /* 0: it has another action than a lookup */
	uint8_t protocol; /* who made it */
	char iif[IFNAMSIZ]; /* "": any */
	char from[64], to[64]; /* prefixes; "": any */
	bool inverted; /* "not" */
	bool has_more; /* it looks at what is not here */
};

/* Calls visit for every rule of a family, in order of preference. 0 or a negative errno. */
int netlink_rules(int family, void (*visit)(const struct ip_rule *rule, void *context),
		  void *context);

/* How many routes of a family have this table (0: main) and protocol (0: any), and
 * leave by this interface (0: any). Negative: errno. */
int netlink_routes(int family, uint32_t table, uint8_t protocol, int ifindex);

/* The index of the interface that a packet with this mark, arriving by iif from
 * source for target, is sent to, and whether it is delivered here. 0 or a negative errno. */
int netlink_route_of(const uint8_t source[16], const uint8_t target[16], int iif, uint32_t mark,
		     bool *is_local);

#endif
