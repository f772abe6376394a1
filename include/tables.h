/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Keys and values of the tables that the BPF programs and user space share.
 * main (user/gateway/registry_entries.c) writes them, bpf/intercept.bpf.c and the
 * relays read them; all are pinned, so `bpftool map dump pinned
 * /sys/fs/bpf/sluice/port_table` shows them by field name.
 *
 * Conventions: addresses are 16 bytes in network byte order, IPv4 as
 * v4-mapped IPv6 (RFC 4291, 2.5.5.2), so one table serves both families.
 * Ports and all other integers are in host byte order. Numerals in brackets
 * are those of the source document.
 */
#ifndef SLUICE_TABLES_H
#define SLUICE_TABLES_H

#include <linux/types.h>

/* Upper bound of relay processes; sizes the per-relay maps. */
#define SLUICE_MAX_RELAYS 64

/* Length of a congestion control name with its NUL (kernel: TCP_CA_NAME_MAX). */
#define SLUICE_CC_NAME_MAX 16

/* proxy_table [900-963]: which destination, or next-hop router, has a proxy. */
struct proxy_key {
	__u8 address[16]; /* the remote's address, or the router's when it is a next-hop entry */
};

/* Value of proxy_table: the pointer [962] into port_table, as a number. */
struct proxy_value {
	__u32 proxy_id; /* first half of port_key; never 0 */
	__u32 flags; /* PROXY_* */
};

#define PROXY_NEXTHOP (1U << 0) /* found by the route's next hop, not by the destination */

/* port_table [971-976]: the port number conversion table. */
struct port_key {
	__u32 proxy_id; /* of the proxy_table entry */
	__u16 service_port; /* #n-c-rs: the remote's port that clients connect to */
	__u16 reserved; /* zero, so that the key has no padding */
};

struct port_value {
	__u32 port_id; /* dense number, index of the relays' flow counts; the same as long as the entry lives */
	__u32 params_id; /* key of param_table */
	__u16 listen_port; /* #n-c-s: where the LAN leg lands (XDP); 0: none, by tc alone */
	__u16 trunk_port; /* #n-s-rs: the remote's port the WAN leg connects to */
	__u32 flags; /* PORT_* */
};

#define PORT_DRAINING (1U << 0) /* withdrawn: SYNs pass, running flows are still found */
#define PORT_EARLY (1U << 1) /* connect = early: answer the SYN before the remote did */
#define PORT_FULL (1U << 2) /* its identity has all the flows it may have: SYNs pass */
#define PORT_TRUNK_ENDED (1U << 3) /* the remote's agent ends the trunk: see trunk.h */

enum qos_class { QOS_UBR, QOS_CBR, QOS_VBR, QOS_ABR };
enum connect_mode { CONNECT_HONEST, CONNECT_EARLY };
enum source_mode { SOURCE_GATEWAY, SOURCE_CLIENT };
enum proxy_protocol { PROXY_PROTOCOL_NONE, PROXY_PROTOCOL_V2 };
enum engine_choice { ENGINE_AUTO, ENGINE_KERNEL, ENGINE_SPLICE };

#define DSCP_UNSET 0xff

/* Different sets of parameters that there may be. */
#define PARAM_TABLE_MAX 4096

/* param_table [980-984]: how the WAN leg is to run. Key: __u32 params_id. */
struct wan_params {
	__u64 window; /* [980] bytes of socket buffer on the WAN leg; 0: from rate x rtt, else autotuning */
	__u64 rate; /* [981] bit/s the link is known to carry; 0: unknown */
	__u64 peak; /* [983] bit/s, vbr and abr; 0: unset */
	__u64 sustained; /* [983] bit/s, vbr; 0: unset */
	__u64 minimum; /* [983] bit/s, abr; of linkrate in general the floor; 0: unset */
	__u32 rtt_us; /* [981] microseconds round trip; 0: unknown */
	__u32 idle_timeout_s; /* seconds without a byte after which a flow is reset; 0: never */
	__u32 keepalive_s; /* seconds idle before TCP keepalive probes on both legs; 0: none */
	__u8 skip_slow_start; /* [981] 1: start with rate x rtt in flight */
	__u8 parallel; /* [982] connections that carry one flow, 1..8 */
	__u8 qos; /* [983] enum qos_class */
	__u8 dscp; /* 0..63, or DSCP_UNSET: what the class asks for */
	__u8 connect; /* enum connect_mode */
	__u8 source; /* enum source_mode */
	__u8 proxy_protocol; /* enum proxy_protocol */
	__u8 engine; /* enum engine_choice; ENGINE_AUTO: the gateway's own choice */
	char flow_control
		[SLUICE_CC_NAME_MAX]; /* [984] TCP_CONGESTION, NUL-padded; "" = the kernel's default */
	__u32 reserved; /* zero, so that equal parameters are equal bytes */
};

/* half_open: one entry per connection whose SYN was taken and which is not joined yet. */
struct half_open_key {
	__u8 client[16]; /* source address of the SYN */
	__u8 remote[16]; /* destination address of the SYN */
	__u16 client_port;
	__u16 service_port;
};

struct half_open_value {
	__u64 since_ns; /* bpf_ktime_get_ns() of the first SYN */
	__u32 isn; /* its sequence number, host byte order: tells a retransmission from a new try */
	__u32 relay; /* index of the relay that owns it */
	__u32 client_bucket; /* index into half_open_by_client that was counted up */
	__u16 delivered; /* 1: its SYN has reached the listener, which answers it */
	__u16 rewritten; /* 1: the leg has the gateway's address and the listen port (XDP) */
};

/* The two ways in: how connections are taken. */
enum way_in {
	WAY_TC, /* as they are, to a socket with the remote's address */
	WAY_XDP, /* rewritten, to the gateway's own address and a listen port */
};

/* listen_table, the reverse of port_table: whom a leg at a listen port stands
 * for. Key: __u32 listen port. */
struct listen_value {
	__u8 address[16]; /* the proxy_table entry's: the remote, or the router of next-hop entries */
	__u16 service_port;
	__u16 flags; /* PROXY_* of the proxy */
};

/* lan_interfaces: what XDP needs to know of an interface. Key: __u32 ifindex. */
struct lan_interface {
	__u8 ipv6[16]; /* an address of the gateway's there; zero: none */
	__be32 ipv4; /* the same, network byte order */
	__u8 mac[6]; /* frames for others pass */
	__u16 reserved;
};

/* nexthop_flows: connections by next-hop entries, which stand for many remotes.
 * Two entries each: the client's tuple leads to the leg's, and back. They are
 * made when the SYN is taken and go when the flow has ended, or with its relay.
 * Key: struct half_open_key. */
struct nexthop_flow {
	__u8 address[16]; /* the gateway's, or the remote's */
	__u16 port; /* the listen port, or the service port */
	__u16 relay; /* index of the relay that has the flow */
	__u32 isn; /* of its SYN: tells it from a later flow of the same tuple */
};

/* syn_rates: what a client has left of its rate of SYNs, least recently used
 * ones go. Key: its address, 16 bytes. */
struct syn_bucket {
	__u64 nanoseconds; /* of rate that is saved, a second at most */
	__u64 filled_ns; /* bpf_ktime_get_ns() of the last SYN */
};

/* Buckets of half_open_by_client, an mmapable array of __u64 (the kernel spaces
 * smaller values by 8 bytes all the same): half-open connections per client,
 * counted up by BPF and down by the relay. A client's bucket is a keyed hash of
 * its address, so the table needs no clean-up; two clients that share one also
 * share one budget. */
#define HALF_OPEN_BUCKETS 16384

/* relays: one mmapable entry per relay, written by the relay, read by BPF. */
struct relay_state {
	__u64 heartbeat_ns; /* CLOCK_MONOTONIC of the relay's last turn; 0: not serving */
};

/* A relay whose heartbeat is older than this gets no new connections. */
#define RELAY_STALE_NS 1000000000ULL

/* listeners is a sockmap with two listeners a relay, one per family. */
#define LISTENER_INDEX(relay, is_ipv6) ((relay)*2 + ((is_ipv6) ? 1 : 0))

/*
 * skb->mark bits that are ours. Only these four bits are ever read or changed;
 * whatever else other software keeps in the mark stays as it is.
 */
#define MARK_MASK 0xf0000000U
#define MARK_STEAL 0x50000000U /* deliver locally: matched by the policy rule */
#define MARK_REINJECT 0x60000000U /* a held SYN on its way back in, for the listener */
#define MARK_FORWARD 0x70000000U /* a held SYN on its way back in, to be forwarded after all */
#define MARK_LAN_LEG \
	0x80000000U /* of LAN legs' sockets: XDP legs get the remote's address back by it */

_Static_assert(sizeof(struct proxy_key) == 16, "proxy_key has no padding");
_Static_assert(sizeof(struct port_key) == 8, "port_key has no padding");
_Static_assert(sizeof(struct port_value) == 16, "port_value has no padding");
_Static_assert(sizeof(struct wan_params) == 80, "wan_params has no padding");
_Static_assert(sizeof(struct half_open_key) == 36, "half_open_key has no padding");
_Static_assert(sizeof(struct listen_value) == 20, "listen_value has no padding");
_Static_assert(sizeof(struct lan_interface) == 28, "lan_interface has no padding");
_Static_assert(sizeof(struct nexthop_flow) == 24, "nexthop_flow has no padding");
_Static_assert(sizeof(struct half_open_value) == 24, "half_open_value has no padding");

#endif
