/* SPDX-License-Identifier: GPL-2.0 */
/*
 * user/lib/gateway_config.c: what a good file means, and that every mistake of
 * a bad one is told, all of them in one run, each with its line.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "address.h"
#include "gateway_config.h"

#define FILE_KEYS                                                                         \
	"lan, wan, workers, engine, intercept, user, max-proxies, max-ports, half-open, " \
	"half-open-per-client, listen-ports, syn-rate, drain-timeout, log-flows, flow-log"
#define PARAMS_KEYS                                                                     \
	"window, rate, rtt, skip-slow-start, parallel, qos, peak, sustained, minimum, " \
	"dscp, flow-control, connect, source, proxy-protocol, engine, idle-timeout, keepalive"
#define LAN "lan = { \"lan0\" }\n"

/* Loads length bytes of text through a file in memory. What is said of it is
 * in *errors (owned by the caller), without the file's name. */
static int load_bytes(const char *text, size_t length, struct gateway_config **config,
		      char **errors)
{
	char path[64], *line, *out;
	size_t size, path_length;
	FILE *stream;
	int fd, result;

	fd = memfd_create("gateway.conf", MFD_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, length), (ssize_t)length);
	path_length = (size_t)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	stream = open_memstream(errors, &size);
	cr_assert_not_null(stream);
	result = gateway_config_load(path, config, stream);
	fclose(stream);
	close(fd);
	for (line = out = *errors; *line != '\0';) {
		cr_assert_eq(strncmp(line, path, path_length), 0, "%s", line);
		cr_assert_eq(line[path_length], ':');
		line += path_length + 1;
		while ((*out++ = *line++) != '\n')
			cr_assert_neq(out[-1], '\0');
	}
	*out = '\0';
	return result;
}

static void expect_mistakes(const char *text, const char *expected)
{
	struct gateway_config *config = (void *)1;
	char *errors = NULL;

	cr_expect_eq(load_bytes(text, strlen(text), &config, &errors), -EINVAL, "%s", text);
	cr_expect_null(config);
	cr_expect_str_eq(errors, expected);
	free(errors);
}

static struct gateway_config *load_good(const char *text)
{
	struct gateway_config *config = NULL;
	char *errors = NULL;

	cr_assert_eq(load_bytes(text, strlen(text), &config, &errors), 0, "%s", errors);
	cr_assert_str_eq(errors, "");
	cr_assert_not_null(config);
	free(errors);
	return config;
}

static void expect_good(const char *text)
{
	gateway_config_free(load_good(text));
}

/* ---- good files ---- */

Test(gateway_config, least_file_gives_the_defaults)
{
	struct gateway_config *config = load_good(LAN);

	cr_expect_eq(config->lan_count, 1);
	cr_expect_str_eq(config->lan[0], "lan0");
	cr_expect_eq(config->wan_count, 0);
	cr_expect_eq(config->workers, 0);
	cr_expect_eq(config->engine, ENGINE_AUTO);
	cr_expect_str_eq(config->user, "");
	cr_expect_eq(config->max_proxies, 16384);
	cr_expect_eq(config->max_ports, 131072);
	cr_expect_eq(config->half_open, 8192);
	cr_expect_eq(config->half_open_per_client, 1024);
	cr_expect_eq(config->drain_timeout_s, 30);
	cr_expect_eq(config->proxy_count, 0);
	gateway_config_free(config);
}

Test(gateway_config, every_key_of_the_file_is_read)
{
	struct gateway_config *config = load_good("lan = { \"lan0\", 'lan1' }\n"
						  "wan = wan0\n"
						  "wan += { wan1, }\n"
						  "workers = 64 engine = \"splice\"\n"
						  "intercept = \"tc\"\n"
						  "user = nobody\n"
						  "max-proxies = 1\n"
						  "max-ports = 2\n"
						  "half-open = 3\n"
						  "half-open-per-client = \"4\"\n"
						  "drain-timeout = 1m\n");

	cr_expect_eq(config->lan_count, 2);
	cr_expect_str_eq(config->lan[1], "lan1");
	cr_expect_eq(config->wan_count, 2);
	cr_expect_str_eq(config->wan[0], "wan0");
	cr_expect_str_eq(config->wan[1], "wan1");
	cr_expect_eq(config->workers, 64);
	cr_expect_eq(config->engine, ENGINE_SPLICE);
	cr_expect_str_eq(config->user, "nobody");
	cr_expect_eq(config->max_proxies, 1);
	cr_expect_eq(config->max_ports, 2);
	cr_expect_eq(config->half_open, 3);
	cr_expect_eq(config->half_open_per_client, 4);
	cr_expect_eq(config->drain_timeout_s, 60);
	gateway_config_free(config);
}

Test(gateway_config, metrics_are_this_hosts_unless_told_otherwise)
{
	static const char *const loopback[] = { "127.0.0.1:7472", "127.1.2.3:1", "[::1]:7472" };
	static const char *const others[] = { "0.0.0.0:7472", "[::]:7472", "192.0.2.1:7472" };
	struct gateway_config *config = load_good(LAN);
	char text[128];

	cr_expect_eq(config->metrics.port, 0);
	gateway_config_free(config);
	for (size_t i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), LAN "metrics { listen = \"%s\" }\n", loopback[i]);
		config = load_good(text);
		cr_expect_neq(config->metrics.port, 0);
		cr_expect_not(config->metrics.is_public);
		gateway_config_free(config);
		snprintf(text, sizeof(text), LAN "metrics { listen = \"%s\" public = true }\n",
			 others[i]);
		config = load_good(text);
		cr_expect_eq(config->metrics.port, 7472);
		cr_expect(config->metrics.is_public);
		gateway_config_free(config);
	}
}

Test(gateway_config, every_key_of_a_port_is_read)
{
	struct gateway_config *config = load_good(
		LAN "wan = { wan0 }\n"
		    "proxy 10.0.0.1 { port 80 {\n"
		    "  trunk = 8080 window = \"16MiB\" rate = \"500mbit\" rtt = 80ms\n"
		    "  skip-slow-start = true parallel = 1 qos = vbr peak = 1gbit\n"
		    "  sustained = 100mbit minimum = 1mbit dscp = ef flow-control = bbr\n"
		    "  connect = early source = client proxy-protocol = v2\n"
		    "  engine = kernel idle-timeout = 0 keepalive = 30s } }\n");
	const struct wan_params expected = {
		.window = 16777216,
		.rate = 500000000,
		.peak = 1000000000,
		.sustained = 100000000,
		.minimum = 1000000,
		.rtt_us = 80000,
		.keepalive_s = 30,
		.skip_slow_start = 1,
		.parallel = 1,
		.qos = QOS_VBR,
		.dscp = 46,
		.connect = CONNECT_EARLY,
		.source = SOURCE_CLIENT,
		.proxy_protocol = PROXY_PROTOCOL_V2,
		.engine = ENGINE_KERNEL,
		.flow_control = "bbr",
	};

	cr_assert_eq(config->proxy_count, 1);
	cr_assert_eq(config->proxies[0].port_count, 1);
	cr_expect_eq(config->proxies[0].ports[0].service_port, 80);
	cr_expect_eq(config->proxies[0].ports[0].trunk_port, 8080);
	cr_expect_arr_eq(&config->proxies[0].ports[0].params, &expected, sizeof(expected));
	gateway_config_free(config);
}

Test(gateway_config, a_port_has_its_own_keys_over_those_of_a_set_that_may_follow)
{
	struct gateway_config *config = load_good(
		LAN "proxy 2001:db8::1 {\n"
		    "  nexthop = true\n"
		    "  port 65535 { rtt = 20ms  params = \"wan\"  skip-slow-start = true }\n"
		    "  port 1 { params = wan }\n"
		    "  port 2 { }\n"
		    "}\n"
		    "proxy 10.0.0.1 { }\n"
		    "params wan { rate = 1mbit rtt = 80ms }\n");
	const struct port_config *ports;
	char text[INET6_ADDRSTRLEN];

	cr_assert_eq(config->proxy_count, 2);
	cr_expect_str_eq(address_format(config->proxies[0].address, text), "2001:db8::1");
	cr_expect(config->proxies[0].nexthop);
	cr_expect_not(config->proxies[1].nexthop);
	cr_expect_eq(config->proxies[1].port_count, 0);
	cr_assert_eq(config->proxies[0].port_count, 3);
	ports = config->proxies[0].ports;
	cr_expect_eq(ports[0].trunk_port, 65535);
	cr_expect_eq(ports[0].params.rate, 1000000);
	cr_expect_eq(ports[0].params.rtt_us, 20000);
	cr_expect_eq(ports[0].params.skip_slow_start, 1);
	cr_expect_eq(ports[1].params.rtt_us, 80000);
	cr_expect_eq(ports[1].params.skip_slow_start, 0);
	cr_expect_eq(ports[2].params.rate, 0);
	cr_expect_eq(ports[2].params.idle_timeout_s, 7200);
	gateway_config_free(config);
}

Test(gateway_config, comments_may_stand_anywhere)
{
	expect_good("# one\n// two\n/* three\n * lines */ lan /* here */ = { # and here\n"
		    "  \"lan0\", // and\n  'lan1' /* there */ }#end\n"
		    "user = \"a#b\" proxy 10.0.0.1/**/{}");
}

Test(gateway_config, line_ends_of_other_systems_are_taken)
{
	expect_good("lan = { \"lan0\" }\r\nproxy 10.0.0.1 {\r\n port 80 { }\r\n}\r\n");
}

Test(gateway_config, variables_of_the_environment_are_put_in)
{
	struct gateway_config *config;

	setenv("SLUICE_TEST_LAN", "lan7", 1);
	config = load_good("lan = { \"${SLUICE_TEST_LAN}\" }\nuser = ${SLUICE_TEST_NONE:-bob}\n");
	cr_expect_str_eq(config->lan[0], "lan7");
	cr_expect_str_eq(config->user, "bob");
	gateway_config_free(config);
}

Test(gateway_config, the_same_port_may_stand_in_two_proxies)
{
	expect_good(LAN "proxy 10.0.0.1 { port 80 { } }\nproxy 10.0.0.2 { port 80 { } }\n");
}

/* ---- mistakes: keys and sections ---- */

Test(gateway_config_mistakes, unknown_keys_and_sections)
{
	expect_mistakes(
		"lann = { \"a\" }\n" LAN "colour = red\n"
		"proxies \"x\" { port 80 { trunk = 0 } }\n"
		"listener { }\n"
		"proxy 10.0.0.1 {\n"
		"  next-hop = true\n"
		"  port 80 { trnk = 1\n windw = 4MiB }\n"
		"  ports { }\n"
		"  port 81 { extra { a { } } }\n"
		"}\n"
		"params p { trunk = 5 }\n",
		"1: unknown key \"lann\", did you mean \"lan\"?\n"
		"3: unknown key \"colour\", expected one of: " FILE_KEYS "\n"
		"4: unknown section \"proxies\", expected one of: params, proxy, registrar, policy, "
		"metrics\n"
		"5: unknown section \"listener\", expected one of: params, proxy, registrar, policy, "
		"metrics\n"
		"7: unknown key \"next-hop\" in section \"proxy\", did you mean \"nexthop\"?\n"
		"8: unknown key \"trnk\" in section \"port\", did you mean \"trunk\"?\n"
		"9: unknown key \"windw\" in section \"port\", did you mean \"window\"?\n"
		"10: unknown section \"ports\" in section \"proxy\", did you mean \"port\"?\n"
		"11: unknown section \"extra\" in section \"port\", expected no section here\n"
		"13: unknown key \"trunk\" in section \"params\", expected one of: " PARAMS_KEYS
		"\n");
}

Test(gateway_config_mistakes, metrics)
{
	expect_mistakes(LAN "metrics { }\n"
			    "metrics { listen = 7472 }\n"
			    "metrics { listen = 127.0.0.1:0  public = perhaps }\n",
			"2: metrics without listen, expected listen = \"ADDRESS:PORT\"\n"
			"3: listen is \"7472\", expected ADDRESS:PORT, such as \"127.0.0.1:7472\"\n"
			"3: metrics is already given at line 2, expected it once\n"
			"4: listen is \"127.0.0.1:0\", expected ADDRESS:PORT, such as "
			"\"127.0.0.1:7472\"\n"
			"4: public is \"perhaps\", expected true or false\n"
			"4: metrics is already given at line 2, expected it once\n");
}

Test(gateway_config_mistakes, metrics_for_all_that_are_not_meant_to_be)
{
	expect_mistakes(LAN "metrics {\n  public = false\n  listen = \"0.0.0.0:7472\"\n}\n",
			"4: listen is \"0.0.0.0:7472\", which others than this host can reach, "
			"expected a loopback address, or public = true as well\n");
	expect_mistakes(LAN "metrics { listen = \"[2001:db8::1]:7472\" }\n",
			"2: listen is \"[2001:db8::1]:7472\", which others than this host can "
			"reach, expected a loopback address, or public = true as well\n");
}

Test(gateway_config_mistakes, wrong_type)
{
	expect_mistakes(LAN "workers = { 1 }\n"
			    "proxy = 10.0.0.1\n"
			    "engine { }\n"
			    "wan { wan0 }\n"
			    "proxy { }\n"
			    "workers += 1\n"
			    "proxy 10.0.0.1 { port { } nexthop = { true } trunk = 1 }\n",
			"2: \"workers\" takes no list, expected one value\n"
			"3: \"proxy\" is a section, expected proxy NAME { ... }\n"
			"4: \"engine\" is no section, expected engine = VALUE\n"
			"5: \"wan\" is no section, expected wan = { VALUE, ... }\n"
			"6: section \"proxy\" has no name, expected proxy NAME { ... }\n"
			"7: \"workers\" takes no list, expected \"=\"\n"
			"8: section \"port\" has no name, expected port NAME { ... }\n"
			"8: \"nexthop\" takes no list, expected one value\n"
			"8: unknown key \"trunk\" in section \"proxy\", expected one of: nexthop\n");
}

Test(gateway_config_mistakes, keys_given_twice)
{
	expect_mistakes(LAN "workers = 1\nworkers = 2\n"
			    "proxy 10.0.0.1 { port 80 { trunk = 1\n trunk = 2 }\n"
			    "port 81 { trunk = 1 } }\n"
			    "lan = { lan1 }\n",
			"3: \"workers\" is already given at line 2, expected it once\n"
			"5: \"trunk\" is already given at line 4, expected it once\n"
			"7: \"lan\" is already given at line 1, expected it once\n");
}

/* ---- mistakes: values ---- */

Test(gateway_config_mistakes, values_of_the_file)
{
	expect_mistakes(LAN "workers = many\n"
			    "engine = fast\n"
			    "intercept = nft\n"
			    "user = \"\"\n"
			    "max-proxies = 0\n"
			    "max-ports = 4000001\n"
			    "half-open = -1\n"
			    "half-open-per-client = 1.5\n"
			    "drain-timeout = 500ms\n",
			"2: workers is \"many\", expected a number from 0 to 64\n"
			"3: engine is \"fast\", expected auto, kernel or splice\n"
			"4: intercept is \"nft\", expected tc or xdp\n"
			"5: user is \"\", expected the name of a user\n"
			"6: max-proxies is \"0\", expected a number from 1 to 1000000\n"
			"7: max-ports is \"4000001\", expected a number from 1 to 4000000\n"
			"8: half-open is \"-1\", expected a number from 1 to 1000000\n"
			"9: half-open-per-client is \"1.5\", expected a number from 1 to 1000000\n"
			"10: drain-timeout is \"500ms\", expected whole seconds, 0 to 1d, such as "
			"\"30s\"\n");
	expect_mistakes(LAN "listen-ports = 0\n"
			    "syn-rate = 1000001\n",
			"2: listen-ports is \"0\", expected a range of ports, such as "
			"\"10240-29999\"\n"
			"3: syn-rate is \"1000001\", expected a number from 0 to 1000000\n");
}

Test(gateway_config_mistakes, interfaces)
{
	expect_mistakes(
		"lan = { \"lan0\", \"abcdefghijklmnop\",\n"
		"  \"lan0\",\n"
		"  \"a b\", \"\" }\n"
		"wan = { \"wan0\",\n"
		"  \"lan0\" }\n",
		"1: lan has \"abcdefghijklmnop\", expected an interface name of 1 to 15 "
		"characters, none of them \"/\", \":\" or a space\n"
		"2: lan has \"lan0\" already at line 1, expected it once\n"
		"3: lan has \"a b\", expected an interface name of 1 to 15 characters, none "
		"of them \"/\", \":\" or a space\n"
		"3: lan has \"\", expected an interface name of 1 to 15 characters, none of "
		"them \"/\", \":\" or a space\n"
		"5: wan has \"lan0\", which is in lan at line 1, expected it in one of them\n");
}

Test(gateway_config_mistakes, no_lan)
{
	const char *const expected = "1: no interface in lan, expected lan = { \"INTERFACE\" }\n";

	expect_mistakes("", expected);
	expect_mistakes("workers = 1\n", expected);
	expect_mistakes("\n\nlan = { }\n",
			"3: no interface in lan, expected lan = { \"INTERFACE\" }\n");
	expect_mistakes("\nlan { }\n", "2: \"lan\" is no section, expected lan = { VALUE, ... }\n");
}

Test(gateway_config_mistakes, addresses)
{
	expect_mistakes(LAN "proxy 10.0.0.300 { }\n"
			    "proxy \"\" { }\n"
			    "proxy 127.0.0.1 { port 0 { } }\n"
			    "proxy 224.0.0.1 { }\n"
			    "proxy :: { }\n",
			"2: proxy \"10.0.0.300\" is no address, expected an IPv4 or IPv6 address\n"
			"3: proxy \"\" is no address, expected an IPv4 or IPv6 address\n"
			"4: port \"0\" is no port number, expected 1 to 65535\n"
			"4: proxy 127.0.0.1 cannot be a remote's address, expected one that is not "
			"unspecified, loopback, multicast or broadcast\n"
			"5: proxy 224.0.0.1 cannot be a remote's address, expected one that is not "
			"unspecified, loopback, multicast or broadcast\n"
			"6: proxy :: cannot be a remote's address, expected one that is not "
			"unspecified, loopback, multicast or broadcast\n");
}

Test(gateway_config_mistakes, ports)
{
	expect_mistakes(LAN "proxy 10.0.0.1 {\n"
			    "  nexthop = maybe\n"
			    "  port 0 { }\n"
			    "  port 65536 {\n"
			    "    trunk = 0\n"
			    "  }\n"
			    "  port http { trunk = https }\n"
			    "  port 80 { rate = fast  parallel = 17 }\n"
			    "}\n",
			"3: nexthop is \"maybe\", expected true or false\n"
			"4: port \"0\" is no port number, expected 1 to 65535\n"
			"5: port \"65536\" is no port number, expected 1 to 65535\n"
			"6: trunk is \"0\", expected a port from 1 to 65535\n"
			"8: trunk is \"https\", expected a port from 1 to 65535\n"
			"8: port \"http\" is no port number, expected 1 to 65535\n"
			"9: rate is \"fast\", expected a rate above 0 such as \"500mbit\"\n"
			"9: parallel is \"17\", expected a number from 1 to 8\n");
}

/* ---- mistakes: the file as a whole ---- */

Test(gateway_config_mistakes, the_same_twice)
{
	expect_mistakes(LAN "proxy 10.0.0.1 {\n"
			    "  port 80 { }\n"
			    "  port 443 { }\n"
			    "  port 80 {\n"
			    "  }\n"
			    "  port 080 { }\n"
			    "}\n"
			    "proxy 2001:db8::1 { }\n"
			    "proxy ::ffff:10.0.0.1 { }\n"
			    "proxy 2001:DB8:0::1 {\n"
			    "}\n"
			    "proxy 10.0.0.1 { }\n"
			    "params a { } params b { }\n"
			    "params a { rate = 1mbit }\n",
			"5: port 80 is already given at line 3\n"
			"7: port 80 is already given at line 3\n"
			"10: proxy 10.0.0.1 is already given at line 2\n"
			"11: proxy 2001:db8::1 is already given at line 9\n"
			"13: proxy 10.0.0.1 is already given at line 2\n"
			"15: params \"a\" is already given at line 14, expected another name\n");
}

Test(gateway_config_mistakes, sets_that_are_not_there)
{
	expect_mistakes(LAN "proxy 10.0.0.1 {\n"
			    "  port 80 { params = wna }\n"
			    "  port 81 { params = \"\" }\n"
			    "  port 82 {\n"
			    "    params = satellite\n"
			    "  }\n"
			    "}\n"
			    "params wan { }\n"
			    "params \"\" { }\n",
			"3: no params \"wna\" in this file, did you mean \"wan\"?\n"
			"6: no params \"satellite\" in this file, expected the name of one\n"
			"10: params \"\" has an empty name, expected one that ports can give\n");
}

Test(gateway_config_mistakes, parameters_that_do_not_fit_together)
{
	expect_mistakes(LAN "params fast { skip-slow-start = true }\n"
			    "params wrong { skip-slow-start = true rtt = never }\n"
			    "proxy 10.0.0.1 {\n"
			    "  port 80 {\n"
			    "    params = fast }\n"
			    "  port 81 { params = fast  rate = 1mbit  rtt = 80ms }\n"
			    "  port 82 { params = wrong }\n"
			    "  port 83 { qos = cbr }\n"
			    "}\n",
			"3: rtt is \"never\", expected a time above 0, up to 60s, such as \"80ms\"\n"
			"5: skip-slow-start without rate, expected rate and rtt as well\n"
			"9: qos = cbr without rate, expected rate as well\n");
}

Test(gateway_config_mistakes, source_client_needs_wan)
{
	static const char expected[] =
		"3: source = client without wan, expected wan = { \"INTERFACE\" } as well\n";

	expect_mistakes(LAN "proxy 10.0.0.1 { port 80 {\n source = client }\n"
			    "port 81 { source = client } }\n",
			expected);
	expect_mistakes(LAN "params p {\n source = client }\n", expected);
	expect_good(LAN "wan = { wan0 }\nparams p { source = client }\n");
}

Test(gateway_config_mistakes, more_than_the_tables_hold)
{
	expect_mistakes(LAN "max-proxies = 1 max-ports = 2\n"
			    "proxy 10.0.0.1 { port 80 { } }\n"
			    "proxy 10.0.0.2 { port 80 { }\n"
			    "port 81 { }\n"
			    "port 82 { } }\n",
			"4: more proxies than max-proxies allows, expected at most 1\n"
			"5: more ports than max-ports allows, expected at most 2\n");
}

/* ---- mistakes: syntax ---- */

Test(gateway_config_syntax, statements_that_are_not_complete)
{
	expect_mistakes(LAN
			"workers\n"
			"workers =\n"
			"engine = = auto\n"
			"user nobody\n"
			"= 4\n"
			"proxy 10.0.0.1\n"
			"proxy 10.0.0.2 { port 80 { trunk = } port 81 { trunk } nexthop = maybe }\n"
			"half-open = ( 4 )\n"
			"wan = { \"wan0\" \"wan1\", , }\n"
			"colour red\n"
			"}\n"
			"drain-timeout = never\n",
			"2: nothing after \"workers\", expected \"=\"\n"
			"3: nothing after \"workers\", expected a value\n"
			"4: unexpected \"=\" after \"engine\", expected a value\n"
			"5: unexpected \"nobody\" after \"user\", expected \"=\"\n"
			"6: unexpected \"=\", expected a key or a section\n"
			"7: nothing after \"proxy\", expected NAME {\n"
			"8: unexpected \"}\" after \"trunk\", expected a value\n"
			"8: unexpected \"}\" after \"trunk\", expected \"=\"\n"
			"8: nexthop is \"maybe\", expected true or false\n"
			"9: unexpected \"(\" after \"half-open\", expected a value\n"
			"10: unexpected \"wan1\" in the list of \"wan\", expected \",\" or \"}\"\n"
			"10: unexpected \",\" in the list of \"wan\", expected a value or \"}\"\n"
			"11: nothing after \"colour\", expected \"=\" or \"{\"\n"
			"12: unexpected \"}\", expected a key or a section\n"
			"13: drain-timeout is \"never\", expected whole seconds, 0 to 1d, such as "
			"\"30s\"\n");
}

Test(gateway_config_syntax, a_section_that_is_not_closed)
{
	expect_mistakes(LAN "workers = 99\nproxy 10.0.0.1 {\n  port 80 {\n    trunk = 0\n  }\n",
			"2: workers is \"99\", expected a number from 0 to 64\n"
			"3: section \"proxy\" is not closed, expected \"}\"\n"
			"5: trunk is \"0\", expected a port from 1 to 65535\n");
	expect_mistakes(LAN "proxy 10.0.0.1 {\n  port 80 {\n    trunk = 0\n  }\n"
			    "proxy 10.0.0.2 {\n  port 0 { }\n}\n",
			"2: section \"proxy\" is not closed, expected \"}\" before line 6\n"
			"4: trunk is \"0\", expected a port from 1 to 65535\n");
	expect_mistakes(LAN "metrics {\n  listen = 1\n",
			"2: section \"metrics\" is not closed, expected \"}\"\n"
			"3: listen is \"1\", expected ADDRESS:PORT, such as \"127.0.0.1:7472\"\n");
	expect_mistakes(LAN "registrar {\n  lease = 0\n",
			"2: section \"registrar\" is not closed, expected \"}\"\n"
			"2: registrar without listen, expected listen = \"ADDRESS:PORT\"\n"
			"3: lease is \"0\", expected whole seconds, 1s to 1d, such as \"30s\"\n");
}

Test(gateway_config_syntax, a_list_that_is_not_closed)
{
	expect_mistakes("lan = { \"lan0\"\nworkers = 99\n",
			"1: list of \"lan\" is not closed, expected \"}\"\n"
			"2: workers is \"99\", expected a number from 0 to 64\n");
	expect_mistakes("lan = { \"lan0\",\nproxy 10.0.0.1 { port 0 { } }\n",
			"1: list of \"lan\" is not closed, expected \"}\"\n"
			"2: port \"0\" is no port number, expected 1 to 65535\n");
	expect_mistakes("\nlan = { \"lan0\"", "2: list of \"lan\" is not closed, expected \"}\"\n");
}

Test(gateway_config_syntax, a_string_that_is_not_closed)
{
	expect_mistakes("workers = 99\nuser = \"bob\nengine = fast\n",
			"1: workers is \"99\", expected a number from 0 to 64\n"
			"2: string is not closed, expected '\"' on the same line\n");
	expect_mistakes("proxy 10.0.0.1 {\n  port 80 { trunk = 0 }\n  port '81 { }\n}\n",
			"2: trunk is \"0\", expected a port from 1 to 65535\n"
			"3: string is not closed, expected \"'\" on the same line\n");
	expect_mistakes("user = \"a\\400\"\n",
			"1: number after \"\\\" is no character, expected \\1 to \\377\n");
	expect_mistakes("user = \"bob",
			"1: string is not closed, expected '\"' on the same line\n");
}

Test(gateway_config_syntax, a_comment_that_is_not_closed)
{
	expect_mistakes("workers = 99\n/* lan = { \"lan0\" }\n",
			"1: workers is \"99\", expected a number from 0 to 64\n"
			"2: comment is not closed, expected \"*/\"\n");
}

Test(gateway_config_syntax, a_variable_that_is_not_closed)
{
	expect_mistakes("workers = 99\nuser = \"${USER\"\nwan = { }\n",
			"1: workers is \"99\", expected a number from 0 to 64\n"
			"2: variable is not closed, expected \"}\" on the same line\n");
	expect_mistakes("proxy ${ADDRESS {\n}\n",
			"1: variable is not closed, expected \"}\" on the same line\n");
}

Test(gateway_config_syntax, a_nul_byte)
{
	static const char text[] = "workers = 99\nuser = b\0ob\n";
	struct gateway_config *config;
	char *errors = NULL;

	cr_expect_eq(load_bytes(text, sizeof(text) - 1, &config, &errors), -EINVAL);
	cr_expect_null(config);
	cr_expect_str_eq(errors, "1: workers is \"99\", expected a number from 0 to 64\n"
				 "2: NUL byte, expected text\n");
	free(errors);
}

Test(gateway_config_syntax, unknown_sections_may_be_nested_to_any_depth)
{
	char *text = malloc(200000), *errors = NULL;
	struct gateway_config *config;

	cr_assert_not_null(text);
	memset(text, '{', 100000);
	memset(text + 100000, '}', 100000);
	memcpy(text, "foo {", 5);
	cr_expect_eq(load_bytes(text, 199996, &config, &errors), -EINVAL);
	cr_expect_str_eq(
		errors,
		"1: unknown section \"foo\", expected one of: params, proxy, registrar, policy, "
		"metrics\n"
		"1: no interface in lan, expected lan = { \"INTERFACE\" }\n");
	free(errors);
	free(text);
}

/* ---- files that cannot be read ---- */

static void expect_unreadable(const char *path, int result, const char *expected)
{
	struct gateway_config *config = (void *)1;
	char *errors = NULL;
	size_t size;
	FILE *stream = open_memstream(&errors, &size);

	cr_assert_not_null(stream);
	cr_expect_eq(gateway_config_load(path, &config, stream), result);
	fclose(stream);
	cr_expect_null(config);
	cr_expect_str_eq(errors, expected);
	free(errors);
}

Test(gateway_config_file, what_cannot_be_read_is_told_in_one_line)
{
	expect_unreadable("/nonexistent/gateway.conf", -ENOENT,
			  "/nonexistent/gateway.conf: No such file or directory\n");
	expect_unreadable("/", -EISDIR, "/: Is a directory\n");
	expect_unreadable("/dev/null/gateway.conf", -ENOTDIR,
			  "/dev/null/gateway.conf: Not a directory\n");
}

Test(gateway_config_file, an_empty_file_lacks_lan)
{
	expect_unreadable("/dev/null", -EINVAL,
			  "/dev/null:1: no interface in lan, expected lan = { \"INTERFACE\" }\n");
}

Test(gateway_config_file, a_file_can_be_read_after_a_bad_one)
{
	expect_mistakes("user = \"bob\n",
			"1: string is not closed, expected '\"' on the same line\n");
	expect_good(LAN);
}

/* ---- large files ---- */

#define BIG_PROXIES 10000
#define BIG_PORTS 10

static char *big_file(const char *port_keys)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	cr_assert_not_null(stream);
	fputs(LAN "params w { rate = 500mbit rtt = 80ms }\n", stream);
	for (unsigned i = 0; i < BIG_PROXIES; i++) {
		fprintf(stream, "proxy \"10.1.%u.%u\" {\n", i / 256, i % 256);
		for (unsigned port = 1; port <= BIG_PORTS; port++)
			fprintf(stream, "  port %u { trunk = %u params = w %s }\n", port,
				port + 1000, port_keys);
		fputs("}\n", stream);
	}
	fclose(stream);
	return text;
}

Test(gateway_config_file, ten_thousand_proxies_of_ten_ports)
{
	char *text = big_file("skip-slow-start = true"), address[INET6_ADDRSTRLEN];
	struct gateway_config *config = load_good(text);

	cr_assert_eq(config->proxy_count, BIG_PROXIES);
	for (size_t i = 0; i < config->proxy_count; i++)
		cr_assert_eq(config->proxies[i].port_count, BIG_PORTS);
	cr_expect_str_eq(address_format(config->proxies[9999].address, address), "10.1.39.15");
	cr_expect_eq(config->proxies[9999].ports[9].trunk_port, 1010);
	cr_expect_eq(config->proxies[9999].ports[9].params.rate, 500000000);
	gateway_config_free(config);
	free(text);
}

Test(gateway_config_file, every_mistake_of_a_large_file_is_told)
{
	static const char first[] =
		"4: unknown key \"colour\" in section \"port\", expected one of: trunk, params, " PARAMS_KEYS
		"\n";
	char *text = big_file("colour = red"), *errors = NULL;
	struct gateway_config *config;
	size_t lines = 0;

	cr_expect_eq(load_bytes(text, strlen(text), &config, &errors), -EINVAL);
	for (const char *byte = errors; *byte != '\0'; byte++)
		lines += *byte == '\n';
	cr_expect_eq(lines, BIG_PROXIES * BIG_PORTS);
	cr_expect_eq(strncmp(errors, first, strlen(first)), 0);
	free(errors);
	free(text);
}
