// SPDX-License-Identifier: GPL-2.0
/* See ended_ring.h. One writer, one reader. */
#include "ended_ring.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

struct ended_ring {
	uint32_t head; /* records put in, modulo 2^32; the relay's */
	uint32_t tail; /* records taken out; main's */
	uint32_t told; /* 1: main was told and has not looked since */
	struct flow_record records[ENDED_RING_SIZE];
};

struct ended_ring *ended_ring_new(void)
{
	void *memory = mmap(NULL, sizeof(struct ended_ring), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void ended_ring_free(struct ended_ring *ring)
{
	if (ring)
		munmap(ring, sizeof(*ring));
}

static uint32_t count_of(const struct ended_ring *ring)
{
	return __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) -
	       __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
}

struct flow_record *ended_ring_next(struct ended_ring *ring)
{
	if (count_of(ring) >= ENDED_RING_SIZE)
		return NULL;
	return &ring->records[ring->head % ENDED_RING_SIZE];
}

bool ended_ring_push(struct ended_ring *ring)
{
	__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_SEQ_CST);
	/* Main clears `told` before it looks at `head`: it sees this one, or we see that. */
	return __atomic_exchange_n(&ring->told, 1, __ATOMIC_SEQ_CST) == 0 ||
	       count_of(ring) == ENDED_RING_SIZE / 2;
}

void ended_ring_poke_lost(struct ended_ring *ring)
{
	__atomic_store_n(&ring->told, 0, __ATOMIC_SEQ_CST);
}

bool ended_ring_take(struct ended_ring *ring, struct flow_record *record)
{
	uint32_t count;

	__atomic_store_n(&ring->told, 0, __ATOMIC_SEQ_CST);
	count = count_of(ring);
	if (count == 0)
		return false;
	/* A relay holds fewer privileges than main: no more is believed than can be. */
	if (count > ENDED_RING_SIZE) {
		__atomic_store_n(&ring->tail, __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELEASE);
		return false;
	}
	*record = ring->records[ring->tail % ENDED_RING_SIZE];
	__atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
	return true;
}

bool ended_ring_is_filling(const struct ended_ring *ring)
{
	return count_of(ring) >= ENDED_RING_SIZE / 2;
}
