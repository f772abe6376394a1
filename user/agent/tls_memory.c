// SPDX-License-Identifier: GPL-2.0
/* See tls_memory.h. The agent has one thread. */
#include "tls_memory.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "list.h"

struct block {
	struct list link; /* blocks */
	size_t size; /* of content */
	alignas(max_align_t) unsigned char content[];
};

static struct list blocks = { &blocks, &blocks };

static struct block *block_of(void *content)
{
	return list_entry(content, struct block, content);
}

static void *allocate(size_t size, const char *file, int line)
{
	struct block *block = size <= PTRDIFF_MAX ? malloc(sizeof(*block) + size) : NULL;

	(void)file;
	(void)line;
	if (!block)
		return NULL;
	block->size = size;
	list_append(&blocks, &block->link);
	return block->content;
}

static void release(void *content, const char *file, int line)
{
	struct block *block;

	(void)file;
	(void)line;
	if (!content)
		return;
	block = block_of(content);
	list_remove(&block->link);
	explicit_bzero(block->content, block->size);
	free(block);
}

/* Never in place: what realloc(3) leaves behind is known to nobody. */
static void *reallocate(void *content, size_t size, const char *file, int line)
{
	void *new = allocate(size, file, line);
	size_t before = content ? block_of(content)->size : 0;

	if (!new)
		return NULL;
	if (content)
		memcpy(new, content, before < size ? before : size);
	release(content, file, line);
	return new;
}

int tls_memory_open(void)
{
	return CRYPTO_set_mem_functions(allocate, reallocate, release) == 1 ? 0 : -EALREADY;
}

void tls_memory_wipe(void)
{
	for (struct list *link = blocks.next; link != &blocks; link = link->next) {
		struct block *block = list_entry(link, struct block, link);

		explicit_bzero(block->content, block->size);
	}
}
