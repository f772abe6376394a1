/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A flow inside its relay: two legs and two directions. The front (relay.h)
 * opens the legs and has it joined; engine.c runs it. The front's own
 * flow has this one as a member.
 */
#ifndef SLUICE_RELAY_FLOW_H
#define SLUICE_RELAY_FLOW_H

#include <stddef.h>

#include "flow.h"
#include "relay.h"
#include "tables.h"

/* One TCP connection of a flow. */
struct leg {
	struct watch watch;
	struct relay_flow *flow;
	int fd; /* -1: not open */
	bool readable; /* edge-triggered state: true until a read would block */
	bool writable; /* true until a write would block */
	bool urgent; /* splice(2) stops at urgent data; cleared once past it */
	bool hung_up; /* its peer sends no more: an end can be read behind the last byte */
	bool mptcp; /* with SO_LINGER its close would be a reset, however orderly */
	bool failed; /* error or reset seen while the flow was not joined yet */
	bool in_kernel; /* bpf/splice.bpf.c sees what arrives here */
};

/* One direction: from leg `from` to leg `to`. */
struct direction {
	struct leg *from;
	struct leg *to;
	uint64_t bytes; /* taken from `from`: all since it was opened */
	uint32_t read_before; /* bytes of the stream that the front took before the flow was joined */
	bool finished; /* `from` sent FIN and all before it was taken */
	bool shut; /* FIN passed on to `to` */

	/* The splice engine's: */
	struct pipe *pipe; /* held only while it has bytes */
	size_t in_pipe;
	size_t in_run; /* bytes taken since there was nothing to take */

	/* The kernel engine's: */
	struct splice_direction *shared; /* with bpf/splice.bpf.c; NULL: the splice engine has it */
	uint64_t kernel_bytes; /* of bytes, those that the program redirected */
	uint64_t taken; /* of the bytes that the program passed, those read from `from` */
	uint32_t budget; /* bytes that may be under way */
	uint64_t sent_before; /* bytes that `to` was given to send before the flow was the kernel's */
	bool drained; /* what was redirected is with `to`, and nothing is redirected now */
	char *kept; /* bytes read that `to` did not take yet; owned; NULL: none */
	size_t kept_size;
	size_t kept_sent; /* of these, written */
};

struct relay_flow {
	struct relay *relay;
	struct list link; /* relay->flows, or relay->ended */
	struct list run_link; /* relay->runnable */
	enum flow_state state;
	enum flow_end end;
	bool watched; /* the front is told whenever it was run */
	bool kept_alive; /* keepalive_s was seen to */
	enum flow_state ended_in; /* the state before FLOW_ENDED */
	uint32_t idle_timeout_s; /* without a byte, then it is reset; 0: never */
	uint32_t keepalive_s; /* idle before a leg asks its peer whether it is there; 0: never */
	uint64_t since_ns; /* CLOCK_MONOTONIC of its beginning */
	uint64_t deadline_ns; /* until joined: when to give up; the front's */
	uint64_t active_ns; /* CLOCK_MONOTONIC of its last byte */
	uint32_t budget; /* of the kernel engine: bytes a direction is to have under way; 0: its default */
	uint32_t slot; /* of the kernel engine */
	enum engine_choice engine; /* ENGINE_AUTO: not decided yet */
	__u8 small_runs; /* of ENGINE_AUTO: how often in a row it had little to carry */
	struct list soon_link; /* relay->soon */
	uint64_t soon_ns; /* CLOCK_MONOTONIC: when to look at it again; 0: no need to */
	uint64_t soon_wait_ns; /* how long it was waited for last time */
	size_t closing_queued; /* in FLOW_CLOSING: what both legs had to deliver when last looked at */
	struct leg client; /* towards the client: the gateway's LAN leg, the agent's trunk */
	struct leg remote; /* towards the remote's application: the gateway's WAN leg */
	struct direction up; /* client to remote */
	struct direction down; /* remote to client */
};

/* Makes a flow, zeroed before, one of the relay's: in state FLOW_CONNECTING, without legs. */
void flow_init(struct relay_flow *flow, struct relay *relay);

/* Takes a descriptor as a leg and watches it. 0 or a negative errno; the
 * descriptor belongs to the leg in either case. */
int leg_open(struct leg *leg, int fd);

/* Options that all legs carry: what protects the streams' truth (SO_LINGER
 * {1,0}, urgent data in line), and no Nagle. What a listener accepts has them from
 * it. 0 or a negative errno. */
int leg_set_options(int fd);

/* Keepalive probes once nothing came for keepalive_s seconds, which are not 0. 0 or a
 * negative errno. */
int leg_keep_alive(int fd, uint32_t keepalive_s);

/* Has the flow run in a moment; later and later if that is asked for again and
 * again while no byte moves. For what no event tells of. */
void flow_look_soon(struct relay_flow *flow);

/* Idle time-out, and what has to be looked at now and then. May end the flow. */
void flow_check(struct relay_flow *flow);

/*
 * Ends a flow and closes its legs, which resets those that are not done: no
 * peer can take a cut stream for a whole one. The flow is
 * freed when the relay's turn is over; its state is FLOW_ENDED until then.
 */
void flow_end(struct relay_flow *flow, enum flow_end end);

#endif
