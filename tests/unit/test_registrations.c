/* SPDX-License-Identifier: GPL-2.0 */
/* What main makes of the requests of agents, on tables of its own. */
#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "params.h"
#include "registrations.h"

#define LEASE_S 30
#define SECOND_US 1000000ULL

static struct address_prefix prefix;
static struct port_range ports = { 1, 65535 };
static struct policy_config site = { .name = "site",
				     .addresses = &prefix,
				     .address_count = 1,
				     .ports = &ports,
				     .port_count = 1 };
static struct gateway_config config = { .registrar = { .lease_s = LEASE_S },
					.policies = &site,
					.policy_count = 1 };
static struct registry_options options;
static struct registrations registrations;

static uint64_t no_flows(uint32_t port_id, void *context)
{
	(void)port_id;
	(void)context;
	return 0;
}

static void nothing(uint32_t number, void *context)
{
	(void)number;
	(void)context;
}

/* Tables with room for so many ports. */
static void set_up(uint32_t max_ports)
{
	struct registry *registry;

	if (geteuid() != 0)
		cr_skip_test("BPF maps need root");
	log_open("unit", LOG_LEVEL_ERROR - 1);
	cr_assert_eq(prefix_parse("203.0.113.0/24", &prefix), 0);
	options = (struct registry_options){ .max_ports = max_ports,
					     .flows_of = no_flows,
					     .port_made = nothing,
					     .nexthop_changed = nothing };
	options.proxy_table = bpf_map_create(BPF_MAP_TYPE_HASH, NULL, sizeof(struct proxy_key),
					     sizeof(struct proxy_value), max_ports, NULL);
	options.port_table = bpf_map_create(BPF_MAP_TYPE_HASH, NULL, sizeof(struct port_key),
					    sizeof(struct port_value), max_ports, NULL);
	options.param_table = bpf_map_create(BPF_MAP_TYPE_HASH, NULL, sizeof(__u32),
					     sizeof(struct wan_params), max_ports, NULL);
	cr_assert(options.proxy_table >= 0 && options.port_table >= 0 && options.param_table >= 0);
	cr_assert_eq(registry_new(&options, &registry), 0);
	registrations_init(&registrations, registry);
	cr_assert_eq(registrations_apply(&registrations, &config), 0);
}

static void tear_down(void)
{
	registry_free(registrations.registry);
	registrations_free(&registrations);
	close(options.proxy_table);
	close(options.port_table);
	close(options.param_table);
}

/* A request to register a port of 203.0.113.7, with default parameters. */
static struct registrar_request request_of(uint16_t port)
{
	static uint64_t last_id;
	struct registrar_request request = { .type = REGISTRAR_REGISTER,
					     .connection = 1,
					     .id = ++last_id,
					     .service_port = port,
					     .trunk_port = port };

	memcpy(request.address, prefix.address, sizeof(request.address));
	request.address[15] = 7;
	params_default(&request.params);
	return request;
}

static struct registrar_answer ask(const struct registrar_request *request)
{
	struct registrar_answer answer;

	cr_assert_eq(registrations_request(&registrations, request, SECOND_US, &answer), 1);
	return answer;
}

static struct registrar_answer register_port(uint16_t port)
{
	struct registrar_request request = request_of(port);

	return ask(&request);
}

/* ---- room ---- */

Test(registrations, an_identity_has_so_many_services)
{
	struct registrar_answer answer;

	set_up(2 * REGISTRATIONS_PER_IDENTITY);
	for (uint16_t i = 1; i <= REGISTRATIONS_PER_IDENTITY; i++)
		cr_assert_eq(register_port(i).refusal, REFUSED_NOT);
	answer = register_port(REGISTRATIONS_PER_IDENTITY + 1);
	cr_expect_eq(answer.refusal, REFUSED_room);
	cr_expect_str_eq(answer.text, "more than 4096 services of one identity");
	cr_expect_eq(register_port(1).refusal, REFUSED_NOT, "what it has it may change");
	cr_expect_eq(registrations.counters.registered, REGISTRATIONS_PER_IDENTITY);
	cr_expect_eq(registrations.counters.changed, 1);
	cr_expect_eq(registrations.counters.refused_room, 1);
	tear_down();
}

Test(registrations, full_tables_are_no_room)
{
	set_up(3);
	for (uint16_t i = 1; i <= 3; i++)
		cr_assert_eq(register_port(i).refusal, REFUSED_NOT);
	cr_expect_eq(register_port(4).refusal, REFUSED_room);
	cr_expect_eq(registrations.counters.refused_room, 1);
	cr_expect_eq(registrations.counters.registered, 3);
	tear_down();
}

/* So many services, each with parameters that nobody else has. */
static enum refusal register_with_its_own(uint16_t port)
{
	struct registrar_request request = request_of(port);

	request.params.idle_timeout_s = 1000U + port;
	return (enum refusal)ask(&request).refusal;
}

Test(registrations, an_identity_has_so_many_sets_of_parameters)
{
	set_up(4 * PARAM_SETS_PER_IDENTITY);
	for (uint16_t i = 1; i <= PARAM_SETS_PER_IDENTITY; i++)
		cr_assert_eq(register_with_its_own(i), REFUSED_NOT);
	cr_expect_eq(register_with_its_own(PARAM_SETS_PER_IDENTITY + 1), REFUSED_room);
	cr_expect_eq(register_port(PARAM_SETS_PER_IDENTITY + 1).refusal, REFUSED_room);
	cr_expect_eq(register_with_its_own(1), REFUSED_NOT, "what it has it may renew");
	tear_down();
}

Test(registrations, sets_that_are_used_no_more_make_room_at_the_sweep)
{
	set_up(4 * PARAM_SETS_PER_IDENTITY);
	for (uint16_t i = 1; i <= PARAM_SETS_PER_IDENTITY; i++) {
		struct registrar_request request = request_of(80);

		request.params.idle_timeout_s = 1000U + i;
		cr_assert_eq(ask(&request).refusal, REFUSED_NOT);
	}
	cr_expect_eq(register_port(81).refusal, REFUSED_room);
	registry_sweep(registrations.registry);
	cr_expect_eq(register_port(81).refusal, REFUSED_NOT);
	cr_expect_eq(registry_params_count(registrations.registry), 2);
	tear_down();
}

Test(registrations, unused_sets_in_a_full_table_give_way)
{
	set_up(4); /* so many sets, too */
	for (uint16_t i = 1; i <= 6; i++) {
		struct registrar_request request = request_of(80);

		request.params.idle_timeout_s = 1000U + i;
		cr_assert_eq(ask(&request).refusal, REFUSED_NOT, "set %u", i);
	}
	tear_down();
}

/* ---- the path ---- */

/* Registers a port over a way of so long; returns the answer's round trip. */
static uint32_t rtt_over(uint32_t measured_us, uint32_t given_us)
{
	struct registrar_request request = request_of(80);
	struct registrar_answer answer;

	request.path.min_rtt_us = measured_us;
	request.params.rate = 12500000;
	request.params.rtt_us = given_us;
	answer = ask(&request);
	cr_assert_eq(answer.refusal, REFUSED_NOT);
	return answer.rtt_us;
}

Test(registrations, the_answer_tells_the_round_trip_that_the_entry_has)
{
	set_up(16);
	cr_expect_eq(rtt_over(0, 0), 0, "nothing was measured");
	cr_expect_eq(rtt_over(100000, 0), 100000);
	cr_expect_eq(rtt_over(120000, 0), 100000, "it wavers");
	cr_expect_eq(rtt_over(126000, 0), 126000, "another way");
	cr_expect_eq(rtt_over(126000, 80000), 80000, "the agent knows better");
	cr_expect_eq(rtt_over(61000000, 0), 126000, "no path is that long");
	tear_down();
}

Test(registrations, skip_slow_start_needs_a_round_trip_given_or_measured)
{
	struct registrar_request request;

	set_up(16);
	request = request_of(80);
	request.params.rate = 12500000;
	request.params.skip_slow_start = 1;
	cr_expect_eq(ask(&request).refusal, REFUSED_params);
	request.path.min_rtt_us = 50000;
	cr_expect_eq(ask(&request).refusal, REFUSED_NOT);
	tear_down();
}
