/* SPDX-License-Identifier: GPL-2.0 */
/* What wanem's command line asks for. End 0 is "a", end 1 is "b"; direction 0
 * runs from a to b. */
#ifndef WANEM_OPTIONS_H
#define WANEM_OPTIONS_H

#include "link.h"
#include "script.h"
#include "tun.h"

struct options {
	struct tun_settings ends[2];
	struct link_settings directions[2];
	struct script script; /* the caller destroys it */
	int ready_fd; /* gets the line "ready" */
};

/* 0, or the exit status with which to leave at once, 1 + status: the usage was
 * shown (1) or a mistake was reported (3). */
int options_parse(struct options *options, int argc, char **argv);

#endif
