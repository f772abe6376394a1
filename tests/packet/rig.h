/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests stand on: a network namespace of their own, the intercept
 * program loaded with tables filled like those of a gateway with one site, and
 * tables of {packet in, verdict, packet out} that are run through it.
 *
 * Criterion runs every test in a process, so there is one rig in each.
 */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include <bpf/libbpf.h>
#include <criterion/criterion.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stdint.h>

#include "intercept_private.h"

#include "counters.h"
#include "events.h"
#include "packet.h"

/* The loopback interface of any namespace. */
#define LO_IFINDEX 1

#define PROXY_ID 7
#define PORT_ID 3
#define PARAMS_ID 5
#define LISTEN_PORT 1080
#define TRUNK_PORT 10080

/* What main and the relays decide before loading; 0: the default. */
struct rig_options {
	uint32_t relays; /* 1 */
	uint32_t half_open; /* 8192 */
	uint32_t half_open_per_client; /* 1024 */
	uint32_t syn_rate; /* any */
	uint32_t nexthop_flows; /* 16 */
};

struct rig {
	struct intercept *intercept;
	struct intercept_bpf *skeleton;
	struct rig_options options;
	struct ring_buffer *rings; /* of all relays */
	int ring_fd[SLUICE_MAX_RELAYS];
	unsigned events; /* SYNs that the relays heard of since rig_reset() */
	unsigned event_relay; /* which of them heard of the last one */
	struct syn_event event; /* the last one */
};

extern struct rig rig;

/* Names of the fields of struct intercept_counters, in their order. */
#define COUNTER_CONSTANT(name, description) COUNTED_##name,
enum counter { COUNTED_NOTHING, INTERCEPT_COUNTERS(COUNTER_CONSTANT) COUNTERS_END };

/* Makes the namespace and loads the program. Skips the test where it cannot. */
void rig_open(const struct rig_options *options);

/* Puts the tables back to: REMOTE of both families has a proxy, SERVICE_PORT
 * is registered, the relays are alive, nothing is half-open, no listener. */
void rig_reset(void);

/* Runs a command of the shell, which must succeed. */
void rig_command(const char *format, ...) __attribute__((format(printf, 1, 2)));

void rig_set_proxy(enum address_name name, bool ipv6, uint32_t flags);
void rig_delete_proxy(enum address_name name, bool ipv6);
void rig_set_port(uint32_t flags);
void rig_delete_port(void);
void rig_set_heartbeat(uint64_t heartbeat_ns); /* of all relays */
void rig_delete_ring(void); /* of relay 0 */

/* Opens relay 0's listener of the family and enters it into the table. Returns its descriptor. */
int rig_set_listener(bool ipv6);

/* Hands over what is in the rings: counts it in rig.events. */
void rig_consume(void);

struct half_open_key rig_tuple(const struct packet_spec *spec);

/* The half-open entry of the packet's tuple, or false. */
bool rig_half_open(const struct packet_spec *spec, struct half_open_value *value);

/* Half-open connections that are counted on clients' budgets, in all. */
unsigned rig_budgets_in_use(void);

/* What a run of the program came to. */
struct outcome {
	int verdict; /* TC_ACT_* */
	uint32_t mark;
	unsigned moved[COUNTERS_END]; /* by how much each counter moved */
};

/* Runs the packet through the program by BPF_PROG_TEST_RUN; checks that it is
 * not changed. */
struct outcome rig_run(const struct bpf_program *program, const struct packet *packet,
		       uint32_t mark, uint32_t ifindex);

/* How far the counters moved since the last call. */
void rig_counters_moved(unsigned moved[COUNTERS_END]);

/* Checks that one counter, or none, moved by one. */
void rig_expect_counter(const unsigned moved[COUNTERS_END], enum counter expected,
			const char *family, const char *description);

enum families { BOTH_FAMILIES, IPV4_ONLY, IPV6_ONLY };

/* One packet and what is to come of it. */
struct row {
	const char *description;
	enum families families; /* run with an IPv4 packet, an IPv6 packet, or one after the other */
	struct packet_spec packet;
	int verdict; /* TC_ACT_* */
	enum counter counter; /* the one that moves */
	void (*arrange)(
		bool ipv6); /* changes the tables first; NULL: they are as after rig_reset() */
	uint32_t mark; /* skb->mark on arrival */
	uint32_t mark_out; /* and afterwards */
};

/* Verdicts in the words of the project. */
#define PASS TC_ACT_UNSPEC
#define TAKE TC_ACT_OK
#define HOLD TC_ACT_SHOT

/* Runs the rows, each from rig_reset(), as packets that arrive on an interface. */
void rig_check_rows(const struct bpf_program *program, uint32_t ifindex, const struct row *rows,
		    size_t count);

#define CHECK_ROWS(program, rows)                                     \
	rig_check_rows(rig.skeleton->progs.program, LO_IFINDEX, rows, \
		       sizeof(rows) / sizeof((rows)[0]))

/* Runs one packet through lan_ingress_ethernet, with the tables as they are. */
void rig_expect(const struct packet_spec *spec, int verdict, enum counter counter,
		const char *description);

static inline const char *family_name(bool ipv6)
{
	return ipv6 ? "IPv6" : "IPv4";
}

#endif
