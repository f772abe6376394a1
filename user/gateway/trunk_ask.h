/* SPDX-License-Identifier: GPL-2.0 */
/* The gateway's part of include/trunk.h, on a WAN leg that has just connected. */
#ifndef SLUICE_TRUNK_ASK_H
#define SLUICE_TRUNK_ASK_H

#include "tables.h"
#include "trunk.h"

/* Says whose connection this is. 0 or a negative errno. */
int trunk_ask(int fd, const struct half_open_key *tuple);

/* Reads what the agent says, and no byte more. 0 with *answer set, -EAGAIN, or
 * another negative errno: it is no agent, or it is gone. */
int trunk_read_answer(int fd, enum trunk_answer *answer);

#endif
