/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The splice(2) engine: moves a flow's bytes between its legs through a pipe,
 * with true backpressure: what the receiver does not take stays in the sender's
 * window.
 */
#ifndef SLUICE_SPLICE_ENGINE_H
#define SLUICE_SPLICE_ENGINE_H

#include "engine.h"

/* One step of one direction. */
enum step splice_engine_move(struct relay *relay, struct direction *direction);

/* Returns or discards the direction's pipe. */
void direction_release(struct relay *relay, struct direction *direction);

#endif
