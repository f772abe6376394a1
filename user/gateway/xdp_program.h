/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The XDP program on interfaces, by libxdp: its dispatcher lets several programs
 * share an interface, each with a priority. libxdp looks programs up by their
 * numbers, which takes CAP_SYS_ADMIN, so all of this is called in the process
 * that has it (xdp_holder.c).
 */
#ifndef SLUICE_XDP_PROGRAM_H
#define SLUICE_XDP_PROGRAM_H

#include <stddef.h>

struct intercept_bpf;
struct xdp_bpf;

enum xdp_mode {
	XDP_NONE,
	XDP_GENERIC, /* after the packet has got a socket buffer */
	XDP_NATIVE, /* by the driver, before */
};

/* Whether libxdp has all that it needs here, as far as that shows before anything
 * is attached. 0, or a negative errno with one line in error. */
int xdp_program_check(char *error, size_t size);

/* The program with the maps and settings of base, not loaded yet; NULL and errno
 * on error. For xdp_bpf__destroy(). */
struct xdp_bpf *xdp_program_open(const struct intercept_bpf *base);

/*
 * Attaches to an interface, natively where the driver can, otherwise
 * generically, and in the mode of programs that are there already. Shares the
 * maps of base. egress, the link of the tc program that rewrites the answers (-1: it
 * needs none), is closed when the program is detached. 0, or a negative errno with
 * one line in error; egress is the caller's then.
 */
int xdp_program_attach(const struct intercept_bpf *base, const char *dev, int ifindex, int egress,
		       enum xdp_mode *mode, char *error, size_t size);

/* Detaches; an interface that is gone, or that it was not attached to, is no error. */
void xdp_program_detach(int ifindex);

void xdp_program_detach_all(void);

/* Removes what runs that were killed left on any interface, told by the name;
 * returns from how many. */
unsigned xdp_program_remove_leftovers(void);

#endif
