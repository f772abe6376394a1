/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loads bpf/splice.bpf.c for a relay. Each relay has a program and maps of its
 * own, so that all is gone when it is. Loading takes CAP_BPF, CAP_NET_ADMIN and
 * CAP_PERFMON; using the maps takes nothing but their descriptors.
 */
#ifndef SLUICE_SPLICE_PROGRAM_H
#define SLUICE_SPLICE_PROGRAM_H

#include <stdint.h>

/* Descriptors of the maps, see include/splice.h; -1: there are none. */
struct splice_maps {
	int sockets; /* the program is attached to it, and lives as long as it does */
	int legs;
	int directions;
	int events;
	uint32_t flows; /* that there is room for */
};

#define SPLICE_MAPS_NONE          \
	(struct splice_maps)      \
	{                         \
		-1, -1, -1, -1, 0 \
	}

/* Loads the program with room for so many flows. 0, and the caller owns the
 * descriptors; or a negative errno. */
int splice_program_load(uint32_t flows, struct splice_maps *maps);

void splice_maps_close(struct splice_maps *maps);

#endif
