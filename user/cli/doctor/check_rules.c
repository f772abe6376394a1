/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Policy rules: those that a running gateway needs, and others' that take
 * marked packets before them or use the same bits of the mark.
 */
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "doctor.h"
#include "netlink.h"
#include "routing.h"
#include "tables.h"

/* Where a rule of others is out of our way: before main's, at 32766. */
#define PREF_OUT_OF_THE_WAY 1000

struct rules_seen {
	struct doctor *doctor;
	unsigned ours;
};

/* A rule as ip(8) takes it, without its preference. */
static void format_rule(const struct ip_rule *rule, char *text, size_t size)
{
	size_t length = 0;

	text[0] = '\0';
#define APPEND(...) \
	length += (size_t)snprintf(text + length, length < size ? size - length : 0, __VA_ARGS__)
	if (rule->inverted)
		APPEND("not ");
	APPEND("from %s", *rule->from ? rule->from : "all");
	if (*rule->to)
		APPEND(" to %s", rule->to);
	if (rule->mask)
		APPEND(" fwmark 0x%x/0x%x", rule->mark, rule->mask);
	if (*rule->iif)
		APPEND(" iif %s", rule->iif);
	if (rule->table)
		APPEND(" lookup %u", rule->table);
#undef APPEND
}

static void find_rule(struct doctor *doctor, const struct ip_rule *rule, const char *id,
		      const char *why)
{
	int version = rule->family == AF_INET ? 4 : 6;
	char text[256];

	format_rule(rule, text, sizeof(text));
	if (rule->has_more || !rule->table)
		report_finding(doctor, SEVERITY_WARNING, id,
			       json_sprintf("policy rule %u (IPv%d) may take marked packets: %s",
					    rule->pref, version, text),
			       json_string(why), NULL,
			       json_sprintf("give it a preference above %d, or exempt fwmark "
					    "0x%x/0x%x",
					    ROUTING_PREF + 1, MARK_STEAL, MARK_MASK));
	else
		report_finding(
			doctor, SEVERITY_PROBLEM, id,
			json_sprintf("policy rule %u (IPv%d) takes marked packets: %s", rule->pref,
				     version, text),
			json_string(why),
			json_sprintf("ip -%d rule add pref %d %s\nip -%d rule del pref %u %s",
				     version, PREF_OUT_OF_THE_WAY, text, version, rule->pref, text),
			json_string("let it come after ours:"));
}

static void on_rule(const struct ip_rule *rule, void *context)
{
	struct rules_seen *seen = context;
	bool matches = (MARK_STEAL & rule->mask) == (rule->mark & rule->mask);

	if (rule->protocol == ROUTING_PROTOCOL) {
		seen->ours++;
		return;
	}
	if (rule->table == RT_TABLE_LOCAL) /* the kernel's own, first of all */
		return;
	if (rule->pref <= ROUTING_PREF + 1 && matches && !rule->inverted &&
	    (!*rule->iif || doctor_is_ours(seen->doctor, rule->iif)))
		find_rule(seen->doctor, rule, "rule-before-ours",
			  "packets of flows that are taken do not reach the relay, and are lost");
	else if (rule->mask & MARK_MASK && (rule->mark & MARK_MASK) != 0 && !rule->inverted)
		report_finding(
			seen->doctor, SEVERITY_WARNING, "mark-in-use",
			json_sprintf("policy rule %u (IPv%d) is for fwmark 0x%x/0x%x", rule->pref,
				     rule->family == AF_INET ? 4 : 6, rule->mark, rule->mask),
			json_sprintf("these bits are sluice's (0x%x): packets that somebody "
				     "else marks so may be taken for ours, or lose that mark",
				     MARK_MASK),
			NULL,
			json_string("give that rule, and what marks its packets, other bits"));
}

static void check_ours(struct doctor *doctor, int family, unsigned rules)
{
	int version = family == AF_INET ? 4 : 6;

	if (rules == 2 && netlink_routes(family, ROUTING_TABLE, ROUTING_PROTOCOL, 0) == 1) {
		report_good(doctor, version == 4 ? "IPv4" : "IPv6");
		return;
	}
	if (rules == 0 && family == AF_INET6 && netlink_routes(family, 0, 0, 0) == 0)
		return; /* IPv6 is not used here */
	report_finding(
		doctor, SEVERITY_PROBLEM, "routing-incomplete",
		json_sprintf("policy routing of the running gateway is incomplete (IPv%d)",
			     version),
		json_string("packets of flows that are taken do not reach the relay, and are lost"),
		json_sprintf("ip -%d route replace local default dev lo table %d proto %d%s\n"
			     "ip -%d rule add pref %d fwmark 0x%x/0x%x iif lo lookup main proto "
			     "%d || true\n"
			     "ip -%d rule add pref %d fwmark 0x%x/0x%x lookup %d proto %d || true",
			     version, ROUTING_TABLE, ROUTING_PROTOCOL,
			     family == AF_INET6 ? " metric 1" : "", version, ROUTING_PREF,
			     MARK_STEAL, MARK_MASK, ROUTING_PROTOCOL, version, ROUTING_PREF + 1,
			     MARK_STEAL, MARK_MASK, ROUTING_TABLE, ROUTING_PROTOCOL),
		NULL);
}

/* By XDP alone nothing is marked; what comes back to legs with their client's
 * address is. */
static bool needs_routing(const struct doctor *doctor)
{
	return !doctor->config || doctor->config->intercept == WAY_TC ||
	       doctor->config->wan_count > 0;
}

void check_rules(struct doctor *doctor)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 2; i++) {
		struct rules_seen seen = { .doctor = doctor };

		if (netlink_rules(families[i], on_rule, &seen))
			continue;
		if (doctor->lock < 0 && needs_routing(doctor))
			check_ours(doctor, families[i], seen.ours);
	}
}
