// SPDX-License-Identifier: GPL-2.0
/* See lan_addresses.h. */
#include "lan_addresses.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* How good an address is. */
enum rank {
	RANK_NONE,
	RANK_ELSEWHERE, /* of another interface */
	RANK_HERE,
	RANK_BEFORE, /* the one that is in use */
};

/* The kernel takes no packets for addresses of another interface that is down. */
static bool is_usable(const struct ifaddrs *entry, bool is_here)
{
	const struct sockaddr_in6 *ipv6;

	if (!entry->ifa_addr || entry->ifa_flags & IFF_LOOPBACK ||
	    (!is_here && !(entry->ifa_flags & IFF_UP)))
		return false;
	if (entry->ifa_addr->sa_family == AF_INET)
		return true;
	ipv6 = (const struct sockaddr_in6 *)(const void *)entry->ifa_addr;
	return entry->ifa_addr->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&ipv6->sin6_addr);
}

/* Takes the address if it is better than what there is. */
static void consider(const void *address, size_t length, const void *before, bool is_here,
		     void *best, enum rank *rank)
{
	enum rank this = is_here ? RANK_HERE : RANK_ELSEWHERE;

	if (memcmp(address, before, length) == 0)
		this = RANK_BEFORE;
	if (this <= *rank)
		return;
	memcpy(best, address, length);
	*rank = this;
}

/* Nothing arrives by an interface that is down, and flows know their address when it
 * is up again. Until then it may be without them, IPv6's above all. */
static void keep(const struct lan_interface *before, struct lan_interface *now)
{
	static const uint8_t none[sizeof(now->ipv6)];

	if (before->ipv4)
		now->ipv4 = before->ipv4;
	if (memcmp(before->ipv6, none, sizeof(none)) != 0)
		memcpy(now->ipv6, before->ipv6, sizeof(now->ipv6));
}

int lan_addresses_read(const char *dev, const struct lan_interface *before,
		       struct lan_interface *now)
{
	enum rank rank4 = RANK_NONE, rank6 = RANK_NONE;
	bool is_down = false;
	struct ifaddrs *list;

	memset(now, 0, sizeof(*now));
	if (getifaddrs(&list) < 0)
		return -errno;
	for (const struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
		/* an address may have a label: "lan0:vip" */
		size_t length = strcspn(entry->ifa_name, ":");
		bool is_here = strlen(dev) == length && strncmp(entry->ifa_name, dev, length) == 0;

		if (is_here && entry->ifa_addr && entry->ifa_addr->sa_family == AF_PACKET) {
			const struct sockaddr_ll *link = (const void *)entry->ifa_addr;

			memcpy(now->mac, link->sll_addr, sizeof(now->mac));
			is_down = !(entry->ifa_flags & IFF_UP);
		}
		if (!is_usable(entry, is_here))
			continue;
		if (entry->ifa_addr->sa_family == AF_INET) {
			const struct sockaddr_in *ipv4 = (const void *)entry->ifa_addr;

			consider(&ipv4->sin_addr, 4, &before->ipv4, is_here, &now->ipv4, &rank4);
		} else {
			const struct sockaddr_in6 *ipv6 = (const void *)entry->ifa_addr;

			consider(&ipv6->sin6_addr, 16, before->ipv6, is_here, now->ipv6, &rank6);
		}
	}
	freeifaddrs(list);
	if (is_down)
		keep(before, now);
	return 0;
}
