/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pipes for splice(2). A direction of a flow holds one only while bytes are in
 * it, so an idle flow costs no pipe.
 */
#ifndef SLUICE_PIPE_POOL_H
#define SLUICE_PIPE_POOL_H

#include "list.h"

/* Slots of a pipe hold one segment's fragment each, however short it is:
 * 256 KiB (64 slots) keep a burst of MTU-sized segments whole. */
#define PIPE_BYTES (256 * 1024)

/* Pipes in use and kept, at most: their descriptors must not be those that
 * connections need. Who gets none copies instead. */
#define PIPE_POOL_MAX 256

/* Empty pipes kept for reuse. */
#define PIPE_POOL_KEEP 64

struct pipe {
	struct list link;
	int read;
	int write;
};

struct pipe_pool {
	struct list idle;
	unsigned idle_count;
	unsigned count; /* all, in use or not */
};

void pipe_pool_init(struct pipe_pool *pool);

/* An empty pipe, or NULL when none can be had. */
struct pipe *pipe_pool_get(struct pipe_pool *pool);

/* Takes an empty pipe back. */
void pipe_pool_put(struct pipe_pool *pool, struct pipe *pipe);

/* Closes a pipe that still holds bytes; they are lost. */
void pipe_discard(struct pipe_pool *pool, struct pipe *pipe);

/* Closes all pipes in the pool. */
void pipe_pool_free(struct pipe_pool *pool);

#endif
