/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Policy routing that delivers marked packets locally whatever their
 * destination, for IPv4 and IPv6, by rtnetlink (libmnl):
 *
 *   ip rule add pref P   fwmark STEAL/MASK iif lo lookup main
 *   ip rule add pref P+1 fwmark STEAL/MASK lookup TABLE
 *   ip route add local default dev lo table TABLE
 *
 * The first rule matters for hosts with src_valid_mark=1 (wg-quick sets it):
 * the kernel's reverse path check looks up the *source* with the packet's mark
 * and with iif lo, and must find the real route there.
 */
#ifndef SLUICE_ROUTING_H
#define SLUICE_ROUTING_H

#include <stddef.h>

#define ROUTING_TABLE 7471
#define ROUTING_PREF 74

/* Originator of our rules and routes ("proto 74" in ip(8)), by which they are
 * told from everybody else's. Free in the kernel's and iproute2's lists. */
#define ROUTING_PROTOCOL 74

/* Adds the above, after removing leftovers of a crashed run. Rules and routes
 * of others stay, whatever their preference and table. 0, or a negative errno
 * with one line in error (size bytes); nothing is left behind then. IPv6 is
 * skipped where the kernel has none or no interface uses it. */
int routing_add(char *error, size_t size);

/* Removes all of it. Missing pieces are no error. 0 or the first negative errno. */
int routing_remove(void);

#endif
