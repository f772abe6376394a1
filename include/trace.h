/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a relay tells main of flows that somebody traces: for `sluice trace`.
 */
#ifndef SLUICE_TRACE_H
#define SLUICE_TRACE_H

#include "flow.h"

/* Traces at once; one bit each in a byte. */
#define TRACES_MAX 8

/* X(CONSTANT, "name", description): what happens to a flow, in the usual order. */
#define TRACE_EVENTS(X)                                                                            \
	X(TRACE_SYN_HELD, "syn-held", "the client's SYN is held")                                  \
	X(TRACE_SYN_EARLY, "syn-early", "the client is answered at once (connect = early)")        \
	X(TRACE_RUNNING, "running", "it was there when the trace began")                           \
	X(TRACE_CONNECT, "wan-connect", "the WAN leg is being opened")                             \
	X(TRACE_CONNECTED, "wan-connected", "the remote accepted")                                 \
	X(TRACE_ASKED, "agent-asked", "the remote's agent ends the trunk: its application is due") \
	X(TRACE_GIVEN_BACK, "syn-given-back", "the SYN goes to the relay's listener")              \
	X(TRACE_ACCEPTED, "lan-accepted", "the client's handshake is done")                        \
	X(TRACE_JOINED, "joined", "both legs are up")                                              \
	X(TRACE_FIRST_UP, "first-up", "the client's first bytes are taken")                        \
	X(TRACE_FIRST_DOWN, "first-down", "the remote's first bytes are taken")                    \
	X(TRACE_ENGINE, "engine", "somebody else carries the bytes now")                           \
	X(TRACE_UP_CLOSED, "up-closed", "the client has finished, the remote was told")            \
	X(TRACE_DOWN_CLOSED, "down-closed", "the remote has finished, the client was told")        \
	X(TRACE_CLOSING, "closing", "both have finished, the last bytes are on their way")         \
	X(TRACE_CLIENT_TOLD, "client-told", "the client is told that it failed, and how")          \
	X(TRACE_FORWARDED, "syn-forwarded", "the client's own SYN goes on to the remote")          \
	X(TRACE_ENDED, "ended", "both legs are gone")

#define TRACE_CONSTANT(constant, name, description) constant,
enum trace_event_type { TRACE_EVENTS(TRACE_CONSTANT) TRACE_EVENT_COUNT };

/* Which flows are traced. */
struct trace_filter {
	__u8 client[16]; /* network byte order, v4-mapped; all zero: any */
	__u8 remote[16]; /* network byte order, v4-mapped */
	__u16 client_port; /* 0: any */
	__u16 service_port; /* 0: any */
};

/* Something has happened to a flow that is traced. */
struct trace_event {
	__u64 flow_id;
	__u64 time_us; /* CLOCK_REALTIME, microseconds */
	__u64 since_us; /* microseconds since its SYN came to the relay */
	__u64 up, down; /* bytes taken from client and remote */
	struct half_open_key tuple;
	__u32 number; /* syn-given-back: how often by now; otherwise 0 */
	__u32 lost; /* events before this one for which main had no room */
	__u16 trunk_port;
	__u8 type; /* enum trace_event_type */
	__u8 traces; /* bit mask of those that it is for */
	__u8 engine; /* enum flow_engine */
	__u8 end; /* enum flow_end */
	__u8 ended_in; /* enum flow_state */
	__u8 reserved; /* zero */
};

#endif
