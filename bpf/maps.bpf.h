/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tables of include/tables.h as BPF maps. Sizes that the configuration
 * decides are set by user/gateway/intercept.c before loading; the numbers here
 * are the defaults.
 */
#ifndef SLUICE_MAPS_BPF_H
#define SLUICE_MAPS_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "events.h"
#include "tables.h"

/* Memory for all entries that there may be is not taken at the start where main alone
 * makes entries: it is most of what the start costs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct proxy_key);
	__type(value, struct proxy_value);
} proxy_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct port_key);
	__type(value, struct port_value);
} port_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PARAM_TABLE_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct wan_params);
} param_table SEC(".maps");

/* Its size is the budget of half-open connections in all. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct half_open_key);
	__type(value, struct half_open_value);
} half_open SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HALF_OPEN_BUCKETS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} half_open_by_client SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_RELAYS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct relay_state);
} relays SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, SLUICE_MAX_RELAYS * 2);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct listen_value);
} listen_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct lan_interface);
} lan_interfaces SEC(".maps");

/* Of 65536 flows. None may push out another's, whose packets would then be lost. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct half_open_key);
	__type(value, struct nexthop_flow);
} nexthop_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct proxy_key);
	__type(value, struct syn_bucket);
} syn_rates SEC(".maps");

/* SYNs that a relay has given back to be forwarded, by their sequence numbers:
 * XDP sees no marks, and may see these SYNs once more. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct half_open_key);
	__type(value, __u32);
} forwarded_syns SEC(".maps");

/* One relay's ring buffer; made by user space for each relay. */
struct held_syn_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SLUICE_MAX_RELAYS);
	__type(key, __u32);
	__array(values, struct held_syn_ring);
} held_syns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct intercept_counters);
} intercept_counters SEC(".maps");

/* Counts one packet in the named field. */
#define count(field)                                                                            \
	do {                                                                                    \
		__u32 zero_ = 0;                                                                \
		struct intercept_counters *counters_ = bpf_map_lookup_elem(&intercept_counters, \
									   &zero_);             \
		if (counters_)                                                                  \
			counters_->field++;                                                     \
	} while (0)

#endif
