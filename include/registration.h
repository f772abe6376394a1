/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages between the registrar, which talks to the agents, and main, which
 * decides, over a SOCK_SEQPACKET pair. Fixed size, no text to be parsed; main
 * checks every field again (user/gateway/registrations.c). Both ends are one
 * program, so structs travel as they are.
 */
#ifndef SLUICE_REGISTRATION_H
#define SLUICE_REGISTRATION_H

#include "tables.h"

/* An identity's name with its NUL: the name of a policy. */
#define IDENTITY_NAME_MAX 64

/* An agent's version with its NUL. */
#define AGENT_VERSION_MAX 32

/* One line that says why a registration was refused, with its NUL. */
#define REFUSAL_TEXT_MAX 160

/* Services that one identity may have registered, so that none fills the tables. */
#define REGISTRATIONS_PER_IDENTITY 4096

/* Different sets of parameters that they may be of, so that others find room too:
 * param_table holds PARAM_TABLE_MAX. */
#define PARAM_SETS_PER_IDENTITY 256

/* X(name, description): the rule that a refused registration broke. The name is
 * the "rule" an agent is told; refused_NAME is its counter. */
#define REGISTRATION_REFUSALS(X)                                                      \
	X(address, "the policy does not give the identity this address")              \
	X(port, "the policy does not give the identity this port")                    \
	X(flows, "the identity has as many flows as its policy allows")               \
	X(taken, "the address belongs to another identity, or is static")             \
	X(params, "these parameters are wrong or cannot be had here")                 \
	X(room, "too many services or sets of parameters, of the identity or in all") \
	X(lease, "the lease has run out, or a service was withdrawn: register again") \
	X(feature, "the agent requires a feature that this version has not")

#define REFUSAL_CONSTANT(name, description) REFUSED_##name,
enum refusal { REFUSED_NOT, REGISTRATION_REFUSALS(REFUSAL_CONSTANT) REFUSAL_COUNT };

/* "address", ...; "?" when out of range. */
const char *refusal_name(unsigned refusal);

enum registrar_message_type {
	/* From the registrar. */
	REGISTRAR_READY, /* it serves */
	REGISTRAR_OPENED, /* an agent has said hello: identity, agent */
	REGISTRAR_REGISTER, /* address, ports, nexthop, params */
	REGISTRAR_WITHDRAW, /* address, service_port */
	REGISTRAR_RENEW, /* all that this connection has registered */
	REGISTRAR_CLOSED, /* the connection is gone; what it registered lives on for its lease */
};

/* What the kernel of the gateway knows of the path to an agent (TCP_INFO). */
struct path_report {
	__u32 rtt_us; /* smoothed round trip, microseconds; 0: unknown */
	__u32 min_rtt_us; /* shortest one seen, microseconds; 0: unknown */
	__u32 retrans; /* segments retransmitted on the connection */
	__u32 reserved; /* zero */
	__u64 delivery_bps; /* bit/s, the kernel's latest estimate */
};

/* From the registrar to main. */
struct registrar_request {
	__u32 type; /* enum registrar_message_type */
	__u32 identity; /* index of the policy, in the configuration the registrar was started with */
	__u64 connection; /* number of the agent's connection, never used twice by one registrar */
	__u64 id; /* the agent's own number of its request, for the answer */
	__u8 address[16]; /* of the remote or the router; network byte order, v4-mapped */
	__u16 service_port;
	__u16 trunk_port;
	__u8 nexthop; /* 1: the address is a router's */
	__u8 ends_trunk; /* 1: the agent ends the trunk itself, see trunk.h */
	__u8 reserved[2]; /* zero */
	struct path_report path;
	struct wan_params params; /* REGISTRAR_REGISTER */
	char agent[AGENT_VERSION_MAX]; /* REGISTRAR_OPENED; NUL-terminated, printable ASCII */
};

/* From main to the registrar: to every REGISTER, WITHDRAW and RENEW one. */
struct registrar_answer {
	__u64 connection; /* of the request */
	__u64 id; /* of the request */
	__u32 refusal; /* enum refusal; REFUSED_NOT: done */
	char text[REFUSAL_TEXT_MAX]; /* why it was refused; NUL-terminated */
	__u32 rtt_us; /* REGISTRAR_REGISTER: that the entry has, given or measured; 0: none */
};

_Static_assert(sizeof(struct path_report) == 24, "path_report has no padding");
_Static_assert(sizeof(struct registrar_request) == 48 + sizeof(struct path_report) +
							   sizeof(struct wan_params) +
							   AGENT_VERSION_MAX,
	       "registrar_request has no padding");
_Static_assert(sizeof(struct registrar_answer) == 184, "registrar_answer has no padding");

#endif
