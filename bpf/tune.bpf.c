// SPDX-License-Identifier: GPL-2.0
/*
 * Tunes TCP sockets of ours as their connections come up: the first flight,
 * the first window, and for sockets that a trunk port accepted everything else
 * that the gateway sets on its own sockets by setsockopt(2). Attached to the
 * root of the cgroups, so it sees every TCP socket of the host and leaves all
 * but ours alone. user/lib/tune.c loads it.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "tuning.h"

const char LICENSE[] SEC("license") = "GPL";

/* Of the kernel's headers for programs, which cannot be had beside linux/bpf.h. */
#define AF_INET 2
#define AF_INET6 10
#define SOL_SOCKET 1
#define SOL_IP 0
#define SOL_TCP 6
#define SOL_IPV6 41
#define SO_SNDBUF 7
#define SO_PRIORITY 12
#define SO_MAX_PACING_RATE 47
#define IP_TOS 1
#define IPV6_TCLASS 67
#define TCP_CONGESTION 13

/* Segments of a first flight, at least and at most, whatever is asked for. */
#define INITIAL_CWND_MIN 10
#define INITIAL_CWND_MAX 20000

/* By socket: what its owner wants of it. All daemons of a host share one. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_tuning);
} socket_tunings SEC(".maps");

/* By local port: what sockets accepted there get. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct trunk_key);
	__type(value, struct socket_tuning);
} trunk_tunings SEC(".maps");

static __always_inline struct socket_tuning *find_own(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? bpf_sk_storage_get(&socket_tunings, sk, NULL, 0) : NULL;
}

static __always_inline struct socket_tuning *find_trunk(struct bpf_sock_ops *ops)
{
	struct trunk_key key = { .netns_cookie = bpf_get_netns_cookie(ops),
				 .port = ops->local_port };

	return bpf_map_lookup_elem(&trunk_tunings, &key);
}

static __always_inline void set_int(struct bpf_sock_ops *ops, int level, int option, int value)
{
	bpf_setsockopt(ops, level, option, &value, sizeof(value));
}

static __always_inline __u32 segments(const struct bpf_sock_ops *ops, __u32 bytes)
{
	/* Unknown while the socket is but a request: Ethernet's, less the options. */
	__u32 mss = ops->mss_cache ?: 1448;
	__u32 count = (bytes + mss - 1) / mss;

	if (count < INITIAL_CWND_MIN)
		return INITIAL_CWND_MIN;
	return count > INITIAL_CWND_MAX ? INITIAL_CWND_MAX : count;
}

/* [981] The connection is up and has sent nothing: the clamp comes first, as it
 * also sets the slow start threshold; it never cuts what may be sent at once. */
static __always_inline void open_window(struct bpf_sock_ops *ops,
					const struct socket_tuning *tuning)
{
	if (!tuning->skip_slow_start)
		return;
	if (tuning->clamp)
		set_int(ops, SOL_TCP, TCP_BPF_SNDCWND_CLAMP, segments(ops, tuning->clamp));
	set_int(ops, SOL_TCP, TCP_BPF_IW, segments(ops, tuning->initial));
}

static __always_inline void mark(struct bpf_sock_ops *ops, const struct socket_tuning *tuning)
{
	/* Of an IPv6 socket with an IPv4 peer both options are of use. */
	if (tuning->tos && ops->family == AF_INET6)
		set_int(ops, SOL_IPV6, IPV6_TCLASS, tuning->tos);
	if (tuning->tos)
		set_int(ops, SOL_IP, IP_TOS, tuning->tos);
	if (tuning->priority)
		set_int(ops, SOL_SOCKET, SO_PRIORITY, (int)tuning->priority);
}

/* A socket that a trunk port accepted: the algorithm is last, as it begins with
 * what it finds, its own tuning included. */
static __always_inline void tune_accepted(struct bpf_sock_ops *ops)
{
	struct socket_tuning *tuning = find_trunk(ops);
	struct bpf_sock *sk = ops->sk;
	__u32 pacing;

	if (!tuning || !sk)
		return;
	bpf_sk_storage_get(&socket_tunings, sk, tuning, BPF_SK_STORAGE_GET_F_CREATE);
	if (tuning->buffer)
		set_int(ops, SOL_SOCKET, SO_SNDBUF, (int)tuning->buffer);
	mark(ops, tuning);
	if (tuning->pacing) {
		/* 32 bits here; all ones would mean no limit. */
		pacing = tuning->pacing < 0xffffffff ? (__u32)tuning->pacing : 0xfffffffe;
		set_int(ops, SOL_SOCKET, SO_MAX_PACING_RATE, (int)pacing);
	}
	open_window(ops, tuning);
	if (tuning->flow_control[0])
		bpf_setsockopt(ops, SOL_TCP, TCP_CONGESTION, tuning->flow_control,
			       sizeof(tuning->flow_control));
}

/* In segments; 0: as the kernel has it. On the wire a SYN or SYN-ACK cannot offer
 * more than 64 KiB, but from kernel 6.11 on the first segment after it can, and
 * is not bound to grow there step by step. With every kernel it makes an accepted
 * socket choose a window scale with which the link can be filled. */
static __always_inline __u32 initial_window(struct bpf_sock_ops *ops)
{
	struct socket_tuning *tuning = find_own(ops) ?: find_trunk(ops);

	return tuning && tuning->offer ? segments(ops, tuning->offer) : 0;
}

SEC("sockops")
int tune(struct bpf_sock_ops *ops)
{
	struct socket_tuning *tuning;
	__u32 window;

	switch (ops->op) {
	case BPF_SOCK_OPS_RWND_INIT:
		/* Every daemon of the host runs this, and the last reply counts. */
		window = initial_window(ops);
		if (window)
			ops->reply = window;
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		tuning = find_own(ops);
		if (tuning)
			open_window(ops, tuning);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		tune_accepted(ops);
		break;
	default:
		break;
	}
	return 1;
}
