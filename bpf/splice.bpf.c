// SPDX-License-Identifier: GPL-2.0
/*
 * Carries the bytes of joined flows from leg to leg inside the kernel (sockmap
 * redirect). The kernel queues what is redirected without any bound, so this
 * program keeps one: a direction has a budget of bytes that the receiving peer
 * has not acknowledged, and what does not fit is passed to the relay's socket,
 * whose receive buffer fills and makes the sender wait. include/splice.h has the
 * rule, user/relay/splice_program.c loads this for each relay, and
 * user/relay/kernel_engine.c does the relay's part.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "splice.h"

const char LICENSE[] SEC("license") = "GPL";

/* What this needs of the kernel's socket; where it is is found at load time. */
struct tcp_sock {
	__u32 snd_una;
	__u32 write_seq;
} __attribute__((preserve_access_index));

/* Sizes are set by user/relay/splice_program.c; these are the smallest. */

/* By leg: its socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} splice_sockets SEC(".maps");

/* By cookie of a socket: its leg. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} splice_legs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct splice_direction);
} splice_directions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} splice_events SEC(".maps");

static __always_inline __u64 read_once(const __u64 *value)
{
	return *(const volatile __u64 *)value;
}

/* The relay has written all that it was given, and may not be asked to wait. */
static __always_inline bool is_open(const struct splice_direction *direction)
{
	return !*(const volatile __u32 *)&direction->held &&
	       direction->passed == read_once(&direction->forwarded);
}

/*
 * Begins to count. The relay writes nothing now, as it has nothing to write, and
 * nothing was redirected yet: what the other leg was given ends with the bytes
 * that the relay forwarded while the direction was held.
 */
static __always_inline void begin(struct splice_direction *direction, const struct tcp_sock *target)
{
	direction->base = target->write_seq - (__u32)direction->forwarded;
	direction->mark = target->write_seq;
	direction->started = 1;
}

/*
 * An upper bound of the segments that are under way, which no socket tells: those
 * since the mark, and those before it while the peer has not acknowledged all up
 * to the mark. Moves the mark to the end of the stream when it has.
 */
static __always_inline __u32 segments_under_way(struct splice_direction *direction, __u32 snd_una,
						__u32 end)
{
	if ((__s32)(snd_una - direction->mark) >= 0) {
		direction->segments_before = direction->segments;
		direction->segments = 0;
		direction->mark = end;
	}
	return direction->segments_before + direction->segments;
}

/* Whether the budget takes so many bytes more. */
static __always_inline bool has_credit(struct splice_direction *direction,
				       const struct tcp_sock *target, __u32 length)
{
	__u32 snd_una = target->snd_una;
	__u32 carried = (__u32)(direction->redirected + direction->forwarded);
	__u32 in_flight, segments;

	if (!direction->started)
		begin(direction, target);
	in_flight = carried - (snd_una - direction->base);
	segments = segments_under_way(direction, snd_una, direction->base + carried);
	return in_flight + length <= direction->budget &&
	       segments < direction->budget / SPLICE_SEGMENT_COST;
}

/* To the other leg, if it takes it; then SK_PASS is what the kernel calls that. */
static __always_inline bool redirect(struct __sk_buff *skb, struct splice_direction *direction,
				     __u32 leg)
{
	__u32 other = SPLICE_OTHER_LEG(leg);
	struct bpf_sock *socket;
	struct tcp_sock *target;
	bool credit = false;

	socket = bpf_map_lookup_elem(&splice_sockets, &other);
	if (!socket) /* it was closed, or never came in */
		return false;
	target = bpf_skc_to_tcp_sock(socket);
	if (target)
		credit = has_credit(direction, target, skb->len);
	bpf_sk_release(socket);
	if (!credit || bpf_sk_redirect_map(skb, &splice_sockets, other, 0) != SK_PASS)
		return false;
	direction->redirected += skb->len;
	direction->segments++;
	return true;
}

/*
 * To the relay. It is woken if it had nothing left to do. It sets forwarded and
 * then reads passed, this adds to passed and then reads forwarded, both in just
 * that order: so one of the two sees the other's, and no byte is forgotten.
 */
static __always_inline void pass(struct splice_direction *direction, __u32 number, __u32 length)
{
	struct splice_event event = { .direction = number };
	__u64 before = __sync_fetch_and_add(&direction->passed, length);

	if (read_once(&direction->forwarded) == before)
		bpf_ringbuf_output(&splice_events, &event, sizeof(event), 0);
}

SEC("sk_skb/stream_verdict")
int splice(struct __sk_buff *skb)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	__u32 *leg = bpf_map_lookup_elem(&splice_legs, &cookie);
	struct splice_direction *direction;
	__u32 number;

	/* A FIN alone. TCP has taken note of it and tells the relay; as a segment to be
	 * passed it would wait behind what is redirected to this socket, and stop all
	 * that: the kernel's worker takes "0 bytes done" for a failure. */
	if (skb->len == 0)
		return SK_DROP;
	if (!leg)
		return SK_PASS;
	number = *leg;
	direction = bpf_map_lookup_elem(&splice_directions, &number);
	if (!direction)
		return SK_PASS;
	if (!is_open(direction) || !redirect(skb, direction, number))
		pass(direction, number, skb->len);
	return SK_PASS;
}
