/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Names and meaning of every counter, once. The lists make the structs that
 * BPF and the relays count in, and the keys of `sluice show counters -j`.
 * The first list is ordered as bpf/intercept.bpf.c decides.
 */
#ifndef SLUICE_COUNTERS_H
#define SLUICE_COUNTERS_H

#include <linux/types.h>

/* X(name, description): one way out of the intercept program. Packets. */
#define INTERCEPT_COUNTERS(X)                                                                 \
	X(other_host, "frame for another host, or for many: passed")                          \
	X(not_ip, "neither IPv4 nor IPv6: passed")                                            \
	X(not_tcp, "another protocol than TCP: passed")                                       \
	X(fragment, "an IP fragment: passed")                                                 \
	X(unparsed, "headers cut short or more than are walked: passed")                      \
	X(forward_again, "a held SYN that the relay gave back: forwarded")                    \
	X(no_proxy, "no proxy for the destination or its next hop: passed")                   \
	X(no_port, "the proxy does not serve this port: passed")                              \
	X(no_listen_port, "no listen port, or no address there of the family (XDP): passed")  \
	X(to_leg, "belongs to a leg of ours: taken")                                          \
	X(icmp_to_leg, "ICMP error about a leg of ours: taken")                               \
	X(older_flow, "neither a SYN nor a leg of ours, a flow older than the entry: passed") \
	X(draining, "SYN to an entry that is being withdrawn: passed")                        \
	X(identity_full, "SYN, but its identity has all the flows its policy allows: passed") \
	X(relay_stale, "SYN, but the relay gives no sign of life: passed")                    \
	X(over_rate, "SYN, but the client sends too many (syn-rate): passed")                 \
	X(no_listener, "SYN, but the relay has no listener: passed")                          \
	X(syn_retransmit, "SYN that is held already: dropped")                                \
	X(listen_port_busy,                                                                   \
	  "SYN, but the client has its port in use with another remote there: passed")        \
	X(client_over_budget, "SYN, but the client has too many half-open: passed")           \
	X(nexthop_full, "SYN by a next-hop entry, but too many are open (XDP): passed")       \
	X(half_open_full, "SYN, but too many are half-open in all: passed")                   \
	X(ring_full, "SYN, but the relay's ring buffer is full: passed")                      \
	X(syn_held, "SYN held until the remote accepts")                                      \
	X(syn_early, "SYN given to the listener at once (connect = early)")                   \
	X(syn_reinjected, "SYN given to the listener after the remote accepted")              \
	X(assign_failed, "the kernel refused the socket for the packet: passed")              \
	X(reply_rewritten, "sent by a leg of XDP: has the remote's address back")             \
	X(wan_to_leg, "WAN packet for a leg with the client's address: taken")

/* X(name, description): what became of connections and bytes in a relay. */
#define RELAY_COUNTERS(X)                                                         \
	X(syns, "held or early SYNs received")                                    \
	X(joined, "flows joined: both legs connected")                            \
	X(refused, "remote refused: the client was sent a reset")                 \
	X(unreachable, "remote unreachable: the client was sent the ICMP error")  \
	X(timed_out, "remote did not answer in time: the client heard nothing")   \
	X(forwarded, "held SYN forwarded after all: no route or resources here")  \
	X(abandoned, "the client was gone before both legs were up")              \
	X(superseded, "the client tried again with a new SYN from the same port") \
	X(strangers, "connections to a listener that no SYN was held for: reset") \
	X(closed, "flows that ended with both directions closed in order")        \
	X(reset_by_client, "flows that the client reset")                         \
	X(reset_by_remote, "flows that the remote reset")                         \
	X(leg_timed_out, "flows of which a leg timed out")                        \
	X(idle, "flows reset after the idle time-out")                            \
	X(failed, "flows reset for a local error")                                \
	X(kernel_flows, "flows that were given to the kernel")                    \
	X(ended_lost, "flows whose end main was not told of: too many at once")   \
	X(bytes_up, "bytes carried from clients to remotes")                      \
	X(bytes_down, "bytes carried from remotes to clients")                    \
	X(bytes_kernel, "of both, those that the kernel carried by itself")

/* X(name, description): what became of agents' connections and messages. The
 * registrar counts what it sees itself, main what it decides. */
#define REGISTRAR_COUNTERS(X)                                                                 \
	X(connections, "connections from agents, or what claimed to be")                      \
	X(too_many_connections, "of these, closed at once: too many in all or from there")    \
	X(tls_failed, "of these, closed: no TLS 1.3 with a pre-shared key")                   \
	X(unknown_identity, "of these, closed: no policy of that name")                       \
	X(wrong_key, "of these, closed: the policy has another key")                          \
	X(handshake_timeout, "of these, closed: no greeting in time")                         \
	X(bad_version, "agents that speak another version of the protocol: closed")           \
	X(bad_message, "messages that could not be understood: closed")                       \
	X(line_too_long, "messages longer than a line may be: closed")                        \
	X(rate_limited, "times that an agent sent too fast and was made to wait")             \
	X(idle_timeout, "agents that said nothing for the lease: closed")                     \
	X(no_room, "agents closed because they did not read, or main was not up to it")       \
	X(refused_address, "registrations refused: address outside the policy")               \
	X(refused_port, "registrations refused: port outside the policy")                     \
	X(refused_flows, "registrations refused: the identity has all its flows")             \
	X(refused_taken, "registrations refused: the address is another's")                   \
	X(refused_params, "registrations refused: parameters wrong or not supported")         \
	X(refused_room, "registrations refused: too many services, of an identity or in all") \
	X(refused_lease, "renewals refused: services of the connection had been withdrawn")   \
	X(refused_feature, "agents refused: they require what this version has not")          \
	X(registered, "services registered")                                                  \
	X(changed, "services registered again by the same identity")                          \
	X(withdrawn, "services withdrawn by their agents")                                    \
	X(renewed, "leases renewed")                                                          \
	X(expired, "services that ended because their lease was not renewed")                 \
	X(revoked, "services that ended because their policy changed")

/* X(name, description): what became of the account of flows that ended. */
#define LOG_COUNTERS(X)                                                                 \
	X(flow_log_lines, "ended flows handed to the flow log's writer")                \
	X(flow_log_dropped, "ended flows not in the flow log: writer or disk too slow") \
	X(log_dropped, "ended flows not in the log: its reader is too slow")

#define COUNTER_FIELD(name, description) __u64 name;

/* The one element of the per-CPU array intercept_counters. */
struct intercept_counters {
	INTERCEPT_COUNTERS(COUNTER_FIELD)
};

/* One per relay, in memory shared with main; survives the relay. */
struct relay_counters {
	RELAY_COUNTERS(COUNTER_FIELD)
};

/* The registrar's, in memory shared with main; survives the registrar. main has
 * one more for what it counts itself. */
struct registrar_counters {
	REGISTRAR_COUNTERS(COUNTER_FIELD)
};

/* The flow log's writer adds to what main counts, so the memory is shared. */
struct log_counters {
	LOG_COUNTERS(COUNTER_FIELD)
};

#endif
