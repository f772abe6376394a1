/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by check_leftovers.c and check_linkrate.c. */
#ifndef SLUICE_LEFTOVERS_H
#define SLUICE_LEFTOVERS_H

#include "doctor.h"

/* Reports one kind of leftover; with --fix, what came of its removal: removed is 0
 * or a negative errno. what is stolen. */
void leftover(struct doctor *doctor, const char *id, json_t *what, const char *why, int removed);

void check_linkrate(struct doctor *doctor);

#endif
