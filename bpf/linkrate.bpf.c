// SPDX-License-Identifier: GPL-2.0
/*
 * linkrate: congestion control for links on which a rate is reserved [984].
 *
 * It sends at the rate it was told, paced, with a window that just covers rate
 * x RTT; there is no slow start, and a lost segment is sent again without any
 * other consequence. Loss, congestion marks or a queue that last for rounds on
 * end mean that the reservation does not hold: the rate is then lowered step
 * by step towards what gets through, not below the floor, and climbs back when
 * the path has been good for a while. The same machine runs the classes of
 * service, which differ in their bounds: cbr cannot be lowered, abr moves
 * between its minimum and its peak, vbr draws on a token bucket for bursts.
 *
 * Parameters come with the socket (socket_tunings, see tune.bpf.c); a socket
 * that has none, because somebody chose the algorithm by hand, gets the rate
 * from SO_MAX_PACING_RATE. user/lib/linkrate.c registers it.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "tcp_sock.bpf.h"
#include "tuning.h"

const char LICENSE[] SEC("license") = "GPL";

/* Bytes a second for a socket of which nothing is known. */
#define RATE_DEFAULT (10000000 / 8)
#define RATE_MIN (64000 / 8)

/* The floor of a socket without parameters. */
#define FLOOR_PART 8

/* Segments that may leave before the first was acknowledged, unless told so. */
#define CWND_FIRST 10
#define CWND_MIN 4

/* The window is rate x RTT and this much more, so that late acknowledgements do
 * not stop the sender: a quarter, at least 5 ms. */
#define HEADROOM_PART 4
#define HEADROOM_MIN_US 5000

/* A round is an RTT, but long enough to say something on a short link. */
#define ROUND_MIN_US 20000

/* A round is bad when more than 1/20 of it was lost or marked, and not just a
 * few segments, or when no segment crossed without queueing for so much of an
 * RTT that the window's own headroom cannot explain it. */
#define BAD_PART 20
#define BAD_SEGMENTS 4
#define QUEUE_PARTS 3
#define QUEUE_PARTS_OF 8
#define QUEUE_MIN_US 10000

/* So many bad rounds in a row lower the rate, by 1/16 at least and 1/4 at most;
 * one of which a quarter was harmed counts for two. */
#define BAD_ROUNDS 3
#define SEVERE_PART 4
#define STEP_PART 16
#define STEP_DOWN_MAX_PART 4

/* So many good rounds raise it: by 1/16, and twice as much every time that it
 * goes well, up to 1/2. So it looks carefully for a limit that stays, and is
 * back soon when there is none any more. */
#define GOOD_ROUNDS 4
#define STEP_SHIFT_FIRST 4
#define STEP_SHIFT_LAST 1

/* How long the lowest RTT is remembered: between one and two of these. */
#define RTT_EPOCH_US 10000000

#define RTT_UNKNOWN 0xffffffffU

/* Per socket, in the kernel's place for it. Rates in bytes a second of IP packets. */
struct linkrate {
	__u64 rate;
	__u64 top;
	__u64 floor;
	__u64 sustained; /* 0: no bucket */
	__s64 tokens; /* bytes that may leave above the sustained rate; below 0: owed */
	__s64 burst; /* most tokens */
	__u64 round_us; /* when the round began */
	__u32 min_rtt_us; /* lowest RTT of this epoch */
	__u32 last_min_rtt_us; /* of the epoch before */
	__u32 epoch_ms; /* when the epoch began */
	__u32 round_rtt_us; /* lowest RTT of this round */
	__u32 round_delivered; /* the counters of struct tcp_sock when the round began */
	__u32 round_lost;
	__u32 round_marked;
	__u32 sent; /* low half of bytes_sent when tokens were last counted */
	__u32 tokens_us; /* when that was; wraps around */
	__u8 bad_rounds; /* in a row */
	__u8 good_rounds;
	__u8 started; /* data has been acknowledged, or need not be waited for */
	__u8 bursting; /* vbr: the bucket is being emptied */
	__u8 step_shift; /* the next step up is rate >> step_shift */
};

_Static_assert(sizeof(struct linkrate) <= 104, "fits icsk_ca_priv");

/* The map of tune.bpf.c: the loader makes them one. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_tuning);
} socket_tunings SEC(".maps");

static __always_inline struct linkrate *own(struct sock *sk)
{
	return (struct linkrate *)((struct inet_connection_sock *)sk)->icsk_ca_priv;
}

static __always_inline struct tcp_sock *tcp(struct sock *sk)
{
	return (struct tcp_sock *)sk;
}

static __always_inline __u64 at_least(__u64 one, __u64 other)
{
	return one > other ? one : other;
}

static __always_inline __u64 at_most(__u64 one, __u64 other)
{
	return one < other ? one : other;
}

static __always_inline __u32 min_rtt(const struct linkrate *link)
{
	return at_most(link->min_rtt_us, link->last_min_rtt_us);
}

/* Payload of one segment, and the IP packet it goes in. */
static __always_inline __u32 segment_size(const struct tcp_sock *sock)
{
	return sock->mss_cache ?: 536;
}

static __always_inline __u32 packet_size(struct sock *sk)
{
	__u32 ip_header = sk->__sk_common.skc_family == 2 /* AF_INET */ ? 20 : 40;

	return segment_size(tcp(sk)) + tcp(sk)->tcp_header_len + ip_header;
}

/* The rate of this moment: a vbr socket that used its tokens up has the sustained one. */
static __always_inline __u64 current_rate(const struct linkrate *link)
{
	if (link->sustained && !link->bursting)
		return at_most(link->rate, link->sustained);
	return link->rate;
}

/* value x by / of, which is past 64 bits for rates of some ten Gbit/s unless both lose
 * some of their precision. */
static __always_inline __u64 scale(__u64 value, __u64 by, __u64 of)
{
	__u32 shift = (by | of) >> 32 ? 20 : 0;

	return value * (by >> shift) / (of >> shift ?: 1);
}

/*
 * One connection of several that carry one stream (MPTCP) has a part of the rate:
 * tune.bpf.c lowers its SO_MAX_PACING_RATE to that. Everything in struct
 * linkrate is of the whole; these go from the whole to the part and back.
 */
static __always_inline __u64 part_of(const struct sock *sk, const struct linkrate *link,
				     __u64 whole)
{
	__u64 bound = sk->sk_max_pacing_rate;

	return bound < link->top ? scale(whole, bound, link->top) : whole;
}

static __always_inline __u64 whole_of(const struct sock *sk, const struct linkrate *link,
				      __u64 part)
{
	__u64 bound = sk->sk_max_pacing_rate;

	return bound < link->top && bound ? scale(part, link->top, bound) : part;
}

/* Window and pacing from the rate. The kernel paces payload; what the rate is
 * of are packets. */
static __always_inline void apply(struct sock *sk, struct linkrate *link)
{
	struct tcp_sock *sock = tcp(sk);
	__u64 rate = part_of(sk, link, current_rate(link));
	__u32 rtt = min_rtt(link), size = packet_size(sk);
	__u64 window, cwnd;

	sk->sk_pacing_rate = at_most(rate * segment_size(sock) / size, sk->sk_max_pacing_rate);
	if (!link->started || rtt == RTT_UNKNOWN)
		return;
	window = rate * (rtt + at_least(rtt / HEADROOM_PART, HEADROOM_MIN_US)) / 1000000;
	cwnd = window / size + CWND_MIN;
	sock->snd_cwnd = at_most(cwnd, sock->snd_cwnd_clamp);
}

static __always_inline void configure(struct sock *sk, struct linkrate *link)
{
	struct socket_tuning *tuning = bpf_sk_storage_get(&socket_tunings, sk, NULL, 0);
	__u64 bound = sk->sk_max_pacing_rate;

	link->sustained = 0;
	link->tokens = 0;
	link->burst = 0;
	link->started = 0;
	link->bursting = 1;
	if (tuning && tuning->rate) {
		link->rate = at_least(tuning->rate, RATE_MIN);
		link->top = at_least(tuning->top, link->rate);
		link->floor = at_most(at_least(tuning->floor, RATE_MIN), link->top);
		link->sustained = tuning->sustained;
		link->burst = tuning->burst;
		link->tokens = tuning->burst;
		link->started = tuning->skip_slow_start;
		return;
	}
	/* More than 10 Tbit/s is no bound. */
	link->rate = bound < 1250000000000ULL ? at_least(bound, RATE_MIN) : RATE_DEFAULT;
	link->top = link->rate;
	link->floor = at_least(link->rate / FLOOR_PART, RATE_MIN);
}

static __always_inline void begin_round(struct tcp_sock *sock, struct linkrate *link)
{
	link->round_us = sock->tcp_mstamp;
	link->round_rtt_us = RTT_UNKNOWN;
	link->round_delivered = sock->delivered;
	link->round_lost = sock->lost;
	link->round_marked = sock->delivered_ce;
}

SEC("struct_ops/init")
void BPF_PROG(linkrate_init, struct sock *sk)
{
	struct linkrate *link = own(sk);
	struct tcp_sock *sock = tcp(sk);

	configure(sk, link);
	link->bad_rounds = 0;
	link->good_rounds = 0;
	link->step_shift = STEP_SHIFT_FIRST;
	link->min_rtt_us = sock->srtt_us ? sock->srtt_us >> 3 : RTT_UNKNOWN;
	link->last_min_rtt_us = RTT_UNKNOWN;
	link->epoch_ms = sock->tcp_mstamp / 1000;
	link->sent = sock->bytes_sent;
	link->tokens_us = sock->tcp_mstamp;
	begin_round(sock, link);
	if (sk->sk_pacing_status == SK_PACING_NONE)
		sk->sk_pacing_status = SK_PACING_NEEDED;
	apply(sk, link);
}

SEC("struct_ops/pkts_acked")
void BPF_PROG(linkrate_pkts_acked, struct sock *sk, const struct ack_sample *sample)
{
	struct linkrate *link = own(sk);
	__u32 now_ms = tcp(sk)->tcp_mstamp / 1000;
	__s32 rtt = sample->rtt_us;

	if (rtt <= 0)
		return;
	if (now_ms - link->epoch_ms > RTT_EPOCH_US / 1000) {
		link->last_min_rtt_us = link->min_rtt_us;
		link->min_rtt_us = rtt;
		link->epoch_ms = now_ms;
	}
	if ((__u32)rtt < link->min_rtt_us)
		link->min_rtt_us = rtt;
	if ((__u32)rtt < link->round_rtt_us)
		link->round_rtt_us = rtt;
}

/* vbr: the bucket fills at the sustained rate and what is sent drains it. Once
 * empty it must be half full again before the next burst: at the sustained rate
 * it stays as it is, so that takes a pause of the sender. */
static __always_inline void count_tokens(struct sock *sk, struct linkrate *link)
{
	struct tcp_sock *sock = tcp(sk);
	__u32 now_us = sock->tcp_mstamp, sent = (__u32)sock->bytes_sent - link->sent;
	__s64 tokens, spent;

	/* Time wraps around after 71 minutes, by then the bucket was full. */
	tokens = link->tokens + link->sustained * (now_us - link->tokens_us) / 1000000;
	spent = (__u64)sent * packet_size(sk) / segment_size(sock);
	tokens -= whole_of(sk, link, spent);
	link->tokens = tokens < link->burst ? tokens : link->burst;
	if (link->tokens <= 0)
		link->bursting = 0;
	else if (link->tokens >= link->burst >> 1)
		link->bursting = 1;
	link->tokens_us = now_us;
	link->sent = sock->bytes_sent;
}

/* How bad the round was: 0, 1 or 2. */
static __always_inline __u8 badness(const struct tcp_sock *sock, const struct linkrate *link)
{
	__u32 delivered = sock->delivered - link->round_delivered;
	__u32 harmed = sock->lost - link->round_lost + sock->delivered_ce - link->round_marked;
	__u64 all = (__u64)delivered + harmed;
	__u32 rtt = min_rtt(link);

	if (harmed >= BAD_SEGMENTS && (__u64)harmed * SEVERE_PART > all)
		return 2;
	if (harmed >= BAD_SEGMENTS && (__u64)harmed * BAD_PART > all)
		return 1;
	return link->round_rtt_us != RTT_UNKNOWN && rtt != RTT_UNKNOWN &&
	       link->round_rtt_us - rtt >
		       at_least((__u64)rtt * QUEUE_PARTS / QUEUE_PARTS_OF, QUEUE_MIN_US);
}

/* Bytes a second that got through in this round. */
static __always_inline __u64 delivery_rate(struct sock *sk, const struct linkrate *link,
					   __u64 round_us)
{
	__u32 delivered = tcp(sk)->delivered - link->round_delivered;

	return (__u64)delivered * packet_size(sk) * 1000000 / round_us;
}

/* Towards what gets through, which is known as the path is full now. */
static __always_inline void step_down(struct linkrate *link, __u64 through)
{
	__u64 rate = at_most(through, link->rate - link->rate / STEP_PART);

	rate = at_least(rate, link->rate - link->rate / STEP_DOWN_MAX_PART);
	link->rate = at_least(rate, link->floor);
}

static __always_inline void step_up(struct linkrate *link)
{
	link->rate = at_most(link->rate + (link->rate >> link->step_shift), link->top);
	if (link->step_shift > STEP_SHIFT_LAST)
		link->step_shift--;
}

static __always_inline void end_round(struct sock *sk, struct linkrate *link, __u64 round_us)
{
	__u64 through = whole_of(sk, link, delivery_rate(sk, link, round_us));
	__u8 bad = badness(tcp(sk), link);

	if (bad) {
		link->bad_rounds += bad;
		link->good_rounds = 0;
		link->step_shift = STEP_SHIFT_FIRST;
	} else {
		link->bad_rounds = 0;
		/* A path that was not used to half has shown nothing. */
		if (through >= current_rate(link) / 2)
			link->good_rounds++;
	}
	if (link->bad_rounds >= BAD_ROUNDS) {
		step_down(link, through);
		link->bad_rounds = 0;
	}
	if (link->good_rounds >= GOOD_ROUNDS) {
		step_up(link);
		link->good_rounds = 0;
	}
	begin_round(tcp(sk), link);
}

/* On every acknowledgement. Only the first argument is used: from the second
 * on they differ between kernels. */
SEC("struct_ops/cong_control")
void BPF_PROG(linkrate_cong_control, struct sock *sk)
{
	struct linkrate *link = own(sk);
	struct tcp_sock *sock = tcp(sk);
	__u64 round_us = sock->tcp_mstamp - link->round_us;

	if (link->sustained)
		count_tokens(sk, link);
	link->started = 1;
	if (round_us >= at_least(sock->srtt_us >> 3, ROUND_MIN_US))
		end_round(sk, link, round_us);
	apply(sk, link);
}

/* The kernel asks after a loss: there is nothing to be lowered. */
SEC("struct_ops/ssthresh")
__u32 BPF_PROG(linkrate_ssthresh, struct sock *sk)
{
	return at_least(tcp(sk)->snd_cwnd, CWND_MIN);
}

/* And when the loss was none. */
SEC("struct_ops/undo_cwnd")
__u32 BPF_PROG(linkrate_undo_cwnd, struct sock *sk)
{
	return tcp(sk)->snd_cwnd;
}

SEC(".struct_ops")
struct tcp_congestion_ops linkrate = {
	.init = (void *)linkrate_init,
	.ssthresh = (void *)linkrate_ssthresh,
	.pkts_acked = (void *)linkrate_pkts_acked,
	.cong_control = (void *)linkrate_cong_control,
	.undo_cwnd = (void *)linkrate_undo_cwnd,
	.name = LINKRATE_NAME,
};
