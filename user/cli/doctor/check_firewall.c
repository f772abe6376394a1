/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The firewall's part: what is taken passes PREROUTING and INPUT, by tc with our
 * mark, by XDP as packets to listen ports of this host, where it may be dropped,
 * translated, handed to another or lose the mark; WAN legs with their client's
 * address pass POSTROUTING.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "doctor.h"
#include "firewall.h"
#include "route.h"
#include "tables.h"

/* Ports that are tried; one rule is reported once, whatever it matches. */
#define PORTS_TRIED 512

/* What exempts our packets: on top of a base chain, it ends only that one. */
#define EXEMPTION "nft insert rule %s meta mark and 0x%x == 0x%x accept"
#define EXEMPTION_LANDED "nft insert rule %s iifname %s tcp dport %u-%u accept"

struct firewall_check {
	struct doctor *doctor;
	const char *hook;
	const struct firewall_packet *packet;
	json_t *seen; /* chains with a finding, by their fate */
};

static const struct {
	const char *id, *what, *why;
} fates[] = {
	[FATE_DROPPED] = { "firewall-drops", "drops packets of flows that are taken",
			   "held SYNs do not come through to the relay and are forwarded, late" },
	[FATE_REDIRECTED] = { "firewall-redirects",
			      "gives packets of flows that are taken to somebody else",
			      "their connections are not joined, and time out or are reset" },
	[FATE_TRANSLATED] = { "nat-hides-client",
			      "translates the address of WAN legs that have "
			      "their client's (source = client)",
			      "the remote does not see the client, and what it answers finds no "
			      "leg" },
	[FATE_UNMARKED] = { "mark-overwritten",
			    "takes the mark off packets of flows that are taken",
			    "they are forwarded to the remote, which knows nothing of them" },
};

static void on_verdict(const struct firewall_verdict *verdict, void *context)
{
	struct firewall_check *check = context;
	const struct firewall_packet *packet = check->packet;
	const struct gateway_config *config = check->doctor->config;
	char key[224];
	json_t *cure;

	snprintf(key, sizeof(key), "%s %d", verdict->chain, (int)verdict->fate);
	if (json_object_get(check->seen, key))
		return;
	json_object_set_new(check->seen, key, json_true());
	if (verdict->fate == FATE_TRANSLATED)
		cure = json_sprintf("nft insert rule %s %s daddr %s tcp dport %u accept",
				    verdict->chain, packet->ipv4 ? "ip" : "ip6", packet->daddr,
				    packet->dport);
	else if (packet->mark)
		cure = json_sprintf(EXEMPTION, verdict->chain, MARK_MASK, MARK_STEAL);
	else
		cure = json_sprintf(EXEMPTION_LANDED, verdict->chain, packet->iif,
				    config->listen_ports.first, config->listen_ports.last);
	report_finding(check->doctor, verdict->certain ? SEVERITY_PROBLEM : SEVERITY_WARNING,
		       fates[verdict->fate].id,
		       json_sprintf("chain %s %s%s: %s %s port %u", verdict->chain,
				    verdict->certain ? "" : "perhaps ", fates[verdict->fate].what,
				    packet->iif ? packet->iif : packet->oif,
				    packet->daddr ?: "listen", packet->dport),
		       json_string(fates[verdict->fate].why), cure,
		       json_string("exempt them, here and in the file that your rules come from:"));
}

static void try_hook(struct firewall_check *check, const json_t *ruleset, const char *hook,
		     const struct firewall_packet *packet)
{
	check->packet = packet;
	firewall_run(ruleset, hook, packet, on_verdict, check);
}

/* The first packet of a connection, and all the others, as they arrive. */
static void try_arrival(struct firewall_check *check, const json_t *ruleset,
			struct firewall_packet packet)
{
	static const char *const states[] = { "new", "established" };

	for (size_t i = 0; i < 2; i++) {
		packet.ct_state = states[i];
		try_hook(check, ruleset, "prerouting", &packet);
		try_hook(check, ruleset, "input", &packet);
	}
}

/* By XDP: whatever the port, it is one of the listen ports by now. */
static void try_landing(struct firewall_check *check, const json_t *ruleset, const char *lan)
{
	for (int ipv4 = 0; ipv4 < 2; ipv4++)
		try_arrival(check, ruleset,
			    (struct firewall_packet){
				    .ipv4 = ipv4,
				    .iif = lan,
				    .dport = check->doctor->config->listen_ports.first });
}

static void try_port(struct firewall_check *check, const json_t *ruleset, const char *lan,
		     const uint8_t address[16], const struct port_config *port)
{
	char remote[INET6_ADDRSTRLEN], wan[IF_NAMESIZE];
	struct firewall_packet packet = { .ipv4 = address_is_ipv4(address),
					  .iif = lan,
					  .daddr = address_format(address, remote),
					  .dport = port->service_port,
					  .mark = MARK_STEAL };
	int ifindex;

	if (check->doctor->config->intercept == WAY_TC)
		try_arrival(check, ruleset, packet);
	if (port->params.source != SOURCE_CLIENT || route_interface(address, &ifindex) ||
	    !if_indextoname((unsigned)ifindex, wan))
		return;
	packet = (struct firewall_packet){ .ipv4 = packet.ipv4,
					   .oif = wan,
					   .daddr = remote,
					   .dport = port->trunk_port,
					   .ct_state = "new" };
	try_hook(check, ruleset, "postrouting", &packet);
}

/* The first port of what a policy allows; without a policy the family is tried in general. */
static void try_agents_port(struct firewall_check *check, const json_t *ruleset, const char *lan,
			    bool ipv4)
{
	static const uint8_t somewhere[16] = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 };
	struct port_config port = { .service_port = 443, .trunk_port = 443 };
	uint8_t address[16];
	const struct policy_config *policy = doctor_policy(check->doctor, ipv4, address);

	if (policy) {
		if (policy->port_count)
			port.service_port = port.trunk_port = policy->ports[0].first;
		try_port(check, ruleset, lan, address, &port);
	} else if (ipv4) {
		try_port(check, ruleset, lan, somewhere, &port);
	}
}

/* ---- the registrar ---- */

static void on_agents_verdict(const struct firewall_verdict *verdict, void *context)
{
	struct firewall_check *check = context;
	const struct firewall_packet *packet = check->packet;
	char key[224];

	snprintf(key, sizeof(key), "%s registrar", verdict->chain);
	if ((verdict->fate != FATE_DROPPED && verdict->fate != FATE_REDIRECTED) ||
	    json_object_get(check->seen, key))
		return;
	json_object_set_new(check->seen, key, json_true());
	report_finding(check->doctor, verdict->certain ? SEVERITY_PROBLEM : SEVERITY_WARNING,
		       "registrar-blocked",
		       json_sprintf("chain %s %skeeps agents from the registrar: %s port %u",
				    verdict->chain, verdict->certain ? "" : "perhaps ", packet->iif,
				    packet->dport),
		       json_string("they cannot register, and say that it does not answer"),
		       json_sprintf("nft insert rule %s iifname %s tcp dport %u accept",
				    verdict->chain, packet->iif, packet->dport),
		       json_string("let them in, here and in the file that your rules come from:"));
}

/* An agent comes by the way that leads to an address of its policy. */
static void try_registrar(struct firewall_check *check, const json_t *ruleset, bool ipv4)
{
	const struct gateway_config *config = check->doctor->config;
	char from[INET6_ADDRSTRLEN], dev[IF_NAMESIZE];
	struct firewall_packet packet = { .ipv4 = ipv4,
					  .iif = dev,
					  .saddr = from,
					  .dport = config->registrar.port,
					  .ct_state = "new" };
	uint8_t address[16];
	int ifindex;

	if (!config->registrar.port || !doctor_policy(check->doctor, ipv4, address) ||
	    route_interface(address, &ifindex) || !if_indextoname((unsigned)ifindex, dev))
		return;
	address_format(address, from);
	check->packet = &packet;
	firewall_run(ruleset, "prerouting", &packet, on_agents_verdict, check);
	firewall_run(ruleset, "input", &packet, on_agents_verdict, check);
}

/* ---- all of them ---- */

static void try_all(struct firewall_check *check, const json_t *ruleset)
{
	const struct gateway_config *config = check->doctor->config;
	unsigned tried = 0;

	for (int ipv4 = 0; ipv4 < 2; ipv4++)
		try_registrar(check, ruleset, ipv4);
	for (size_t i = 0; config->intercept == WAY_XDP && i < config->lan_count; i++)
		try_landing(check, ruleset, config->lan[i]);
	for (size_t i = 0; i < config->lan_count; i++)
		for (size_t j = 0; j < config->proxy_count; j++)
			for (size_t k = 0; k < config->proxies[j].port_count; k++)
				if (!config->proxies[j].nexthop && tried++ < PORTS_TRIED)
					try_port(check, ruleset, config->lan[i],
						 config->proxies[j].address,
						 &config->proxies[j].ports[k]);
	/* Agents register what the file does not know: a packet of any of them. */
	for (int ipv4 = 1; tried == 0 && ipv4 >= 0; ipv4--)
		for (size_t i = 0; i < config->lan_count; i++)
			try_agents_port(check, ruleset, config->lan[i], ipv4);
}

/* ---- marks of others ---- */

static void check_mark_of(struct firewall_check *check, const json_t *rule)
{
	const json_t *expression, *mangle, *meta;
	const char *family = json_string_value(json_object_get(rule, "family"));
	const char *table = json_string_value(json_object_get(rule, "table"));
	const char *chain = json_string_value(json_object_get(rule, "chain"));
	int handle = (int)json_integer_value(json_object_get(rule, "handle"));
	uint32_t mark;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, expression) {
		mangle = json_object_get(expression, "mangle");
		meta = json_object_get(json_object_get(mangle, "key"), "meta");
		if (!meta ||
		    strcmp(json_string_value(json_object_get(meta, "key")) ?: "", "mark") ||
		    !firewall_mark_value(json_object_get(mangle, "value"), 0, &mark))
			continue;
		mark &= MARK_MASK;
		if (mark != MARK_STEAL && mark != MARK_REINJECT && mark != MARK_FORWARD)
			continue;
		report_finding(check->doctor, SEVERITY_PROBLEM, "mark-taken",
			       json_sprintf("a rule of chain %s %s %s gives packets sluice's mark "
					    "0x%x",
					    family, table, chain, mark),
			       json_string("what it marks is delivered here, or turned around on "
					   "its way out"),
			       json_sprintf("nft delete rule %s %s %s handle %d", family, table,
					    chain, handle),
			       json_sprintf("use other bits than 0x%x, or do without it:",
					    MARK_MASK));
	}
}

static void check_marks(struct firewall_check *check, const json_t *ruleset)
{
	const json_t *object, *rule;
	size_t i;

	json_array_foreach(ruleset, i, object) {
		rule = json_object_get(object, "rule");
		if (rule)
			check_mark_of(check, rule);
	}
}

/* Rules of the older iptables are in tables that nftables does not show. */
static void check_legacy(struct doctor *doctor, const char *path, const char *program)
{
	char table[64] = "";
	FILE *names = fopen(path, "re");

	if (names && fgets(table, sizeof(table), names)) {
		table[strcspn(table, "\n")] = '\0';
		report_finding(doctor, SEVERITY_NOTE, "iptables-legacy",
			       json_sprintf("%s has tables (%s) that are not looked at here",
					    program, table),
			       json_sprintf("they must let packets with mark 0x%x/0x%x pass "
					    "PREROUTING and INPUT untouched",
					    MARK_STEAL, MARK_MASK),
			       NULL, json_sprintf("look at them: %s-save", program));
	}
	if (names)
		fclose(names);
}

void check_firewall(struct doctor *doctor)
{
	struct firewall_check check = { .doctor = doctor };
	unsigned before = doctor->counts[SEVERITY_PROBLEM] + doctor->counts[SEVERITY_WARNING];
	json_t *ruleset = firewall_ruleset();

	check_legacy(doctor, "/proc/net/ip_tables_names", "iptables-legacy");
	check_legacy(doctor, "/proc/net/ip6_tables_names", "ip6tables-legacy");
	if (!ruleset) {
		report_good(doctor, "no nftables");
		return;
	}
	check.seen = json_object();
	check_marks(&check, ruleset);
	if (doctor->config)
		try_all(&check, ruleset);
	json_decref(check.seen);
	json_decref(ruleset);
	if (before == doctor->counts[SEVERITY_PROBLEM] + doctor->counts[SEVERITY_WARNING])
		report_good(doctor, "nftables");
}
