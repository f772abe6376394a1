/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The nftables ruleset (which iptables-nft writes to as well), and what it does
 * to a packet. Rules look at more than is known of a packet that does not
 * exist, so each match is yes, no or maybe.
 */
#ifndef SLUICE_FIREWALL_H
#define SLUICE_FIREWALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* A packet as it passes a base chain. */
struct firewall_packet {
	bool ipv4;
	const char *iif; /* NULL: it comes from this host */
	const char *oif; /* NULL: it stays here */
	const char *saddr; /* NULL: not known */
	const char *daddr; /* NULL: not known */
	uint16_t dport; /* 0: not known */
	uint32_t mark;
	const char *ct_state;
};

enum match { MATCH_NO, MATCH_MAYBE, MATCH_YES };

/* What rules do to a packet; the order is that of the harm. */
enum fate {
	FATE_ACCEPTED,
	FATE_DROPPED,
	FATE_REDIRECTED, /* to another address or socket: dnat, redirect, tproxy */
	FATE_TRANSLATED, /* its source: snat, masquerade */
	FATE_UNMARKED, /* its mark is no longer ours */
};

/* What one base chain does to a packet. */
struct firewall_verdict {
	enum fate fate;
	bool certain; /* false: a match on the way could not be told */
	char chain[192]; /* "inet filter input", as nft names it */
};

/* The ruleset as `nft -j list ruleset` prints it: a new reference, or NULL
 * when there is none to be had. */
json_t *firewall_ruleset(void);

/* Whether every match of a rule's expressions holds for the packet. */
enum match firewall_match(const json_t *expressions, const struct firewall_packet *packet);

/* The value that a statement gives the mark; false: it cannot be told. */
bool firewall_mark_value(const json_t *value, uint32_t mark, uint32_t *result);

/*
 * Runs the packet through all base chains of a hook ("prerouting", ...) and calls
 * found for each that does anything but accept it.
 */
void firewall_run(const json_t *ruleset, const char *hook, const struct firewall_packet *packet,
		  void (*found)(const struct firewall_verdict *verdict, void *context),
		  void *context);

/* True when a rule lowers the MSS of forwarded connections to what their route takes. */
bool firewall_clamps_mss(void);

#endif
