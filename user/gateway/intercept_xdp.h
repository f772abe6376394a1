/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The XDP program on one interface, by libxdp: its dispatcher lets several
 * programs share an interface, each with a priority. Programs that it attaches
 * stay when their process dies, without harm: see docs/design.md. What a run
 * that was killed left is told by the program's name.
 */
#ifndef SLUICE_INTERCEPT_XDP_H
#define SLUICE_INTERCEPT_XDP_H

#include <stdbool.h>
#include <stddef.h>

struct intercept;
struct intercept_xdp;

/*
 * Attaches to an interface with an Ethernet header, natively where the driver
 * can, otherwise generically, and in the mode of programs that are there
 * already. Shares the maps of intercept's skeleton. 0, or a negative errno with
 * one line in error.
 */
int intercept_xdp_attach(struct intercept *intercept, const char *dev, int ifindex,
			 struct intercept_xdp **xdp, char *error, size_t size);

/* Detaches and frees; NULL is fine, and so is an interface that is gone. */
void intercept_xdp_detach(struct intercept_xdp *xdp);

/* By the driver, before the packet has a socket buffer; otherwise generically. */
bool intercept_xdp_is_native(const struct intercept_xdp *xdp);

/* Removes what a run that was killed left on any interface; returns from how
 * many. */
unsigned intercept_xdp_remove_leftovers(void);

#endif
