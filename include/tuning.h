/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bpf/tune.bpf.c and bpf/linkrate.bpf.c know of one socket: the parts of
 * wan_params that a program in the kernel applies, in units that it can use
 * without thinking. user/lib/wan_tuning.c makes them from wan_params.
 */
#ifndef SLUICE_TUNING_H
#define SLUICE_TUNING_H

#include "tables.h"

/* Name of our congestion control. */
#define LINKRATE_NAME "linkrate"

/*
 * Value of two maps: socket_tunings, storage of one socket (its owner puts it
 * there by the socket's descriptor, before connect()), and trunk_tunings, what
 * accepted sockets of one local port get. Rates are bytes a second of IP
 * packets, headers included, as links are sold.
 */
struct socket_tuning {
	__u64 rate; /* linkrate: where it starts; 0: unknown */
	__u64 top; /* linkrate: never above */
	__u64 floor; /* linkrate: never below; equal to top: never lowered */
	__u64 sustained; /* linkrate, vbr: what the token bucket fills with; 0: no bucket */
	__u64 burst; /* linkrate, vbr: bytes that the bucket holds */
	__u64 pacing; /* SO_MAX_PACING_RATE; 0: none. Of accepted sockets alone, as all below */
	__u32 buffer; /* bytes of send buffer, before the kernel doubles them; 0: autotuning */
	__u32 priority; /* SO_PRIORITY */
	__u8 tos; /* traffic class octet: the DSCP in its upper six bits; 0: leave it */
	__u8 skip_slow_start; /* 1: start with initial bytes in flight. Of all sockets, as all below */
	__u16 reserved; /* zero */
	__u32 initial; /* bytes, rate x rtt: the first flight; 0: unknown */
	__u32 offer; /* bytes of receive window offered from the start; 0: kernel's */
	__u32 clamp; /* bytes in flight at most; 0: no bound */
	char flow_control[SLUICE_CC_NAME_MAX]; /* of accepted sockets; "": the listener's */
	__u32 connections; /* the program's own; of an MPTCP socket: those that share its rate */
	__u32 is_part; /* the program's own; 1: the socket is one of them */
};

/* Key of trunk_tunings: a port of one network namespace. */
struct trunk_key {
	__u64 netns_cookie; /* SO_NETNS_COOKIE of its sockets */
	__u32 port; /* local port, host byte order */
	__u32 reserved; /* zero, so that the key has no padding */
};

_Static_assert(sizeof(struct socket_tuning) == 96, "socket_tuning has no padding");
_Static_assert(sizeof(struct trunk_key) == 16, "trunk_key has no padding");

#endif
