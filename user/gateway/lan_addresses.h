/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The gateway's own addresses on the LAN, which XDP puts in a remote's place:
 * one of each family for an interface, in the map lan_interfaces.
 */
#ifndef SLUICE_LAN_ADDRESSES_H
#define SLUICE_LAN_ADDRESSES_H

#include "tables.h"

/*
 * Reads what the interface has now, its link address included. An interface
 * without an address of a family has that of another one, as the host takes any
 * of its addresses at any interface. before is what it had, all zero at first:
 * an address that the host still has is kept, as connections have it. 0 or a
 * negative errno.
 */
int lan_addresses_read(const char *dev, const struct lan_interface *before,
		       struct lan_interface *now);

#endif
