/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fuzzes main's judgement of the registrar's requests: whatever bytes come, no
 * identity gets what its policy does not allow. As root the tables are real maps.
 */
#include <bpf/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "params.h"
#include "registrations.h"
#include "targets.h"

#define LEASE_S 30
#define MAX_ENTRIES 64

uint64_t fuzz_requests_granted;

static struct address_prefix prefixes[2][2];
static struct port_range ranges[2] = { { 80, 80 }, { 5000, 5999 } };
static struct policy_config policies[2] = {
	{ .name = "one",
	  .addresses = prefixes[0],
	  .address_count = 2,
	  .ports = ranges,
	  .port_count = 2 },
	{ .name = "two",
	  .addresses = prefixes[1],
	  .address_count = 1,
	  .ports = ranges,
	  .port_count = 1,
	  .max_flows = 5 },
};
static struct gateway_config config = { .registrar = { .lease_s = LEASE_S },
					.policies = policies,
					.policy_count = 2 };
static struct registry_options options = { .max_ports = MAX_ENTRIES };

static void claim(bool holds)
{
	if (!holds)
		abort();
}

/* Some entries have flows, so that they drain. */
static uint64_t flows_of(uint32_t port_id, void *context)
{
	(void)context;
	return port_id % 3;
}

static void port_made(uint32_t port_id, void *context)
{
	(void)context;
	claim(port_id < MAX_ENTRIES);
}

static void nexthop_changed(uint32_t count, void *context)
{
	(void)count;
	(void)context;
}

static void set_up(void)
{
	if (options.flows_of)
		return;
	claim(prefix_parse("203.0.113.0/28", &prefixes[0][0]) == 0);
	claim(prefix_parse("2001:db8::/64", &prefixes[0][1]) == 0);
	claim(prefix_parse("203.0.113.8/29", &prefixes[1][0]) == 0);
	options.proxy_table = bpf_map_create(BPF_MAP_TYPE_HASH, NULL, sizeof(struct proxy_key),
					     sizeof(struct proxy_value), MAX_ENTRIES, NULL);
	options.port_table = bpf_map_create(BPF_MAP_TYPE_HASH, NULL, sizeof(struct port_key),
					    sizeof(struct port_value), MAX_ENTRIES, NULL);
	options.param_table = bpf_map_create(BPF_MAP_TYPE_HASH, NULL, sizeof(__u32),
					     sizeof(struct wan_params), MAX_ENTRIES, NULL);
	options.port_made = port_made;
	options.nexthop_changed = nexthop_changed;
	options.flows_of = flows_of;
}

/* The tables are used again: a registry begins with empty ones. */
static void empty(int map)
{
	__u64 key[2]; /* no key is larger */

	while (bpf_map_get_next_key(map, NULL, key) == 0)
		bpf_map_delete_elem(map, key);
}

static void check_port(const struct port_entry *port, void *context)
{
	const struct lease *lease = port->lease;
	const struct policy_config *policy;

	(void)context;
	claim(lease != NULL && port->origin == ORIGIN_AGENT);
	policy = lease->identity->policy;
	claim(prefixes_hold(policy->addresses, policy->address_count, port->proxy->address));
	claim(port_ranges_hold(policy->ports, policy->port_count, port->service_port));
	claim(port->value.trunk_port != 0 && params_are_possible(&port->params->params));
	if (!port_is_draining(port))
		claim(port->proxy->identity == lease->identity);
}

static void check_answer(const struct registrar_request *request,
			 const struct registrar_answer *answer)
{
	claim(answer->connection == request->connection && answer->id == request->id);
	claim(answer->refusal < REFUSAL_COUNT);
	claim(memchr(answer->text, '\0', sizeof(answer->text)) != NULL);
	claim((answer->refusal == REFUSED_NOT) == (answer->text[0] == '\0'));
}

static void step(struct registrations *registrations, uint8_t operation, const uint8_t *bytes,
		 uint64_t *now_us)
{
	struct registrar_request request;
	struct registrar_answer answer;

	memcpy(&request, bytes, sizeof(request));
	if (operation & FUZZ_REQUEST_DEFAULTS)
		params_default(&request.params);
	*now_us += operation & FUZZ_REQUEST_LATER ? LEASE_S * 1000000ULL : 1000;
	if (operation & FUZZ_REQUEST_LOST)
		registrations_disconnect(registrations);
	if (operation & FUZZ_REQUEST_SWEEP) {
		registry_sweep(registrations->registry);
		registrations_sweep(registrations, *now_us);
	}
	if (registrations_request(registrations, &request, *now_us, &answer) > 0)
		check_answer(&request, &answer);
	registry_each_port(registrations->registry, check_port, NULL);
}

void fuzz_request(const uint8_t *input, size_t size)
{
	struct registrations registrations;
	struct registry *registry;
	uint64_t now_us = 1;

	set_up();
	if (registry_new(&options, &registry))
		return;
	registrations_init(&registrations, registry);
	claim(registrations_apply(&registrations, &config) == 0);
	for (; size > sizeof(struct registrar_request);
	     size -= sizeof(struct registrar_request) + 1) {
		step(&registrations, input[0], input + 1, &now_us);
		input += sizeof(struct registrar_request) + 1;
	}
	/* Without policies nothing is left but what drains. */
	registrations_apply(&registrations, &(struct gateway_config){ 0 });
	fuzz_requests_granted += registrations.counters.registered;
	registry_free(registry);
	empty(options.proxy_table);
	empty(options.port_table);
	empty(options.param_table);
	registrations_free(&registrations);
}
