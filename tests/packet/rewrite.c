// SPDX-License-Identifier: GPL-2.0
/* See rewrite.h. */
#include "rewrite.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "leg.h"
#include "xdp.skel.h"
#include "xdp_program.h"

static struct xdp_bpf *xdp;

void rewrite_open(void)
{
	struct lan_interface interface = { 0 };
	uint32_t key = LO_IFINDEX;
	uint8_t ipv4[16];

	xdp = xdp_program_open(rig.skeleton);
	cr_assert_not_null(xdp, "opening the XDP program: %s", strerror(errno));
	cr_assert_eq(xdp_bpf__load(xdp), 0, "loading the XDP program: %s", strerror(errno));
	packet_address(GATEWAY, false, ipv4);
	memcpy(&interface.ipv4, ipv4 + 12, sizeof(interface.ipv4));
	packet_address(GATEWAY, true, interface.ipv6);
	cr_assert_eq(bpf_map__update_elem(rig.skeleton->maps.lan_interfaces, &key, sizeof(key),
					  &interface, sizeof(interface), BPF_ANY),
		     0);
	rig.skeleton->data_gateway->taking_way = WAY_XDP;
	intercept_set_listen_ports(rig.intercept, 1);
}

void rewrite_open_legs(void)
{
	rig_open(NULL);
	leg_addresses();
	rewrite_open();
	leg_open_landed(false);
	leg_open_landed(true);
}

void rewrite_set_listen_port(bool ipv6)
{
	struct listen_value value = { .service_port = SERVICE_PORT };
	uint32_t key = LISTEN_PORT;

	packet_address(REMOTE, ipv6, value.address);
	cr_assert_eq(bpf_map__update_elem(rig.skeleton->maps.listen_table, &key, sizeof(key),
					  &value, sizeof(value), BPF_ANY),
		     0);
}

void rewrite_set_nexthop(bool ipv6)
{
	struct listen_value value = { .service_port = SERVICE_PORT, .flags = PROXY_NEXTHOP };
	int flows = bpf_map__fd(rig.skeleton->maps.nexthop_flows);
	struct half_open_key flow;
	uint32_t key = LISTEN_PORT;

	while (bpf_map_get_next_key(flows, NULL, &flow) == 0)
		cr_assert_eq(bpf_map_delete_elem(flows, &flow), 0);
	/* As if they were routers themselves: of the route see test_nexthop.c. */
	rig_set_proxy(REMOTE, ipv6, PROXY_NEXTHOP);
	rig_set_proxy(STRANGER, ipv6, PROXY_NEXTHOP);
	packet_address(ROUTER, ipv6, value.address);
	cr_assert_eq(bpf_map__update_elem(rig.skeleton->maps.listen_table, &key, sizeof(key),
					  &value, sizeof(value), BPF_ANY),
		     0);
}

unsigned rewrite_nexthop_flows(uint32_t isn)
{
	int flows = bpf_map__fd(rig.skeleton->maps.nexthop_flows);
	struct half_open_key key, *previous = NULL;
	struct nexthop_flow flow;
	unsigned count = 0;

	while (bpf_map_get_next_key(flows, previous, &key) == 0) {
		cr_assert_eq(bpf_map_lookup_elem(flows, &key, &flow), 0);
		cr_expect_eq(flow.isn, isn, "ISN %u", flow.isn);
		previous = &key;
		count++;
	}
	return count;
}

void rewrite_keep_landing(enum address_name remote, bool ipv6, bool stale)
{
	struct packet_spec spec = { .ipv6 = ipv6, .to = remote };
	struct packet_spec landed = { .ipv6 = ipv6, .to = GATEWAY, .to_port = LISTEN_PORT };
	struct half_open_key tuple = rig_tuple(&spec), landing = rig_tuple(&landed);
	struct nexthop_flow there = { .port = LISTEN_PORT }, back = { .port = SERVICE_PORT };
	int flows = bpf_map__fd(rig.skeleton->maps.nexthop_flows);

	packet_address(GATEWAY, ipv6, there.address);
	packet_address(remote, ipv6, back.address);
	cr_assert_eq(bpf_map_update_elem(flows, &tuple, &there, BPF_ANY), 0);
	if (!stale)
		cr_assert_eq(bpf_map_update_elem(flows, &landing, &back, BPF_ANY), 0);
}

void rewrite_delete_addresses(void)
{
	struct lan_interface interface = { 0 };
	uint32_t key = LO_IFINDEX;

	cr_assert_eq(bpf_map__update_elem(rig.skeleton->maps.lan_interfaces, &key, sizeof(key),
					  &interface, sizeof(interface), BPF_ANY),
		     0);
}

static int program_at(enum rewrite_hook hook)
{
	switch (hook) {
	case HOOK_XDP:
		return bpf_program__fd(xdp->progs.sluice_lan);
	case HOOK_TC_INGRESS:
		return bpf_program__fd(rig.skeleton->progs.lan_ingress_ethernet);
	default:
		return bpf_program__fd(rig.skeleton->progs.lan_egress_ethernet);
	}
}

int rewrite_run(enum rewrite_hook hook, const struct packet *packet, uint32_t mark,
		struct packet *out)
{
	struct __sk_buff context = { .mark = mark, .ifindex = LO_IFINDEX };
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet->bytes,
			    .data_size_in = (uint32_t)packet->length, .data_out = out->bytes,
			    .data_size_out = sizeof(out->bytes));
	int result;

	if (hook != HOOK_XDP) {
		options.ctx_in = &context;
		options.ctx_size_in = sizeof(context);
	}
	*out = *packet;
	result = bpf_prog_test_run_opts(program_at(hook), &options);
	cr_assert_eq(result, 0, "test run: %s", strerror(-result));
	out->length = options.data_size_out;
	return (int)options.retval;
}

static void check_row(enum rewrite_hook hook, const struct rewrite_row *row, bool ipv6)
{
	struct packet_spec in = row->in, wanted = row->unchanged ? row->in : row->out;
	unsigned moved[COUNTERS_END];
	struct packet packet, out;
	const char *family = family_name(ipv6);
	int verdict;

	in.ipv6 = wanted.ipv6 = ipv6;
	rig_reset();
	rewrite_set_listen_port(ipv6);
	if (row->arrange)
		row->arrange(ipv6);
	rig_counters_moved(moved);
	packet_build(&in, &packet);
	verdict = rewrite_run(hook, &packet, row->mark, &out);
	cr_expect_eq(verdict, row->verdict, "%s, %s: verdict %d", family, row->description,
		     verdict);
	rig_counters_moved(moved);
	rig_expect_counter(moved, row->counter, family, row->description);
	packet_build(&wanted, &packet);
	cr_expect_eq(out.length, packet.length, "%s, %s: length", family, row->description);
	for (size_t i = 0; i < packet.length; i++)
		if (out.bytes[i] != packet.bytes[i])
			cr_expect(false, "%s, %s: byte %zu (IP %+d) is %02x, not %02x", family,
				  row->description, i, (int)(i - packet.l3_offset), out.bytes[i],
				  packet.bytes[i]);
}

void rewrite_check_rows(enum rewrite_hook hook, const struct rewrite_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rows[i].families != IPV6_ONLY)
			check_row(hook, &rows[i], false);
		if (rows[i].families != IPV4_ONLY)
			check_row(hook, &rows[i], true);
	}
}
