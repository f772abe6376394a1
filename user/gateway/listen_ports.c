// SPDX-License-Identifier: GPL-2.0
/* See listen_ports.h. */
#include "listen_ports.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>

static bool is_used(const struct listen_ports *ports, uint16_t port)
{
	return ports->used[port / 8] >> port % 8 & 1;
}

static void flip(struct listen_ports *ports, uint16_t port)
{
	ports->used[port / 8] ^= (uint8_t)(1U << port % 8);
}

uint32_t listen_ports_capacity(const struct listen_ports *ports)
{
	return ports->range.first ? (uint32_t)ports->range.last - ports->range.first + 1 : 0;
}

bool listen_ports_has_room(const struct listen_ports *ports)
{
	for (uint32_t port = ports->range.first; port && port <= ports->range.last; port++)
		if (!is_used(ports, (uint16_t)port))
			return true;
	return false;
}

int listen_ports_take(struct listen_ports *ports, const struct listen_value *value, uint16_t *port)
{
	uint32_t left = listen_ports_capacity(ports), key;

	if (ports->next < ports->range.first || ports->next > ports->range.last)
		ports->next = ports->range.first;
	while (left > 0 && is_used(ports, ports->next)) {
		ports->next = ports->next == ports->range.last ? ports->range.first
							       : (uint16_t)(ports->next + 1);
		left--;
	}
	if (left == 0)
		return -ENOSPC;
	key = ports->next;
	if (bpf_map_update_elem(ports->map, &key, value, BPF_ANY) < 0)
		return -errno;
	*port = ports->next;
	flip(ports, ports->next);
	ports->count++;
	ports->next = ports->next == ports->range.last ? ports->range.first
						       : (uint16_t)(ports->next + 1);
	return 0;
}

void listen_ports_give_back(struct listen_ports *ports, uint16_t port)
{
	uint32_t key = port;

	if (!port || !is_used(ports, port))
		return;
	bpf_map_delete_elem(ports->map, &key);
	flip(ports, port);
	ports->count--;
}
