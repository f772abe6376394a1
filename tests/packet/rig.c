// SPDX-License-Identifier: GPL-2.0
/* The namespace, the program and its tables; see rig.h. Running packets is in run.c. */
#include "rig.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Longest command line of rig_command(). */
#define COMMAND_MAX 512

struct rig rig;

void rig_command(const char *format, ...)
{
	char command[COMMAND_MAX];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	cr_assert_lt(length, COMMAND_MAX);
	cr_assert_eq(system(command), 0, "%s: failed", command);
}

static void enter_namespace(void)
{
	if (geteuid() != 0)
		cr_skip_test("root is needed to load BPF programs");
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		cr_skip_test("no namespace of our own: %s", strerror(errno));
	cr_assert_eq(setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1), 0);
	rig_command("ip link set lo up");
}

static void *map_memory(const struct bpf_map *map, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	cr_assert_neq(memory, MAP_FAILED, "%s: %s", bpf_map__name(map), strerror(errno));
	return memory;
}

/* As intercept_load() does, less the pins, and with a known key for the
 * clients' buckets, so that two clients share one either always or never. */
static void load(void)
{
	struct intercept_bpf *skeleton = intercept_bpf__open();

	cr_assert_not_null(skeleton, "opening the skeleton: %s", strerror(errno));
	skeleton->rodata->relay_count = rig.options.relays;
	skeleton->rodata->half_open_per_client = rig.options.half_open_per_client;
	skeleton->rodata->client_hash_key = 0;
	skeleton->rodata->syn_rate = rig.options.syn_rate;
	cr_assert_eq(bpf_map__set_max_entries(skeleton->maps.half_open, rig.options.half_open), 0);
	cr_assert_eq(bpf_map__set_max_entries(skeleton->maps.nexthop_flows,
					      rig.options.nexthop_flows),
		     0);
	cr_assert_eq(intercept_bpf__load(skeleton), 0, "loading the program: %s", strerror(errno));
	rig.intercept = calloc(1, sizeof(*rig.intercept));
	cr_assert_not_null(rig.intercept);
	list_init(&rig.intercept->interfaces);
	rig.intercept->pin_dir_fd = -1;
	rig.intercept->skeleton = rig.skeleton = skeleton;
	rig.intercept->relay_states = map_memory(skeleton->maps.relays,
						 SLUICE_MAX_RELAYS * sizeof(struct relay_state));
	rig.intercept->half_open_by_client = map_memory(skeleton->maps.half_open_by_client,
							HALF_OPEN_BUCKETS * sizeof(uint64_t));
}

static int take_event(void *relay, void *bytes, size_t size)
{
	cr_assert_eq(size, sizeof(rig.event));
	memcpy(&rig.event, bytes, sizeof(rig.event));
	rig.event_relay = (unsigned)(uintptr_t)relay;
	rig.events++;
	return 0;
}

static void open_rings(void)
{
	for (uint32_t relay = 0; relay < rig.options.relays; relay++) {
		void *context = (void *)(uintptr_t)relay;
		int fd = intercept_new_ring(rig.intercept, relay);

		cr_assert_geq(fd, 0, "ring buffer of relay %u: %s", relay, strerror(-fd));
		rig.ring_fd[relay] = fd;
		if (relay == 0)
			rig.rings = ring_buffer__new(fd, take_event, context, NULL);
		else
			cr_assert_eq(ring_buffer__add(rig.rings, fd, take_event, context), 0);
		cr_assert_not_null(rig.rings);
	}
}

void rig_open(const struct rig_options *options)
{
	rig.options = (struct rig_options){
		.relays = options && options->relays ? options->relays : 1,
		.half_open = options && options->half_open ? options->half_open : 8192,
		.half_open_per_client = options && options->half_open_per_client
						? options->half_open_per_client
						: 1024,
		.syn_rate = options ? options->syn_rate : 0,
		.nexthop_flows = options && options->nexthop_flows ? options->nexthop_flows : 16,
	};
	enter_namespace();
	load();
	open_rings();
	rig_reset();
}

void rig_consume(void)
{
	cr_assert_geq(ring_buffer__consume(rig.rings), 0);
}

static void clear(int map, size_t key_size)
{
	uint8_t key[sizeof(struct half_open_key)];

	cr_assert_leq(key_size, sizeof(key));
	while (bpf_map_get_next_key(map, NULL, key) == 0)
		cr_assert_eq(bpf_map_delete_elem(map, key), 0);
}

void rig_set_proxy(enum address_name name, bool ipv6, uint32_t flags)
{
	struct proxy_value value = { .proxy_id = PROXY_ID, .flags = flags };
	struct proxy_key key;

	packet_address(name, ipv6, key.address);
	cr_assert_eq(bpf_map_update_elem(intercept_maps(rig.intercept).proxy_table, &key, &value,
					 BPF_ANY),
		     0);
}

void rig_delete_proxy(enum address_name name, bool ipv6)
{
	struct proxy_key key;

	packet_address(name, ipv6, key.address);
	cr_assert_eq(bpf_map_delete_elem(intercept_maps(rig.intercept).proxy_table, &key), 0);
}

static const struct port_key port_key = { .proxy_id = PROXY_ID, .service_port = SERVICE_PORT };

void rig_set_port(uint32_t flags)
{
	struct port_value value = { .port_id = PORT_ID,
				    .params_id = PARAMS_ID,
				    .listen_port = LISTEN_PORT,
				    .trunk_port = TRUNK_PORT,
				    .flags = flags };

	cr_assert_eq(bpf_map_update_elem(intercept_maps(rig.intercept).port_table, &port_key,
					 &value, BPF_ANY),
		     0);
}

void rig_delete_port(void)
{
	cr_assert_eq(bpf_map_delete_elem(intercept_maps(rig.intercept).port_table, &port_key), 0);
}

void rig_set_heartbeat(uint64_t heartbeat_ns)
{
	for (uint32_t relay = 0; relay < rig.options.relays; relay++)
		rig.intercept->relay_states[relay].heartbeat_ns = heartbeat_ns;
}

static void restore_rings(void)
{
	for (uint32_t relay = 0; relay < rig.options.relays; relay++)
		cr_assert_eq(bpf_map_update_elem(intercept_maps(rig.intercept).held_syns, &relay,
						 &rig.ring_fd[relay], BPF_ANY),
			     0);
}

void rig_delete_ring(void)
{
	uint32_t relay = 0;

	cr_assert_eq(bpf_map_delete_elem(intercept_maps(rig.intercept).held_syns, &relay), 0);
}

static void delete_listeners(void)
{
	for (uint32_t index = 0; index < SLUICE_MAX_RELAYS * 2; index++)
		bpf_map_delete_elem(intercept_maps(rig.intercept).listeners, &index);
}

int rig_set_listener(bool ipv6)
{
	struct sockaddr_in ipv4_address = { .sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 ipv6_address = { .sin6_family = AF_INET6,
					     .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
	uint32_t key = LISTENER_INDEX(0, ipv6);
	uint64_t value = (uint64_t)fd;

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	cr_assert_eq(setsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
				ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, sizeof(on)),
		     0);
	if (ipv6)
		cr_assert_eq(bind(fd, (struct sockaddr *)&ipv6_address, sizeof(ipv6_address)), 0);
	else
		cr_assert_eq(bind(fd, (struct sockaddr *)&ipv4_address, sizeof(ipv4_address)), 0);
	cr_assert_eq(listen(fd, 16), 0);
	cr_assert_eq(bpf_map_update_elem(intercept_maps(rig.intercept).listeners, &key, &value,
					 BPF_ANY),
		     0, "%s", strerror(errno));
	return fd;
}

void rig_reset(void)
{
	struct intercept_maps maps = intercept_maps(rig.intercept);
	unsigned moved[COUNTERS_END];

	clear(maps.half_open, sizeof(struct half_open_key));
	clear(maps.proxy_table, sizeof(struct proxy_key));
	clear(maps.port_table, sizeof(struct port_key));
	memset(rig.intercept->half_open_by_client, 0, HALF_OPEN_BUCKETS * sizeof(uint64_t));
	rig_set_proxy(REMOTE, false, 0);
	rig_set_proxy(REMOTE, true, 0);
	rig_set_port(0);
	rig_set_heartbeat(
		UINT64_MAX); /* later than any now: never stale, however slow the machine */
	intercept_set_nexthop_entries(rig.intercept, 0);
	intercept_set_accepting(rig.intercept, true);
	delete_listeners();
	restore_rings();
	rig_consume();
	rig.events = 0;
	rig_counters_moved(moved);
}

struct half_open_key rig_tuple(const struct packet_spec *spec)
{
	struct half_open_key key = { .client_port = spec->from_port ?: CLIENT_PORT,
				     .service_port = spec->to_port ?: SERVICE_PORT };

	packet_address(spec->from ?: CLIENT, spec->ipv6, key.client);
	if (spec->from_last)
		key.client[15] = spec->from_last;
	packet_address(spec->to ?: REMOTE, spec->ipv6, key.remote);
	return key;
}

bool rig_half_open(const struct packet_spec *spec, struct half_open_value *value)
{
	struct half_open_key key = rig_tuple(spec);

	return bpf_map_lookup_elem(intercept_maps(rig.intercept).half_open, &key, value) == 0;
}

unsigned rig_budgets_in_use(void)
{
	unsigned sum = 0;

	for (size_t i = 0; i < HALF_OPEN_BUCKETS; i++)
		sum += (unsigned)rig.intercept->half_open_by_client[i];
	return sum;
}
