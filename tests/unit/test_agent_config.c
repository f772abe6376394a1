/* SPDX-License-Identifier: GPL-2.0 */
/* sluice-agent's configuration, and the gateway's sections that belong to it: they have key files. */
#include <errno.h>

#include "address.h"
#include "agent_config.h"
#include "config_files.h"
#include "entries.h"
#include "gateway_config.h"
#include "log.h"

TestSuite(agent_config, .init = make_scratch, .fini = remove_scratch);
TestSuite(policy_config, .init = make_scratch, .fini = remove_scratch);

#define GATEWAY \
	"gateway gw1 { address = \"198.51.100.1:7471\" identity = site key-file = good.key }\n"
#define ADDRESS "address = { 203.0.113.7 }\n"

static struct agent_config *load_good(const char *text)
{
	struct agent_config *config = NULL;
	char *errors = NULL;

	cr_assert_eq(LOAD_SCRATCH(agent_config_load, text, &config, &errors), 0, "%s", errors);
	cr_assert_str_eq(errors, "");
	free(errors);
	return config;
}

static void expect_mistakes(const char *text, const char *expected)
{
	struct agent_config *config = (void *)1;
	char *errors = NULL;

	cr_expect_eq(LOAD_SCRATCH(agent_config_load, text, &config, &errors), -EINVAL);
	cr_expect_null(config);
	cr_expect_str_eq(errors, expected);
	free(errors);
}

Test(agent_config, every_key_is_read)
{
	struct agent_config *config = load_good(
		GATEWAY "gateway gw2 { address = \"[2001:db8::1]:7471\" identity = other "
			"key-file = good.key }\n"
			"address = { 203.0.113.7, \"2001:db8::7\" }\n"
			"drain-timeout = 5s\n"
			"service 80 { trunk = 8080 }\n"
			"service 443 { trunk = 10443 parallel = 4 rate = 500mbit rtt = 80ms }\n"
			"service 22 { trunk = 10022 end-trunk = true }\n");

	cr_expect_eq(config->gateway_count, 2);
	cr_expect_str_eq(config->gateways[0].name, "gw1");
	cr_expect_str_eq(config->gateways[1].identity, "other");
	cr_expect_eq(config->gateways[1].port, 7471);
	cr_expect_eq(config->keys[1][1], 0x11);
	cr_expect_eq(config->address_count, 2);
	cr_expect_not(config->nexthop);
	cr_expect_eq(config->drain_timeout_s, 5);
	cr_expect_eq(config->service_count, 3);
	cr_expect_not(config->services[0].ends_trunk);
	cr_expect(config->services[1].ends_trunk);
	cr_expect(config->services[2].ends_trunk);
	cr_expect_eq(config->services[0].trunk_port, 8080);
	cr_expect_eq(config->services[0].params.parallel, 1);
	cr_expect_eq(config->services[1].trunk_port, 10443);
	cr_expect_eq(config->services[1].params.parallel, 4);
	agent_config_free(config);
	config = load_good(GATEWAY ADDRESS "nexthop = true\n"); /* services may come by a reload */
	cr_expect(config->nexthop);
	agent_config_free(config);
}

Test(agent_config, a_rtt_may_be_left_to_the_gateway)
{
	struct agent_config *config =
		load_good(GATEWAY ADDRESS "service 80 { rate = 100mbit skip-slow-start = true }\n");

	cr_expect(config->services[0].params.skip_slow_start);
	cr_expect_eq(config->services[0].params.rtt_us, 0);
	agent_config_free(config);
}

Test(agent_config, every_mistake_is_told)
{
	expect_mistakes("", ":1: no address of this host, expected address = { \"ADDRESS\" }\n"
			    ":1: no gateway, expected gateway \"NAME\" { ... }\n");
	expect_mistakes(
		"gateway gw1 { address = nowhere }\n"
		"gateway gw1 { address = \"198.51.100.1:7471\" identity = site key-file = no }\n"
		"address = { 127.0.0.1, 203.0.113.7, 203.0.113.7 }\n"
		"nexthop = perhaps\n"
		"service 0 { }\n"
		"service 80 { trunk = 0 rate = fast }\n"
		"service 80 { skip-slow-start = true }\n"
		"servce 80 { }\n",
		":1: address is \"nowhere\", expected ADDRESS:PORT, such as \"198.51.100.1:7471\"\n"
		":1: gateway \"gw1\" without identity, expected identity = \"NAME\"\n"
		":2: gateway \"gw1\" is already given at line 1, expected another name\n"
		":2: key-file DIR/no cannot be read: No such file or directory\n"
		":3: address has \"127.0.0.1\", expected an IPv4 or IPv6 address of this host, not "
		"loopback\n"
		":3: address has \"203.0.113.7\" already, expected it once\n"
		":4: nexthop is \"perhaps\", expected true or false\n"
		":5: service \"0\" is no port number, expected 1 to 65535\n"
		":6: trunk is \"0\", expected a port from 1 to 65535\n"
		":6: rate is \"fast\", expected a rate above 0 such as \"500mbit\"\n"
		":7: service 80 is already given at line 6, expected it once\n"
		":7: skip-slow-start without rate, expected rate and rtt as well\n"
		":8: unknown section \"servce\", did you mean \"service\"?\n");
}

/* ---- what is registered of it ---- */

/* Answers all that is asked for, refusing one service. Returns how many were asked. */
static unsigned answer_all(struct entries *entries, uint16_t refused)
{
	static uint64_t last_id;
	uint64_t first = last_id + 1;
	struct entry *entry;

	while ((entry = entries_next(entries))) {
		entry->id = ++last_id;
		entries_asked(entries, entry);
	}
	for (uint64_t id = first; id <= last_id; id++) {
		const char *refusal = NULL;

		for (size_t i = 0; i < entries->count; i++)
			if (entries->list[i].id == id && entries->list[i].service_port == refused)
				refusal = "port: no";
		entries_answered(entries, id, refusal, "gw");
	}
	cr_expect(entries_are_settled(entries));
	return (unsigned)(last_id + 1 - first);
}

Test(agent_config, a_reload_asks_for_the_difference)
{
	struct agent_config *first = load_good(GATEWAY ADDRESS
					       "service 80 { }\nservice 81 { }\nservice 82 { }\n");
	struct agent_config *second = load_good(
		GATEWAY ADDRESS "service 80 { }\nservice 81 { trunk = 8081 }\nservice 83 { }\n");
	struct entries entries = { 0 };

	log_open("unit", LOG_LEVEL_ERROR - 1);
	cr_assert_eq(entries_want(&entries, first), 0);
	cr_expect(!entries_are_settled(&entries));
	cr_expect_eq(answer_all(&entries, 82), 3);
	cr_expect_eq(entries_want(&entries, first), 0);
	cr_expect_eq(answer_all(&entries, 0), 0);
	cr_expect_eq(entries_want(&entries, second), 0);
	/* 82 is withdrawn first, 81 changed, 83 new */
	cr_expect_eq(entries_next(&entries)->service_port, 82);
	cr_expect_eq(answer_all(&entries, 83), 3);
	entries_try_refused(&entries);
	cr_expect_eq(answer_all(&entries, 0), 1);
	entries_reset(&entries);
	cr_expect_eq(entries.count, 3);
	cr_expect_eq(answer_all(&entries, 0), 3);
	cr_expect_eq(entries_want(&entries, NULL), 0);
	cr_expect_eq(answer_all(&entries, 0), 3);
	entries_free(&entries);
	agent_config_free(first);
	agent_config_free(second);
}

/* ---- the gateway's side ---- */

#define LAN "lan = { lan0 }\n"

Test(policy_config, every_key_is_read)
{
	struct gateway_config *config = NULL;
	char *errors = NULL, text[PREFIX_TEXT_MAX];

	cr_assert_eq(LOAD_SCRATCH(gateway_config_load,
				  LAN "registrar { listen = \"[::]:7471\" lease = 2s }\n"
				      "policy site-b { key-file = good.key\n"
				      "  addresses = { \"203.0.113.0/28\", \"2001:db8::/64\" }\n"
				      "  ports = { 80, \"5000-5999\" } max-flows = 10 }\n",
				  &config, &errors),
		     0, "%s", errors);
	cr_expect_eq(config->registrar.port, 7471);
	cr_expect_eq(config->registrar.lease_s, 2);
	cr_expect_eq(config->policy_count, 1);
	cr_expect_str_eq(config->policies[0].name, "site-b");
	cr_expect_eq(config->policies[0].max_flows, 10);
	cr_expect_eq(config->policies[0].address_count, 2);
	cr_expect_str_eq(prefix_format(&config->policies[0].addresses[1], text), "2001:db8::/64");
	cr_expect_eq(config->policies[0].ports[1].last, 5999);
	cr_expect_eq(config->keys[0][1], 0x11);
	gateway_config_free(config);
	free(errors);
}

Test(policy_config, every_mistake_is_told)
{
	struct gateway_config *config = NULL;
	char *errors = NULL;

	write_scratch("open.key", KEY, 0644);
	cr_expect_eq(
		LOAD_SCRATCH(gateway_config_load,
			     LAN
			     "registrar { listen = nowhere lease = 0 }\n"
			     "registrar { }\n"
			     "policy a { key-file = open.key addresses = { \"10.0.0.1/8\", x }\n"
			     "  ports = { 0 } max-flows = 0 }\n"
			     "policy a { }\n"
			     "policy \"b c\" { key-file = good.key addresses = { 10.0.0.1 }\n"
			     "  ports = { 1 } }\n",
			     &config, &errors),
		-EINVAL);
	cr_expect_str_eq(
		errors,
		":2: listen is \"nowhere\", expected ADDRESS:PORT, such as \"0.0.0.0:7471\" or "
		"\"[::]:7471\"\n"
		":2: lease is \"0\", expected whole seconds, 1s to 1d, such as \"30s\"\n"
		":3: registrar is already given at line 2, expected it once\n"
		":3: registrar without listen, expected listen = \"ADDRESS:PORT\"\n"
		":4: addresses has \"10.0.0.1/8\" with bits set behind the prefix, expected "
		"\"10.0.0.0/8\"\n"
		":4: addresses has \"x\", expected a prefix such as \"203.0.113.0/28\" or an "
		"address\n"
		":4: key-file DIR/open.key is open to others (mode 0644), expected 0600: chmod 600 "
		"it\n"
		":5: ports has \"0\", expected a port or a range such as \"5000-5999\", 1 to "
		"65535\n"
		":5: max-flows is \"0\", expected a number from 1 to 100000000\n"
		":6: policy \"a\" is already given at line 4, expected another name\n"
		":6: policy \"a\" without key-file, expected key-file = \"FILE\"\n"
		":7: policy \"b c\" is no name of an identity, expected 1 to 63 printable "
		"characters without space\n");
	free(errors);
}
