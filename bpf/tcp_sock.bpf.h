/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few fields of the kernel's TCP socket that linkrate and the
 * XDP way in use. Names are what
 * counts: where the fields are is found at load time (CO-RE).
 */
#ifndef SLUICE_TCP_SOCK_BPF_H
#define SLUICE_TCP_SOCK_BPF_H

#include <linux/types.h>

#define KERNEL_STRUCT __attribute__((preserve_access_index))

/* sk_pacing_status */
#define SK_PACING_NONE 0
#define SK_PACING_NEEDED 1

struct sock_common {
	unsigned short skc_family;
} KERNEL_STRUCT;

struct sock {
	struct sock_common __sk_common;
	unsigned long sk_pacing_rate; /* bytes a second */
	unsigned long sk_max_pacing_rate; /* all ones: no bound */
	__u32 sk_pacing_status;
	__u32 sk_mark;
} KERNEL_STRUCT;

struct inet_sock {
	struct sock sk;
} KERNEL_STRUCT;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u64 icsk_ca_priv[13]; /* the algorithm's own */
} KERNEL_STRUCT;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 tcp_mstamp; /* microseconds, when the packet at hand came */
	__u64 bytes_sent; /* payload, retransmissions included */
	__u32 mss_cache;
	__u32 snd_cwnd;
	__u32 snd_cwnd_clamp;
	__u32 snd_ssthresh;
	__u32 srtt_us; /* times 8 */
	__u32 delivered; /* segments */
	__u32 delivered_ce; /* of these, with a congestion mark */
	__u32 lost; /* segments ever thought lost */
	__u16 tcp_header_len; /* of a segment with data, options included */
} KERNEL_STRUCT;

struct ack_sample {
	__u32 pkts_acked;
	__s32 rtt_us; /* -1: unknown */
	__u32 in_flight;
} KERNEL_STRUCT;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*init)(struct sock *sk);
	void (*pkts_acked)(struct sock *sk, const struct ack_sample *sample);
	void (*cong_control)(struct sock *sk);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
} KERNEL_STRUCT;

#endif
