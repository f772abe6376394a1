// SPDX-License-Identifier: GPL-2.0
/*
 * Tunes TCP sockets of ours as their connections come up: the first flight,
 * the first window, and for sockets that a trunk port accepted everything else
 * that the gateway sets on its own sockets by setsockopt(2). Attached to the
 * root of the cgroups, so it sees every TCP socket of the host and leaves all
 * but ours alone. user/lib/tune.c loads it.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
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

/* The kernel's; nothing in it is looked at. */
struct mptcp_sock {
} __attribute__((preserve_access_index));

/* The MPTCP socket that a TCP connection is part of, or NULL. */
static __always_inline struct mptcp_sock *find_mptcp(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	/* A kernel without MPTCP lacks the helper as well. */
	if (!sk || !bpf_core_type_exists(struct mptcp_sock))
		return NULL;
	return bpf_skc_to_mptcp_sock(sk);
}

static __always_inline struct socket_tuning *find_own(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? bpf_sk_storage_get(&socket_tunings, sk, NULL, 0) : NULL;
}

/* What the owner of an MPTCP socket wants of its connections. */
static __always_inline struct socket_tuning *find_mptcp_own(struct bpf_sock_ops *ops)
{
	struct mptcp_sock *mptcp = find_mptcp(ops);

	return mptcp ? bpf_sk_storage_get(&socket_tunings, mptcp, NULL, 0) : NULL;
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
 * also sets the slow start threshold; it never cuts what may be sent at once.
 * The connection has one part of so many. */
static __always_inline void open_window(struct bpf_sock_ops *ops,
					const struct socket_tuning *tuning, __u32 parts)
{
	if (!tuning->skip_slow_start)
		return;
	if (tuning->clamp)
		set_int(ops, SOL_TCP, TCP_BPF_SNDCWND_CLAMP, segments(ops, tuning->clamp / parts));
	set_int(ops, SOL_TCP, TCP_BPF_IW, segments(ops, tuning->initial / parts));
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

static __always_inline void pace(struct bpf_sock_ops *ops, const struct socket_tuning *tuning,
				 __u32 parts)
{
	__u64 pacing = tuning->pacing / parts;

	/* 32 bits here; all ones would mean no limit. */
	if (tuning->pacing)
		set_int(ops, SOL_SOCKET, SO_MAX_PACING_RATE,
			(int)(pacing < 0xffffffff ? (__u32)pacing : 0xfffffffe));
}

/* ---- connections of MPTCP sockets [982] ---- */

/* One more connection; returns how many there are now. */
static __always_inline __u32 join(struct bpf_sock_ops *ops, struct socket_tuning *all)
{
	/* What it is to share may change with every other that comes or goes. */
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG |
					       BPF_SOCK_OPS_STATE_CB_FLAG);
	__sync_fetch_and_add(&all->connections, 1);
	return all->connections ?: 1;
}

static __always_inline void leave(struct bpf_sock_ops *ops)
{
	struct socket_tuning *own = find_own(ops), *all;

	if (!own || !own->is_part || ops->args[1] != BPF_TCP_CLOSE)
		return;
	own->is_part = 0; /* another daemon's program comes next */
	all = find_mptcp_own(ops);
	if (all && all->connections > 0)
		__sync_fetch_and_add(&all->connections, -1);
}

/* Once a round trip: the rate is for all connections together. */
static __always_inline void share(struct bpf_sock_ops *ops)
{
	struct socket_tuning *own = find_own(ops), *all;

	if (!own || !own->is_part)
		return;
	all = find_mptcp_own(ops);
	pace(ops, own, all && all->connections ? all->connections : 1);
}

/* A connection whose process sets no options of it: one that a trunk port
 * accepted, or one of an MPTCP socket. The algorithm is last, as it begins with
 * what it finds, its own tuning included. */
static __always_inline void tune_whole(struct bpf_sock_ops *ops, struct socket_tuning *tuning)
{
	struct mptcp_sock *mptcp = find_mptcp(ops);
	struct socket_tuning *own, *all;
	struct bpf_sock *sk = ops->sk;
	__u32 parts = 1;

	if (!tuning || !sk)
		return;
	own = bpf_sk_storage_get(&socket_tunings, sk, tuning, BPF_SK_STORAGE_GET_F_CREATE);
	if (mptcp && own && !own->is_part) {
		all = bpf_sk_storage_get(&socket_tunings, mptcp, tuning,
					 BPF_SK_STORAGE_GET_F_CREATE);
		own->is_part = 1;
		if (all)
			parts = join(ops, all);
	}
	if (tuning->buffer)
		set_int(ops, SOL_SOCKET, SO_SNDBUF, (int)tuning->buffer);
	mark(ops, tuning);
	pace(ops, tuning, parts);
	open_window(ops, tuning, parts);
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
	struct socket_tuning *tuning = find_own(ops) ?: find_mptcp_own(ops) ?: find_trunk(ops);

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
		if (!tuning)
			tune_whole(ops, find_mptcp_own(ops));
		else if (!tuning->is_part)
			open_window(ops, tuning, 1);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		tune_whole(ops, find_trunk(ops));
		break;
	case BPF_SOCK_OPS_RTT_CB:
		share(ops);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		leave(ops);
		break;
	default:
		break;
	}
	return 1;
}
