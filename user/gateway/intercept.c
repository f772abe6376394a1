// SPDX-License-Identifier: GPL-2.0
/* Loading, pinning and reading; see intercept.h. Attaching is in intercept_attach.c. */
#include "intercept.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "intercept_private.h"
#include "log_libbpf.h"

/* Bytes of a relay's ring buffer: about 1600 SYNs. */
#define RING_BYTES (1 << 19)

static int load_error(int result, char *error)
{
	const char *advice = "run with -v for the kernel's own words";

	if (result == -EPERM)
		advice = "run as root, with CAP_BPF and CAP_NET_ADMIN";
	else if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		advice =
			"this kernel has no BTF (CONFIG_DEBUG_INFO_BTF); Debian's 6.1 or newer has";
	snprintf(error, INTERCEPT_ERROR_MAX, "loading the BPF program: %s: %s", strerror(-result),
		 advice);
	return result;
}

/* The directory for the pins, made if need be, locked against a second daemon.
 * The lock is on the directory itself and so goes with the process. */
static int lock_pin_dir(struct intercept *intercept, char *error)
{
	const char *dir = intercept->pin_dir;
	struct statfs file_system;
	int result = 0;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		result = -errno;
		snprintf(error, INTERCEPT_ERROR_MAX,
			 "%s: %s: is its parent a mounted bpffs? "
			 "(mount -t bpf bpf /sys/fs/bpf)",
			 dir, strerror(-result));
		return result;
	}
	intercept->made_pin_dir = true;
	intercept->pin_dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (intercept->pin_dir_fd < 0 || fstatfs(intercept->pin_dir_fd, &file_system) < 0) {
		result = -errno;
		snprintf(error, INTERCEPT_ERROR_MAX, "%s: %s", dir, strerror(-result));
		return result;
	}
	if (flock(intercept->pin_dir_fd, LOCK_EX | LOCK_NB) < 0) {
		intercept->made_pin_dir = false; /* it is the other's */
		snprintf(error, INTERCEPT_ERROR_MAX,
			 "%s: in use by another sluiced: stop it, or give this one its own "
			 "--pin-dir",
			 dir);
		return -EBUSY;
	}
	if (file_system.f_type != BPF_FS_MAGIC) {
		snprintf(error, INTERCEPT_ERROR_MAX,
			 "%s: not on a bpffs, so tables cannot be pinned there: "
			 "mount -t bpf bpf /sys/fs/bpf",
			 dir);
		return -EINVAL;
	}
	return 0;
}

/* The tables that are pinned, and so can be looked at with bpftool. */
static bool is_pinned(const struct bpf_map *map)
{
	/* The skeleton's own maps hold .data and .rodata; names start with a dot inside. */
	return !bpf_map__is_internal(map);
}

static void unpin(struct intercept *intercept)
{
	struct bpf_map *map;
	char path[PATH_MAX];

	bpf_object__for_each_map(map, intercept->skeleton->obj) {
		if (!is_pinned(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", intercept->pin_dir, bpf_map__name(map));
		unlink(path);
	}
}

static int pin(struct intercept *intercept, char *error)
{
	struct bpf_map *map;
	char path[PATH_MAX];

	unpin(intercept); /* of a run that ended without a chance to clean up */
	bpf_object__for_each_map(map, intercept->skeleton->obj) {
		if (!is_pinned(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", intercept->pin_dir, bpf_map__name(map));
		if (bpf_obj_pin(bpf_map__fd(map), path) < 0) {
			int result = -errno;

			snprintf(error, INTERCEPT_ERROR_MAX, "%.180s: cannot pin: %s", path,
				 strerror(-result));
			return result;
		}
	}
	return 0;
}

static int open_skeleton(struct intercept *intercept, const struct intercept_options *options)
{
	struct intercept_bpf *skeleton = intercept_bpf__open();
	int result = 0;

	if (!skeleton)
		return -errno;
	intercept->skeleton = skeleton;
	skeleton->rodata->relay_count = options->relays;
	skeleton->rodata->half_open_per_client = options->half_open_per_client;
	skeleton->rodata->syn_rate = options->syn_rate;
	if (getrandom((void *)&skeleton->rodata->client_hash_key,
		      sizeof(skeleton->rodata->client_hash_key), 0) < 0)
		return -errno;
	result = result
			 ?: bpf_map__set_max_entries(skeleton->maps.proxy_table,
						     options->max_proxies);
	result = result ?: bpf_map__set_max_entries(skeleton->maps.port_table, options->max_ports);
	return result ?: bpf_map__set_max_entries(skeleton->maps.half_open, options->half_open);
}

/* Listener lookups of this network namespace: see listener_lookup. */
static int attach_lookup(struct intercept *intercept)
{
	struct intercept_bpf *skeleton = intercept->skeleton;
	int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int result = 0;

	if (netns < 0)
		return -errno;
	skeleton->links.listener_lookup = bpf_program__attach_netns(skeleton->progs.listener_lookup,
								    netns);
	if (!skeleton->links.listener_lookup)
		result = -errno;
	close(netns);
	return result;
}

static void *map_memory(const struct bpf_map *map, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
}

static int map_shared(struct intercept *intercept)
{
	struct intercept_bpf *skeleton = intercept->skeleton;

	intercept->relay_states = map_memory(skeleton->maps.relays,
					     SLUICE_MAX_RELAYS * sizeof(struct relay_state));
	if (intercept->relay_states == MAP_FAILED)
		return -errno;
	intercept->half_open_by_client = map_memory(skeleton->maps.half_open_by_client,
						    HALF_OPEN_BUCKETS * sizeof(uint64_t));
	return intercept->half_open_by_client == MAP_FAILED ? -errno : 0;
}

int intercept_load(const struct intercept_options *options, struct intercept **intercept,
		   char *error)
{
	struct intercept *new = calloc(1, sizeof(*new));
	int result = -ENOMEM;

	*intercept = NULL;
	log_libbpf();
	if (new)
		new->pin_dir = strdup(options->pin_dir);
	if (!new || !new->pin_dir) {
		free(new);
		snprintf(error, INTERCEPT_ERROR_MAX, "out of memory");
		return result;
	}
	list_init(&new->interfaces);
	new->pin_dir_fd = -1;
	result = lock_pin_dir(new, error);
	if (result)
		goto failed;
	result = open_skeleton(new, options);
	result = result ?: intercept_bpf__load(new->skeleton);
	result = result ?: map_shared(new);
	result = result ?: attach_lookup(new);
	if (result) {
		load_error(result, error);
		goto failed;
	}
	result = pin(new, error);
	if (result)
		goto failed;
	result = xdp_holder_new(new->skeleton, &new->xdp_holder);
	if (result) {
		snprintf(error, INTERCEPT_ERROR_MAX, "the XDP process cannot be started: %s",
			 strerror(-result));
		goto failed;
	}
	*intercept = new;
	return 0;
failed:
	intercept_free(new);
	return result;
}

void intercept_free(struct intercept *intercept)
{
	if (!intercept)
		return;
	while (!list_empty(&intercept->interfaces))
		interface_detach(intercept, list_entry(intercept->interfaces.next,
						       struct intercept_interface, link));
	xdp_holder_free(intercept->xdp_holder);
	if (intercept->skeleton) {
		unpin(intercept);
		intercept_bpf__destroy(intercept->skeleton);
	}
	if (intercept->made_pin_dir)
		rmdir(intercept->pin_dir);
	if (intercept->pin_dir_fd >= 0)
		close(intercept->pin_dir_fd);
	free(intercept->pin_dir);
	free(intercept);
}

bool intercept_is_lan(const struct intercept *intercept, int ifindex)
{
	const struct list *list = intercept_interfaces(intercept);

	for (struct list *link = list->next; link != list; link = link->next) {
		const struct intercept_interface *interface =
			list_entry(link, struct intercept_interface, link);

		if (interface->ifindex == ifindex && interface->side == SIDE_LAN)
			return true;
	}
	return false;
}

const struct list *intercept_interfaces(const struct intercept *intercept)
{
	return &intercept->interfaces;
}

struct intercept_maps intercept_maps(const struct intercept *intercept)
{
	const struct intercept_bpf *skeleton = intercept->skeleton;

	return (struct intercept_maps){
		.proxy_table = bpf_map__fd(skeleton->maps.proxy_table),
		.port_table = bpf_map__fd(skeleton->maps.port_table),
		.param_table = bpf_map__fd(skeleton->maps.param_table),
		.half_open = bpf_map__fd(skeleton->maps.half_open),
		.nexthop_flows = bpf_map__fd(skeleton->maps.nexthop_flows),
		.listeners = bpf_map__fd(skeleton->maps.listeners),
		.held_syns = bpf_map__fd(skeleton->maps.held_syns),
		.listen_table = bpf_map__fd(skeleton->maps.listen_table),
		.counters = bpf_map__fd(skeleton->maps.intercept_counters),
	};
}

struct relay_state *intercept_relay_states(struct intercept *intercept)
{
	return intercept->relay_states;
}

uint64_t *intercept_half_open_by_client(struct intercept *intercept)
{
	return intercept->half_open_by_client;
}

bool intercept_has_address(const struct intercept *intercept, int ifindex, bool ipv4)
{
	static const uint8_t none[16];
	struct lan_interface interface;

	if (bpf_map_lookup_elem(bpf_map__fd(intercept->skeleton->maps.lan_interfaces), &ifindex,
				&interface) < 0)
		return false;
	return ipv4 ? interface.ipv4 != 0 : memcmp(interface.ipv6, none, sizeof(none)) != 0;
}

void intercept_set_nexthop_entries(struct intercept *intercept, uint32_t count)
{
	intercept->skeleton->data_gateway->nexthop_entries = count;
}

void intercept_set_accepting(struct intercept *intercept, bool accepting)
{
	intercept->skeleton->data_gateway->accepting = accepting;
}

uint32_t intercept_old_legs_met(const struct intercept *intercept)
{
	return intercept->skeleton->data_gateway->old_legs_met;
}

void intercept_watch_relay(struct intercept *intercept, pid_t relay)
{
	xdp_holder_watch(intercept->xdp_holder, relay);
}

void intercept_set_listen_ports(struct intercept *intercept, uint32_t count)
{
	intercept->skeleton->data_gateway->listen_ports = count;
}

int intercept_new_ring(struct intercept *intercept, uint32_t relay)
{
	int held_syns = bpf_map__fd(intercept->skeleton->maps.held_syns);
	int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "held_syn_ring", 0, 0, RING_BYTES, NULL);
	int result;

	if (ring < 0)
		return -errno;
	if (bpf_map_update_elem(held_syns, &relay, &ring, BPF_ANY) == 0)
		return ring;
	result = -errno;
	close(ring);
	return result;
}

int intercept_read_counters(const struct intercept *intercept, struct intercept_counters *sum)
{
	int cpus = libbpf_num_possible_cpus();
	struct intercept_counters *each;
	uint32_t key = 0;
	int result = 0;

	if (cpus < 0)
		return cpus;
	each = calloc((size_t)cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	memset(sum, 0, sizeof(*sum));
	if (bpf_map_lookup_elem(intercept_maps(intercept).counters, &key, each) < 0)
		result = -errno;
#define ADD_COUNTER(name, description) sum->name += each[cpu].name;
	for (int cpu = 0; cpu < cpus && !result; cpu++) {
		INTERCEPT_COUNTERS(ADD_COUNTER)
	}
#undef ADD_COUNTER
	free(each);
	return result;
}

uint32_t intercept_half_open_count(const struct intercept *intercept)
{
	int map = intercept_maps(intercept).half_open;
	struct half_open_key key, *previous = NULL;
	uint32_t count = 0;

	/* Bounded: with entries coming and going the walk may start over. */
	while (count < bpf_map__max_entries(intercept->skeleton->maps.half_open) &&
	       bpf_map_get_next_key(map, previous, &key) == 0) {
		previous = &key;
		count++;
	}
	return count;
}

/* Its legs are gone, and nobody else takes its connections away. */
static void forget_nexthop_flows(struct intercept *intercept, uint32_t relay)
{
	int map = intercept_maps(intercept).nexthop_flows;
	struct half_open_key key, next;
	struct nexthop_flow flow;
	int more = bpf_map_get_next_key(map, NULL, &next);

	while (more == 0) {
		key = next;
		more = bpf_map_get_next_key(map, &key, &next);
		if (bpf_map_lookup_elem(map, &key, &flow) == 0 && flow.relay == relay)
			bpf_map_delete_elem(map, &key);
	}
}

void intercept_forget_relay(struct intercept *intercept, uint32_t relay)
{
	int map = intercept_maps(intercept).half_open;
	struct half_open_key key, next;
	struct half_open_value value;
	int more = bpf_map_get_next_key(map, NULL, &next);

	__atomic_store_n(&intercept->relay_states[relay].heartbeat_ns, 0, __ATOMIC_RELAXED);
	while (more == 0) {
		key = next;
		more = bpf_map_get_next_key(map, &key, &next);
		if (bpf_map_lookup_elem(map, &key, &value) || value.relay != relay)
			continue;
		if (bpf_map_delete_elem(map, &key) == 0)
			__atomic_sub_fetch(&intercept->half_open_by_client[value.client_bucket], 1,
					   __ATOMIC_RELAXED);
	}
	forget_nexthop_flows(intercept, relay);
}
