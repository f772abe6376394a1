// SPDX-License-Identifier: GPL-2.0
/* See nexthop_flow.h. */
#include "nexthop_flow.h"

#include <bpf/bpf.h>
#include <string.h>

void nexthop_flow_note(const struct gateway_relay *relay, const struct syn_event *syn)
{
	struct nexthop_flow there = { .port = syn->landing.service_port,
				      .relay = (__u16)relay->setup.index,
				      .isn = syn->isn };
	struct nexthop_flow back = there;

	if (!syn->shared_landing)
		return;
	back.port = syn->tuple.service_port;
	memcpy(there.address, syn->landing.remote, sizeof(there.address));
	memcpy(back.address, syn->tuple.remote, sizeof(back.address));
	bpf_map_update_elem(relay->setup.nexthop_map, &syn->tuple, &there, BPF_ANY);
	bpf_map_update_elem(relay->setup.nexthop_map, &syn->landing, &back, BPF_ANY);
}

static void forget(int map, const struct half_open_key *key, uint32_t isn)
{
	struct nexthop_flow flow;

	if (bpf_map_lookup_elem(map, key, &flow) == 0 && flow.isn == isn)
		bpf_map_delete_elem(map, key);
}

void nexthop_flow_forget(const struct gateway_relay *relay, const struct syn_event *syn)
{
	if (!syn->shared_landing)
		return;
	forget(relay->setup.nexthop_map, &syn->tuple, syn->isn);
	forget(relay->setup.nexthop_map, &syn->landing, syn->isn);
}
