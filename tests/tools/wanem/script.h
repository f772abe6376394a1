/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The script of changes in time, a line each:
 *
 *   TIME rate RATE   [for TIME] [a-to-b | b-to-a]
 *   TIME loss PART   [for TIME] [a-to-b | b-to-a]
 *   TIME outage       for TIME  [a-to-b | b-to-a]
 *
 * Times count from when the link is ready. "#" begins a comment.
 */
#ifndef WANEM_SCRIPT_H
#define WANEM_SCRIPT_H

#include "schedule.h"

struct script {
	struct change *changes[2]; /* of each direction, in order of the lines */
	size_t counts[2];
};

/* 0, or -EINVAL or another errno after a message on standard error that names
 * file and line. */
int script_read(struct script *script, const char *path);
void script_destroy(struct script *script);

#endif
