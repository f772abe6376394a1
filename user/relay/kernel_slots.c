// SPDX-License-Identifier: GPL-2.0
/* See kernel_slots.h. */
#include "kernel_slots.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "engine.h"

static size_t directions_size(const struct splice_maps *maps)
{
	return 2 * maps->flows * sizeof(struct splice_direction);
}

/* A direction has begun to pass. The flow may be another one by now: then it
 * finds nothing to do. */
static int on_event(void *context, void *sample, size_t size)
{
	const struct kernel_slots *slots = context;
	const struct splice_event *event = sample;
	struct relay_flow *flow;

	if (size < sizeof(*event) || event->direction / 2 >= slots->maps.flows)
		return 0;
	flow = slots->slots[event->direction / 2].flow;
	if (flow && flow->state != FLOW_ENDED)
		engine_run(flow);
	return 0;
}

static void events_ready(struct watch *watch, uint32_t events)
{
	struct kernel_slots *slots = list_entry(watch, struct kernel_slots, events_watch);

	(void)events;
	ring_buffer__consume(slots->events);
}

int kernel_slots_open(struct relay *relay, const struct splice_maps *maps,
		      struct kernel_slots **slots)
{
	struct kernel_slots *new = calloc(1, sizeof(*new));
	int result = -ENOMEM;

	*slots = NULL;
	if (!new)
		return -ENOMEM;
	new->maps = *maps;
	new->slots = calloc(maps->flows, sizeof(*new->slots));
	new->free = calloc(maps->flows, sizeof(*new->free));
	new->directions = mmap(NULL, directions_size(maps), PROT_READ | PROT_WRITE, MAP_SHARED,
			       maps->directions, 0);
	if (!new->slots || !new->free || new->directions == MAP_FAILED)
		goto failed;
	for (uint32_t i = 0; i < maps->flows; i++)
		new->free[new->free_count++] = maps->flows - 1 - i;
	new->events = ring_buffer__new(maps->events, on_event, new, NULL);
	if (!new->events) {
		result = -errno;
		goto failed;
	}
	new->events_watch.ready = events_ready;
	result = relay_watch(relay, ring_buffer__epoll_fd(new->events), EPOLLIN,
			     &new->events_watch);
	if (result)
		goto failed;
	*slots = new;
	return 0;
failed:
	kernel_slots_close(new);
	return result;
}

void kernel_slots_close(struct kernel_slots *slots)
{
	if (!slots)
		return;
	ring_buffer__free(slots->events);
	if (slots->directions && slots->directions != MAP_FAILED)
		munmap(slots->directions, directions_size(&slots->maps));
	splice_maps_close(&slots->maps);
	free(slots->free);
	free(slots->slots);
	free(slots);
}

/* Tells the program which leg the socket of this descriptor is. */
static int name_leg(const struct kernel_slots *slots, int fd, uint32_t leg)
{
	uint64_t *cookie = &slots->slots[leg / 2].cookies[leg % 2];
	socklen_t length = sizeof(*cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, &length) < 0)
		return -errno;
	return bpf_map_update_elem(slots->maps.legs, cookie, &leg, BPF_ANY) < 0 ? -errno : 0;
}

/* The kernel takes plain TCP sockets, and only while neither side has finished. */
static int enter_leg(const struct kernel_slots *slots, struct leg *leg, uint32_t number)
{
	uint64_t descriptor = (uint64_t)leg->fd;

	if (bpf_map_update_elem(slots->maps.sockets, &number, &descriptor, BPF_ANY) < 0)
		return -errno;
	leg->in_kernel = true;
	return 0;
}

static void prepare(struct kernel_slots *slots, struct direction *direction, uint32_t number)
{
	struct splice_direction *shared = &slots->directions[number];

	memset(shared, 0, sizeof(*shared));
	shared->held = 1;
	shared->budget = direction->budget;
	direction->shared = shared;
}

bool kernel_slots_enter(struct kernel_slots *slots, struct relay_flow *flow)
{
	uint32_t slot;

	if (slots->free_count == 0)
		return false;
	slot = slots->free[--slots->free_count];
	slots->slots[slot].flow = flow;
	flow->slot = slot;
	prepare(slots, &flow->up, SPLICE_CLIENT_LEG(slot));
	prepare(slots, &flow->down, SPLICE_REMOTE_LEG(slot));
	if (name_leg(slots, flow->client.fd, SPLICE_CLIENT_LEG(slot)) ||
	    name_leg(slots, flow->remote.fd, SPLICE_REMOTE_LEG(slot)) ||
	    enter_leg(slots, &flow->client, SPLICE_CLIENT_LEG(slot))) {
		kernel_slots_leave(slots, flow);
		return false;
	}
	/* If this one does not come in, the other cannot leave: bytes that it was
	 * passed meanwhile would be lost. Then the relay carries the flow. */
	enter_leg(slots, &flow->remote, SPLICE_REMOTE_LEG(slot));
	return true;
}

void kernel_slots_leave(struct kernel_slots *slots, struct relay_flow *flow)
{
	struct kernel_slot *slot = &slots->slots[flow->slot];

	for (int i = 0; i < 2; i++)
		if (slot->cookies[i])
			bpf_map_delete_elem(slots->maps.legs, &slot->cookies[i]);
	memset(slot, 0, sizeof(*slot));
	slots->free[slots->free_count++] = flow->slot;
	flow->up.shared = flow->down.shared = NULL;
}
