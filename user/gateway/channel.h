/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages between main (supervisor.c) and a relay (gateway_relay.c) over a
 * SOCK_SEQPACKET pair. Both ends are one program, so structs travel as they are.
 */
#ifndef SLUICE_CHANNEL_H
#define SLUICE_CHANNEL_H

#include "flow.h"
#include "trace.h"

/* Records in one message at most: a message must fit into a socket buffer. */
#define CHANNEL_BATCH 64

enum channel_type {
	CHANNEL_LIST, /* to the relay: send all flows */
	CHANNEL_LET_GO, /* to the relay: forward SYNs that are held for long */
	CHANNEL_TRACE_START, /* to the relay: a struct channel_trace with slot and filter */
	CHANNEL_TRACE_STOP, /* to the relay: the same, without a filter */
	CHANNEL_STOP, /* to the relay: reset what is left and exit */
	CHANNEL_READY, /* from the relay: serving */
	CHANNEL_FLOWS, /* from the relay: count records */
	CHANNEL_FLOWS_END, /* from the relay: that was the last flow of this list */
	CHANNEL_TRACE_EVENT, /* from the relay: a struct channel_trace with the event */
	CHANNEL_ENDED, /* from the relay: there are flows in its ended_ring */
};

struct channel_header {
	__u32 type; /* enum channel_type */
	__u32 cookie; /* of the CHANNEL_LIST that is answered */
	__u32 count; /* records that follow */
	__u32 reserved; /* zero */
};

struct channel_trace {
	struct channel_header header;
	__u32 slot; /* below TRACES_MAX; to the relay */
	__u32 reserved; /* zero */
	union {
		struct trace_filter filter; /* to the relay */
		struct trace_event event; /* from the relay */
	};
};

struct channel_message {
	struct channel_header header;
	struct flow_record records[CHANNEL_BATCH];
};

#endif
