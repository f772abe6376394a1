// SPDX-License-Identifier: GPL-2.0
/*
 * Policy routing in a network namespace of the test's own, looked at with
 * ip(8). Criterion runs each test in a process, which ends with its namespace.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "routing.h"

#define ERROR_MAX 256

#define OUR_RULES                                                                  \
	"74:\tfrom all fwmark 0x50000000/0xf0000000 iif lo lookup main proto 74\n" \
	"75:\tfrom all fwmark 0x50000000/0xf0000000 lookup 7471 proto 74\n"
#define OUR_ROUTE4 "local default dev lo proto 74 scope host \n"
#define OUR_ROUTE6 "local default dev lo proto 74 metric 1 pref medium\n"
#define KERNEL_RULES4                    \
	"32766:\tfrom all lookup main\n" \
	"32767:\tfrom all lookup default\n"
#define KERNEL_RULES6 "32766:\tfrom all lookup main\n"
#define FIRST_RULE "0:\tfrom all lookup local\n"

/* Runs a command; it must succeed. */
static void run(const char *command)
{
	cr_assert_eq(system(command), 0, "%s failed", command);
}

/* An empty network namespace with the loopback device up. */
static void enter_namespace(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		cr_skip_test("no network namespace can be made: %s", strerror(errno));
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	run("ip link set lo up");
}

/* A device with addresses of both families. */
static void add_device(void)
{
	run("ip link add veth0 type veth peer name veth1 && ip link set veth1 up && "
	    "ip link set veth0 up && ip addr add 10.0.0.254/24 dev veth0 && "
	    "ip addr add 2001:db8::254/64 dev veth0 nodad");
}

/* What the command says, in output (size bytes). */
static void read_output(const char *command, char *output, size_t size)
{
	FILE *pipe = popen(command, "r");

	cr_assert(pipe);
	output[fread(output, 1, size - 1, pipe)] = '\0';
	pclose(pipe);
}

static void expect_output(const char *command, const char *expected)
{
	char output[4096];

	read_output(command, output, sizeof(output));
	cr_expect_str_eq(output, expected, "%s says:\n%sinstead of:\n%s", command, output,
			 expected);
}

static void expect_output_contains(const char *command, const char *expected)
{
	char output[4096];

	read_output(command, output, sizeof(output));
	cr_expect(strstr(output, expected), "%s says:\n%swithout: %s", command, output, expected);
}

static void expect_added(void)
{
	char error[ERROR_MAX] = "";

	cr_expect_eq(routing_add(error, sizeof(error)), 0, "%s", error);
}

static void expect_refused(int expected, const char *advice)
{
	char error[ERROR_MAX] = "";
	int result = routing_add(error, sizeof(error));

	cr_expect_eq(result, expected, "%s: %s", strerror(-result), error);
	cr_expect(strstr(error, advice), "\"%s\" does not say \"%s\"", error, advice);
	cr_expect_null(strchr(error, '\n'), "more than one line");
}

static void expect_all_there(void)
{
	expect_output("ip -4 rule", FIRST_RULE OUR_RULES KERNEL_RULES4);
	expect_output("ip -6 rule", FIRST_RULE OUR_RULES KERNEL_RULES6);
	expect_output("ip -4 route show table 7471", OUR_ROUTE4);
	expect_output("ip -6 route show table 7471", OUR_ROUTE6);
}

static void expect_nothing_left(void)
{
	expect_output("ip -4 rule", FIRST_RULE KERNEL_RULES4);
	expect_output("ip -6 rule", FIRST_RULE KERNEL_RULES6);
	expect_output("ip -4 route show table 7471 2>/dev/null", "");
	expect_output("ip -6 route show table 7471 2>/dev/null", "");
}

Test(routing, adds_rules_and_routes_and_removes_them)
{
	enter_namespace();
	expect_added();
	expect_all_there();
	cr_expect_eq(routing_remove(), 0);
	expect_nothing_left();
}

Test(routing, adding_twice_is_adding_once)
{
	enter_namespace();
	expect_added();
	expect_added();
	expect_all_there();
}

Test(routing, removing_nothing_is_no_error)
{
	enter_namespace();
	cr_expect_eq(routing_remove(), 0);
	expect_nothing_left();
}

Test(routing, leftovers_of_a_crashed_run_go)
{
	enter_namespace();
	expect_added();
	/* ip(8) refuses to make equal rules: these are ours with something added. */
	run("for family in -4 -6; do for dev in a b; do "
	    "ip $family rule add pref 75 fwmark 0x50000000/0xf0000000 iif $dev lookup 7471 "
	    "proto 74 || exit 1; done; done; "
	    "ip -4 rule del pref 74 && ip -6 route flush table 7471");
	expect_added();
	expect_all_there();
	cr_expect_eq(routing_remove(), 0);
	expect_nothing_left();
}

Test(routing, marked_packets_are_delivered_here_and_others_are_not)
{
	enter_namespace();
	add_device();
	run("sysctl -qw net.ipv4.conf.all.forwarding=1 net.ipv6.conf.all.forwarding=1");
	run("ip route add 192.0.2.0/24 via 10.0.0.2");
	run("ip route add 2001:db8:2::/64 via 2001:db8::2");
	expect_added();
	expect_output_contains("ip route get 192.0.2.1 from 10.0.0.1 iif veth0 mark 0x50000000",
			       "local 192.0.2.1 ");
	expect_output_contains("ip route get 192.0.2.1 from 10.0.0.1 iif veth0 mark 0x5abcdef1",
			       "local 192.0.2.1 ");
	expect_output_contains("ip route get 192.0.2.1 from 10.0.0.1 iif veth0 mark 0x60000000",
			       "via 10.0.0.2");
	expect_output_contains("ip route get 192.0.2.1 from 10.0.0.1 iif veth0", "via 10.0.0.2");
	expect_output_contains("ip route get 2001:db8:2::1 from 2001:db8::1 iif veth0 "
			       "mark 0x5abcdef1",
			       "local 2001:db8:2::1 ");
	expect_output_contains("ip route get 2001:db8:2::1 from 2001:db8::1 iif veth0",
			       "via 2001:db8::2");
}

/* With src_valid_mark the reverse path check looks the source up by the mark:
 * without the first rule it would find it to be one of our own addresses. */
Test(routing, marked_packets_pass_a_strict_reverse_path_check)
{
	const char *command = "ip route get 192.0.2.1 from 10.0.0.1 iif veth0 mark 0x50000000 2>&1";

	enter_namespace();
	add_device();
	run("sysctl -qw net.ipv4.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=1 "
	    "net.ipv4.conf.veth0.rp_filter=1 net.ipv4.conf.all.src_valid_mark=1");
	expect_added();
	expect_output_contains(command, "local 192.0.2.1 ");
	run("ip rule del pref 74");
	expect_output_contains(command, "Invalid");
}

#define THEIR_RULES_74                          \
	"74:\tfrom all fwmark 0x1 lookup 100\n" \
	"74:\tfrom all fwmark 0x50000000/0xf0000000 iif lo lookup main\n"
#define THEIR_RULE_75 "75:\tfrom all fwmark 0x50000000/0xf0000000 lookup 7471\n"
#define BOTH_RULES                                                                               \
	THEIR_RULES_74                                                                           \
	"74:\tfrom all fwmark 0x50000000/0xf0000000 iif lo lookup main proto 74\n" THEIR_RULE_75 \
	"75:\tfrom all fwmark 0x50000000/0xf0000000 lookup 7471 proto 74\n"

Test(routing, what_others_have_in_the_same_places_stays_and_is_no_hindrance)
{
	enter_namespace();
	run("for family in -4 -6; do "
	    "ip $family rule add pref 74 fwmark 1 lookup 100 && "
	    "ip $family rule add pref 74 fwmark 0x50000000/0xf0000000 iif lo lookup main && "
	    "ip $family rule add pref 75 fwmark 0x50000000/0xf0000000 lookup 7471 && "
	    "ip $family route add blackhole default table 7471 || exit 1; done");
	expect_added();
	expect_output("ip -4 rule", FIRST_RULE BOTH_RULES KERNEL_RULES4);
	expect_output("ip -6 rule", FIRST_RULE BOTH_RULES KERNEL_RULES6);
	expect_output_contains("ip route get 192.0.2.1 mark 0x50000000", "local 192.0.2.1 ");
	expect_output_contains("ip route get 2001:db8:2::1 mark 0x50000000",
			       "local 2001:db8:2::1 ");
	cr_expect_eq(routing_remove(), 0);
	expect_output("ip -4 rule", FIRST_RULE THEIR_RULES_74 THEIR_RULE_75 KERNEL_RULES4);
	expect_output("ip -6 rule", FIRST_RULE THEIR_RULES_74 THEIR_RULE_75 KERNEL_RULES6);
	expect_output("ip -4 route show table 7471", "blackhole default \n");
	expect_output_contains("ip -6 route show table 7471", "blackhole default ");
}

/* The very routes that we would add, made by somebody else. */
Test(routing, routes_of_others_like_ours_stay_and_are_no_hindrance)
{
	enter_namespace();
	run("ip -4 route add local default dev lo table 7471 && "
	    "ip -6 route add local default dev lo table 7471");
	expect_added();
	cr_expect_eq(routing_remove(), 0);
	expect_output("ip -4 route show table 7471", "local default dev lo scope host \n");
	expect_output("ip -6 route show table 7471",
		      "local default dev lo metric 1024 pref medium\n");
}

Test(routing, loopback_that_is_down_is_said_and_leaves_nothing)
{
	enter_namespace();
	run("ip link set lo down");
	expect_refused(-ENETDOWN, "ip link set lo up");
	expect_nothing_left();
}

Test(routing, ipv6_switched_off_is_left_out)
{
	enter_namespace();
	run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
	expect_added();
	expect_output("ip -4 rule", FIRST_RULE OUR_RULES KERNEL_RULES4);
	expect_output("ip -4 route show table 7471", OUR_ROUTE4);
	expect_output("ip -6 rule", FIRST_RULE KERNEL_RULES6);
	cr_expect_eq(routing_remove(), 0);
	expect_nothing_left();
}

Test(routing, ipv6_switched_off_on_the_loopback_alone_is_an_error)
{
	enter_namespace();
	add_device();
	run("sysctl -qw net.ipv6.conf.lo.disable_ipv6=1");
	expect_refused(-EACCES, "sysctl net.ipv6.conf.lo.disable_ipv6=0");
	expect_nothing_left();
}

Test(routing, without_privilege_the_error_says_what_to_do)
{
	enter_namespace();
	cr_assert_eq(setuid(65534), 0);
	expect_refused(-EPERM, "run as root");
	cr_expect_eq(routing_remove(), -EPERM);
}
