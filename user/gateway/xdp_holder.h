/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The process that attaches the XDP program and takes it away: also when main
 * dies, as no link does that for programs of libxdp's dispatcher; after the
 * relays, whose last resets still need the program at egress. It has the
 * one capability that libxdp needs and main has not, CAP_SYS_ADMIN, and does
 * nothing but what main asks for on its channel.
 */
#ifndef SLUICE_XDP_HOLDER_H
#define SLUICE_XDP_HOLDER_H

#include <stddef.h>
#include <sys/types.h>

#include "xdp_program.h"

struct xdp_holder;

/* Starts it, before main gives its privileges up; base is loaded. Removes what
 * runs that were killed left. 0 or a negative errno. */
int xdp_holder_new(const struct intercept_bpf *base, struct xdp_holder **holder);

/* Detaches from everything and ends the process. NULL is fine. */
void xdp_holder_free(struct xdp_holder *holder);

/* As of xdp_program.h; returns when it is done. */
int xdp_holder_attach(struct xdp_holder *holder, const char *dev, int ifindex, int egress,
		      enum xdp_mode *mode, char *error, size_t size);
void xdp_holder_detach(struct xdp_holder *holder, int ifindex);

/* A relay that was started: should main die, the programs go after it. */
void xdp_holder_watch(struct xdp_holder *holder, pid_t relay);

#endif
