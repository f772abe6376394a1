// SPDX-License-Identifier: GPL-2.0
/* Next-hop entries: a router that stands for all that lies behind it. */
#include <net/if.h>

#include "lan.h"
#include "rig.h"

#define TO_STRANGER                                   \
	{                                             \
		.to_mac = GATEWAY_MAC, .to = STRANGER \
	}

static void router(bool ipv6)
{
	rig_set_proxy(ROUTER, ipv6, PROXY_NEXTHOP);
	intercept_set_nexthop_entries(rig.intercept, 1);
}

static void router_not_counted(bool ipv6)
{
	rig_set_proxy(ROUTER, ipv6, PROXY_NEXTHOP);
}

static void router_without_flag(bool ipv6)
{
	rig_set_proxy(ROUTER, ipv6, 0);
	intercept_set_nexthop_entries(rig.intercept, 1);
}

static void another_router(bool ipv6)
{
	rig_set_proxy(CLIENT, ipv6, PROXY_NEXTHOP);
	intercept_set_nexthop_entries(rig.intercept, 1);
}

static void router_of_the_other_family(bool ipv6)
{
	router(!ipv6);
}

static void open_rig(void)
{
	rig_open(NULL);
	lan_open();
}

static uint32_t lan_ifindex(void)
{
	return if_nametoindex("lan");
}

#define CHECK_LAN_ROWS(rows)                                                          \
	rig_check_rows(rig.skeleton->progs.lan_ingress_ethernet, lan_ifindex(), rows, \
		       sizeof(rows) / sizeof((rows)[0]))

static const struct row rows[] = {
	{ "SYN to a host behind the router", BOTH_FAMILIES, TO_STRANGER, HOLD, COUNTED_syn_held,
	  .arrange = router },
	{ "ACK to a host behind the router",
	  BOTH_FAMILIES,
	  { .to_mac = GATEWAY_MAC, .to = STRANGER, .flags = ACK },
	  PASS,
	  COUNTED_older_flow,
	  .arrange = router },
	{ "port that is not registered",
	  BOTH_FAMILIES,
	  { .to_mac = GATEWAY_MAC, .to = STRANGER, .to_port = 81 },
	  PASS,
	  COUNTED_no_port,
	  .arrange = router },
	{ "SYN longer than the MTU",
	  BOTH_FAMILIES,
	  { .to_mac = GATEWAY_MAC, .to = STRANGER, .payload = 1600 },
	  HOLD,
	  COUNTED_syn_held,
	  .arrange = router },
	{ "the router itself",
	  BOTH_FAMILIES,
	  { .to_mac = GATEWAY_MAC, .to = ROUTER },
	  HOLD,
	  COUNTED_syn_held,
	  .arrange = router },
	{ "the router itself, no next-hop entry counted",
	  BOTH_FAMILIES,
	  { .to_mac = GATEWAY_MAC, .to = ROUTER },
	  HOLD,
	  COUNTED_syn_held,
	  .arrange = router_not_counted },
	{ "a remote with an entry of its own",
	  BOTH_FAMILIES,
	  { .to_mac = GATEWAY_MAC },
	  HOLD,
	  COUNTED_syn_held,
	  .arrange = another_router },
	{ "no next-hop entry counted", BOTH_FAMILIES, TO_STRANGER, PASS, COUNTED_no_proxy,
	  .arrange = router_not_counted },
	{ "entry of the router as a remote", BOTH_FAMILIES, TO_STRANGER, PASS, COUNTED_no_proxy,
	  .arrange = router_without_flag },
	{ "entry of another router", BOTH_FAMILIES, TO_STRANGER, PASS, COUNTED_no_proxy,
	  .arrange = another_router },
	{ "entry of the other family's router", BOTH_FAMILIES, TO_STRANGER, PASS, COUNTED_no_proxy,
	  .arrange = router_of_the_other_family },
	{ "host on the LAN itself",
	  BOTH_FAMILIES,
	  { .to_mac = GATEWAY_MAC, .from = STRANGER, .to = CLIENT },
	  PASS,
	  COUNTED_no_proxy,
	  .arrange = router },
};

Test(nexthop, router_with_an_entry_stands_for_what_lies_behind_it)
{
	open_rig();
	CHECK_LAN_ROWS(rows);
}

static const struct row behind_router[] = {
	{ "SYN to a host behind the router", BOTH_FAMILIES, TO_STRANGER, HOLD, COUNTED_syn_held,
	  .arrange = router },
};

static const struct row not_behind_router[] = {
	{ "SYN to a host that is not behind the router", BOTH_FAMILIES, TO_STRANGER, PASS,
	  COUNTED_no_proxy, .arrange = router },
};

/* Routes to the remotes by the Ethernet interface, where routers have link addresses. */
static void route_by_ethernet(void)
{
	rig_command("ip address flush dev wanraw && ip link set wanraw down");
	rig_command("ip address add 198.51.100.1/24 dev wan && "
		    "ip address add 2001:db8:3::1/64 dev wan nodad");
	rig_command("ip route replace 203.0.113.0/24 via %s && "
		    "ip route replace 2001:db8:2::/64 via %s",
		    ROUTER4, ROUTER6);
}

Test(nexthop, router_is_found_before_and_after_its_link_address_is_known)
{
	open_rig();
	route_by_ethernet();
	CHECK_LAN_ROWS(behind_router);
	rig_command("ip neigh add %s lladdr 02:00:00:00:00:0e dev wan && "
		    "ip neigh add %s lladdr 02:00:00:00:00:0e dev wan",
		    ROUTER4, ROUTER6);
	CHECK_LAN_ROWS(behind_router);
}

Test(nexthop, destination_that_no_router_leads_to_passes)
{
	open_rig();
	rig_command("ip route replace unreachable 203.0.113.0/24 && "
		    "ip route replace unreachable 2001:db8:2::/64");
	CHECK_LAN_ROWS(not_behind_router);
	rig_command("ip route replace blackhole 203.0.113.0/24 && "
		    "ip route replace blackhole 2001:db8:2::/64");
	CHECK_LAN_ROWS(not_behind_router);
	rig_command("ip route del 203.0.113.0/24 && ip route del 2001:db8:2::/64");
	CHECK_LAN_ROWS(not_behind_router);
	rig_command("ip route add 203.0.113.0/24 dev wanraw && "
		    "ip route add 2001:db8:2::/64 dev wanraw");
	CHECK_LAN_ROWS(not_behind_router);
}

Test(nexthop, nothing_is_matched_where_nothing_is_forwarded)
{
	open_rig();
	rig_command("echo 0 >/proc/sys/net/ipv4/ip_forward");
	rig_command("echo 0 >/proc/sys/net/ipv6/conf/all/forwarding");
	CHECK_LAN_ROWS(not_behind_router);
}

/* RFC 5549: an IPv4 route with an IPv6 router. */
static void ipv6_router(bool ipv6)
{
	(void)ipv6;
	router(true);
}

static const struct row inet6_rows[] = {
	{ "entry of the IPv6 router", IPV4_ONLY, TO_STRANGER, HOLD, COUNTED_syn_held,
	  .arrange = ipv6_router },
	{ "entry of the IPv4 router", IPV4_ONLY, TO_STRANGER, PASS, COUNTED_no_proxy,
	  .arrange = router },
};

Test(nexthop, ipv4_route_by_an_ipv6_router_is_matched_by_that_router)
{
	open_rig();
	rig_command("ip route replace 203.0.113.0/24 via inet6 %s dev wanraw", ROUTER6);
	CHECK_LAN_ROWS(inet6_rows);
}
