/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The XDP way in for the tests: its program beside those of the rig, with the
 * same tables, and packets of which every byte is looked at afterwards. A packet
 * that is rewritten must be the one that packet_build() makes of the description
 * of what is wanted, which has all checksums right.
 */
#ifndef TESTS_REWRITE_H
#define TESTS_REWRITE_H

#include <linux/bpf.h>

#include "rig.h"

/* Loads the XDP program, lets it take connections, and makes GATEWAY of both
 * families the address of the loopback interface. After rig_open(). */
void rewrite_open(void);

/* All of that, and a leg of each family that is landed at. */
void rewrite_open_legs(void);

/* Whom LISTEN_PORT stands for: REMOTE of the family. */
void rewrite_set_listen_port(bool ipv6);

/* LISTEN_PORT stands for a router, behind which are REMOTE and STRANGER. */
void rewrite_set_nexthop(bool ipv6);

/* Enters the client's connection to the remote of that name as one that landed;
 * stale: the way back is another's by now. */
void rewrite_keep_landing(enum address_name remote, bool ipv6, bool stale);

/* Entries of nexthop_flows, all of which have the ISN. */
unsigned rewrite_nexthop_flows(uint32_t isn);

/* The interface has no address of the gateway's. */
void rewrite_delete_addresses(void);

enum rewrite_hook { HOOK_XDP, HOOK_TC_INGRESS, HOOK_TC_EGRESS };

/* Runs the packet. *out is what became of it; the verdict is the hook's own. */
int rewrite_run(enum rewrite_hook hook, const struct packet *packet, uint32_t mark,
		struct packet *out);

/* One packet and what is to come of it. */
struct rewrite_row {
	const char *description;
	enum families families;
	struct packet_spec in;
	struct packet_spec
		out; /* what is special about what comes out; ignored if it passes unchanged */
	bool unchanged;
	enum counter counter;
	int verdict; /* XDP_*, or TC_ACT_* */
	uint32_t mark; /* on arrival */
	void (*arrange)(bool ipv6);
};

/* Runs the rows, each from rig_reset(). */
void rewrite_check_rows(enum rewrite_hook hook, const struct rewrite_row *rows, size_t count);

#define CHECK_REWRITES(hook, rows) rewrite_check_rows(hook, rows, sizeof(rows) / sizeof((rows)[0]))

/* What a landed packet differs in from the one that arrived. */
#define LANDED .to = GATEWAY, .to_port = LISTEN_PORT
#define TAKEN .counter = COUNTED_to_leg, .verdict = XDP_PASS

/* A leg's answer as it is sent, and as it leaves. */
#define SENT .from = GATEWAY, .from_port = LISTEN_PORT, .to = CLIENT, .to_port = CLIENT_PORT
#define AS_REMOTE .from = REMOTE, .from_port = SERVICE_PORT, .to = CLIENT, .to_port = CLIENT_PORT
#define REWRITTEN .counter = COUNTED_reply_rewritten, .verdict = PASS

#endif
