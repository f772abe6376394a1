/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bpf/splice.bpf.c and a relay's kernel engine (user/relay/kernel_engine.c)
 * share: where a flow's two sockets are, how much of each direction the kernel
 * may carry by itself, and how much it has carried.
 *
 * A flow that the kernel carries has a slot, a leg a number: 2 x slot is the leg
 * towards the client, 2 x slot + 1 the one towards the remote. A direction has
 * the number of the leg that its bytes come from.
 *
 * Every relay has a program and maps of its own, which end with it.
 */
#ifndef SLUICE_SPLICE_H
#define SLUICE_SPLICE_H

#include <linux/types.h>

#define SPLICE_CLIENT_LEG(slot) ((slot)*2)
#define SPLICE_REMOTE_LEG(slot) ((slot)*2 + 1)

/* The leg at the other end of a direction. */
#define SPLICE_OTHER_LEG(leg) ((leg) ^ 1U)

/* What the kernel keeps of its own for each segment, about: so many segments as
 * fit into the budget at this size may be on their way, however short they are. */
#define SPLICE_SEGMENT_COST 1024

/*
 * splice_directions: an mmapable array, one entry a direction. Each half has one
 * writer and a cache line of its own. All bytes are of the sending peer's stream
 * and count from the moment the flow was given to the kernel; they never go back.
 *
 * A segment is redirected to the other leg if
 *	!held && passed == forwarded &&
 *	redirected + forwarded - (snd_una of the other leg - base) + length <= budget
 * and is passed to the relay otherwise. `passed` is added to before the relay can
 * read the bytes.
 */
struct splice_direction {
	/* Written by BPF, by one processor at a time: the sending socket is locked. */
	__u64 redirected; /* bytes handed to the other leg in the kernel */
	__u64 passed; /* bytes left for the relay to take */
	__u32 started; /* 1: base is set, by the first segment that was not held */
	__u32 base; /* sequence number of the other leg at which these bytes begin */
	__u32 mark; /* sequence number: segments_before lie before it */
	__u32 segments_before; /* segments redirected before the mark, those under way among them */
	__u32 segments; /* segments redirected since the mark was set */
	__u32 following; /* 1: next is set, by the first segment */
	__u32 next; /* sequence number of the sending peer's next byte; what lies before was seen */
	__u32 broken; /* 1: bytes were lost, and neither end may take the stream for whole */
	__u32 reserved[4]; /* zero */

	/* Written by the relay. */
	__u64 forwarded; /* of the passed bytes, those written to the other leg; set after writing */
	__u32 held; /* 1: all is passed. The state at birth, until what came before is out */
	__u32 budget; /* bytes, at most, redirected or forwarded and not acknowledged by the peer */
	__u32 reserved2[12]; /* zero */
} __attribute__((aligned(64)));

/* splice_events: a ring buffer. A direction has begun to pass: passed, which was
 * forwarded, is more than that now. Or it is broken. */
struct splice_event {
	__u32 direction;
	__u32 reserved; /* zero */
};

_Static_assert(sizeof(struct splice_direction) == 128, "a line for each writer");
_Static_assert(__builtin_offsetof(struct splice_direction, forwarded) == 64,
	       "the relay's half has a line of its own");
_Static_assert(sizeof(struct splice_event) == 8, "splice_event has no padding");

#endif
