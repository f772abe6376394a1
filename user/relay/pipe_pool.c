// SPDX-License-Identifier: GPL-2.0
/* See pipe_pool.h. */
#include "pipe_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void pipe_pool_init(struct pipe_pool *pool)
{
	list_init(&pool->idle);
	pool->idle_count = 0;
	pool->count = 0;
}

struct pipe *pipe_pool_get(struct pipe_pool *pool)
{
	struct pipe *pipe;
	int ends[2];

	if (!list_empty(&pool->idle)) {
		pipe = list_entry(pool->idle.next, struct pipe, link);
		list_remove(&pipe->link);
		pool->idle_count--;
		return pipe;
	}
	pipe = pool->count < PIPE_POOL_MAX ? malloc(sizeof(*pipe)) : NULL;
	if (!pipe)
		return NULL;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(pipe);
		return NULL;
	}
	/* A user may have so many pages in pipes that no larger one is granted
	 * (pipe-user-pages-soft); the pipe works with the size it has. */
	fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
	list_init(&pipe->link);
	pipe->read = ends[0];
	pipe->write = ends[1];
	pool->count++;
	return pipe;
}

void pipe_pool_put(struct pipe_pool *pool, struct pipe *pipe)
{
	if (pool->idle_count >= PIPE_POOL_KEEP) {
		pipe_discard(pool, pipe);
		return;
	}
	list_append(&pool->idle, &pipe->link);
	pool->idle_count++;
}

void pipe_discard(struct pipe_pool *pool, struct pipe *pipe)
{
	pool->count--;
	close(pipe->read);
	close(pipe->write);
	free(pipe);
}

void pipe_pool_free(struct pipe_pool *pool)
{
	while (!list_empty(&pool->idle)) {
		struct pipe *pipe = list_entry(pool->idle.next, struct pipe, link);

		list_remove(&pipe->link);
		pipe_discard(pool, pipe);
	}
	pool->idle_count = 0;
}
