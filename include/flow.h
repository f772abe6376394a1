/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A flow as its relay describes it to main: for `sluice show flows`, and once
 * more when it ends. A flow has a LAN leg (client to gateway) and a WAN leg
 * (gateway to remote); "up" runs from the client to the remote.
 */
#ifndef SLUICE_FLOW_H
#define SLUICE_FLOW_H

#include "tables.h"

/* X(CONSTANT, "name", 'letter', description): where in its life a flow is. */
#define FLOW_STATES(X)                                                                         \
	X(FLOW_CONNECTING, "connecting", 'S', "the WAN leg is being opened")                   \
	X(FLOW_JOINING, "joining", 'J', "the remote accepted, the client's handshake is due")  \
	X(FLOW_OPEN, "open", 'O', "both directions carry bytes")                               \
	X(FLOW_UP_CLOSED, "up-closed", 'U', "the client has finished sending")                 \
	X(FLOW_DOWN_CLOSED, "down-closed", 'D', "the remote has finished sending")             \
	X(FLOW_CLOSING, "closing", 'L', "both have finished, the last bytes are on their way") \
	X(FLOW_ENDED, "ended", '-', "both legs are gone")

/* X(CONSTANT, "name", 'letter', description): who or what ended a flow. A small
 * letter is a time-out of who has the great one. */
#define FLOW_ENDS(X)                                                                              \
	X(FLOW_END_NONE, "-", '?', "it has not ended")                                            \
	X(FLOW_END_CLOSED, "closed", '-', "both sides finished in order")                         \
	X(FLOW_END_CLIENT_RESET, "client-reset", 'C', "the client sent a reset")                  \
	X(FLOW_END_REMOTE_RESET, "remote-reset", 'R', "the remote sent a reset")                  \
	X(FLOW_END_CLIENT_TIMEOUT, "client-timeout", 'c', "the client stopped answering")         \
	X(FLOW_END_REMOTE_TIMEOUT, "remote-timeout", 'r', "the remote stopped answering")         \
	X(FLOW_END_IDLE, "idle", 'I', "no byte for the idle time-out")                            \
	X(FLOW_END_REFUSED, "refused", 'R', "the remote refused the connection")                  \
	X(FLOW_END_UNREACHABLE, "unreachable", 'N', "the network says it cannot be reached")      \
	X(FLOW_END_NO_ANSWER, "no-answer", 'r', "the remote did not answer the connection")       \
	X(FLOW_END_ABANDONED, "abandoned", 'C', "the client was gone before the flow was joined") \
	X(FLOW_END_FORWARDED, "forwarded", 'F', "not done here, the SYN was forwarded")           \
	X(FLOW_END_SHUTDOWN, "shutdown", 'K', "the gateway was stopped")                          \
	X(FLOW_END_FAILED, "failed", 'G', "a local error")

#define FLOW_CONSTANT(constant, name, letter, description) constant,
enum flow_state { FLOW_STATES(FLOW_CONSTANT) };
enum flow_end { FLOW_ENDS(FLOW_CONSTANT) };

#define FLOW_COUNT_ONE(constant, name, letter, description) +1
enum { FLOW_STATE_COUNT = FLOW_STATES(FLOW_COUNT_ONE), FLOW_END_COUNT = FLOW_ENDS(FLOW_COUNT_ONE) };

/* Who carries the bytes right now. */
enum flow_engine { FLOW_ENGINE_KERNEL, FLOW_ENGINE_RELAY, FLOW_ENGINE_SPLICE, FLOW_ENGINE_COUNT };

struct flow_direction {
	__u64 bytes; /* taken from the sending peer */
	__u64 kernel_bytes; /* of these, carried by the kernel's sockmap redirect */
	__u64 relay_bytes; /* of these, moved by the relay */
	__u64 backlog; /* bytes taken, not yet acknowledged by the receiving peer */
};

struct flow_leg {
	__u32 rtt_us; /* smoothed round trip, microseconds */
	__u32 cwnd; /* congestion window, segments; of all connections, as what follows */
	__u32 retrans; /* segments retransmitted since the leg was opened */
	__u32 subflows; /* TCP connections that carry it; more than 1 with MPTCP */
	__u64 pacing_bps; /* bit/s; 0: not paced */
	__u64 delivery_bps; /* bit/s, the kernel's latest estimate */
	char cc[SLUICE_CC_NAME_MAX]; /* congestion control in use */
};

struct flow_record {
	__u64 id; /* unique in the life of the daemon: the relay's index and a sequence number */
	struct half_open_key tuple; /* client and remote as the client sees them */
	__u32 port_id; /* the port_table entry it came by */
	__u16 trunk_port; /* the port that the WAN leg connects to */
	__u8 state; /* enum flow_state */
	__u8 end; /* enum flow_end */
	__u8 engine; /* enum flow_engine */
	__u8 one_connection; /* 1: parallel was asked for, but the path or the remote has no MPTCP */
	__u8 ended_in; /* enum flow_state before its end; of one that lives: the state */
	__u8 reserved; /* zero */
	__u32 reserved2; /* zero */
	__u64 ended_ms; /* CLOCK_REALTIME of its end, milliseconds; 0: it lives */
	__u64 age_ms; /* milliseconds since its SYN */
	__u64 idle_ms; /* milliseconds since its last byte */
	struct wan_params params; /* what the WAN leg was opened with */
	struct flow_direction up; /* client to remote */
	struct flow_direction down; /* remote to client */
	struct flow_leg lan; /* all zero before the leg is open */
	struct flow_leg wan;
};

/* The names as text, for JSON and for people; "?" when out of range. */
const char *flow_state_name(unsigned state);
const char *flow_end_name(unsigned end);
const char *flow_engine_name(unsigned engine);

/* Length of a termination code with its NUL. */
#define FLOW_CODE_MAX 3

/* The termination code: who or what ended it, and in which state; "--" for one
 * that was closed in order. code holds FLOW_CODE_MAX bytes. Returns code. */
const char *flow_code(unsigned end, unsigned ended_in, char code[FLOW_CODE_MAX]);

#endif
