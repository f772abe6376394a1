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

/* What this needs of the kernel's socket and segment; where it is is found at load
 * time. A received segment's control block begins with the sequence number of its
 * first byte (struct tcp_skb_cb of net/tcp.h). */
struct tcp_sock {
	__u32 snd_una;
	__u32 write_seq;
	__u32 copied_seq;
} __attribute__((preserve_access_index));

struct sk_buff {
	char cb[48];
} __attribute__((preserve_access_index));

/* bpf_skb_adjust_room() takes so many bytes at once. */
#define CUT_BYTES 0xfff

/* The longest segment there is (GSO_MAX_SIZE of big TCP), in such cuts, and some. */
#define CUTS 160

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

/* Bytes to be cut off the front of a segment, so many at a time as the kernel takes. */
struct cut {
	struct __sk_buff *skb;
	__u32 bytes;
};

static long cut_some(__u32 count, struct cut *cut)
{
	__u32 bytes = cut->bytes < CUT_BYTES ? cut->bytes : CUT_BYTES;

	if (bpf_skb_adjust_room(cut->skb, -(__s32)bytes, 0, 0))
		return 1;
	cut->bytes -= bytes;
	return cut->bytes == 0;
}

/*
 * TCP queues a segment whole when only a part of it is new, as after a repeated
 * transmission that was cut otherwise, and leaves it to recv(2) to skip what it has
 * read. The kernel hands such a segment to this program as it is: without this, bytes
 * would be sent on twice. What the front has read of a segment before the flow was
 * given to the kernel is cut off just so. False when the stream cannot go on.
 */
static __always_inline bool cut_old(struct __sk_buff *skb, struct splice_direction *direction)
{
	struct cut cut = { .skb = skb };
	__u32 seq, old;

	/* Of an sk_skb program the context is the kernel's sk_buff. */
	if (bpf_core_read(&seq, sizeof(seq), &((struct sk_buff *)(void *)skb)->cb))
		return false;
	if (!direction->following) {
		struct tcp_sock *from = skb->sk ? bpf_skc_to_tcp_sock(skb->sk) : NULL;

		if (!from)
			return false;
		direction->next = from->copied_seq;
		direction->following = 1;
	}
	old = direction->next - seq;
	if (old > skb->len) {
		if ((__s32)old < 0) /* bytes are missing */
			return false;
		old = skb->len;
	}
	cut.bytes = old;
	/* A loop that the verifier would walk through takes it half a second. */
	if (old && bpf_loop(CUTS, cut_some, &cut, 0) < 0)
		return false;
	direction->next += skb->len;
	return cut.bytes == 0;
}

/* The stream has a hole that nobody can fill. The relay resets both legs. */
static __always_inline void give_up(struct splice_direction *direction, __u32 number)
{
	struct splice_event event = { .direction = number };

	*(volatile __u32 *)&direction->broken = 1;
	bpf_ringbuf_output(&splice_events, &event, sizeof(event), 0);
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
	if (!cut_old(skb, direction)) {
		give_up(direction, number);
		return SK_DROP;
	}
	if (skb->len == 0)
		return SK_DROP;
	if (!is_open(direction) || !redirect(skb, direction, number))
		pass(direction, number, skb->len);
	return SK_PASS;
}
