// SPDX-License-Identifier: GPL-2.0
/*
 * Attaching the intercept program to interfaces: by tcx links where the kernel
 * has them (6.6), which the kernel takes away by itself when this process dies,
 * by clsact filters otherwise.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clsact.h"
#include "intercept_private.h"
#include "lan_addresses.h"
#include "log.h"
#include "tc_filter.h"

/* enum bpf_attach_type of kernel 6.6; headers of older distributions lack them. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS 47

/* What one direction of an interface gets. */
struct hook {
	int program;
	int tcx_type;
	enum bpf_tc_attach_point point;
};

/* True when frames on the interface start with an Ethernet header. */
static int has_ethernet_header(const char *dev, bool *result)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };
	int error = 0;

	if (fd < 0)
		return -errno;
	memcpy(request.ifr_name, dev, strnlen(dev, IFNAMSIZ - 1));
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		error = -errno;
	else
		*result = request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
	close(fd);
	return error;
}

static size_t choose_hooks(const struct intercept *intercept, enum intercept_side side,
			   bool ethernet, struct hook hooks[2])
{
	const struct intercept_bpf *skeleton = intercept->skeleton;
	const struct bpf_program *ingress, *egress;

	egress = ethernet ? skeleton->progs.lan_egress_ethernet : skeleton->progs.lan_egress_raw;

	if (side == SIDE_LAN)
		ingress = ethernet ? skeleton->progs.lan_ingress_ethernet
				   : skeleton->progs.lan_ingress_raw;
	else
		ingress = ethernet ? skeleton->progs.wan_ingress_ethernet
				   : skeleton->progs.wan_ingress_raw;
	hooks[0] = (struct hook){ bpf_program__fd(ingress), ATTACH_TCX_INGRESS, BPF_TC_INGRESS };
	hooks[1] = (struct hook){ bpf_program__fd(egress), ATTACH_TCX_EGRESS, BPF_TC_EGRESS };
	return side == SIDE_LAN ? 2 : 1;
}

static int attach_tcx(struct intercept_interface *interface, const struct hook *hooks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int link = bpf_link_create(hooks[i].program, interface->ifindex,
					   (enum bpf_attach_type)hooks[i].tcx_type, NULL);

		if (link < 0)
			return -errno;
		interface->links[i] = link;
	}
	interface->tcx = true;
	return 0;
}

static void detach_clsact(struct intercept_interface *interface)
{
	static const enum bpf_tc_attach_point points[] = { BPF_TC_INGRESS, BPF_TC_EGRESS };

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface->ifindex,
				    .attach_point = points[i]);
		DECLARE_LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE,
				    .priority = FILTER_PRIORITY);

		bpf_tc_detach(&hook, &options);
	}
	if (interface->made_qdisc && clsact_is_empty(interface->ifindex)) {
		DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface->ifindex,
				    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

		bpf_tc_hook_destroy(&hook);
	}
}

static int attach_clsact(struct intercept_interface *interface, const struct hook *hooks,
			 size_t count)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, qdisc, .ifindex = interface->ifindex,
			    .attach_point = BPF_TC_INGRESS);
	int result = bpf_tc_hook_create(&qdisc);

	if (result && result != -EEXIST)
		return result;
	interface->made_qdisc = result == 0;
	for (size_t i = 0; i < count; i++) {
		DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface->ifindex,
				    .attach_point = hooks[i].point);
		/* Replaces the filter that a crashed run left. */
		DECLARE_LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE,
				    .priority = FILTER_PRIORITY, .prog_fd = hooks[i].program,
				    .flags = BPF_TC_F_REPLACE);

		result = bpf_tc_attach(&hook, &options);
		if (result)
			return result;
	}
	return 0;
}

static int attach_either(struct intercept_interface *interface, const struct hook *hooks,
			 size_t count)
{
	int result = attach_tcx(interface, hooks, count);

	if (result == 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		if (interface->links[i] >= 0)
			close(interface->links[i]);
		interface->links[i] = -1;
	}
	log_debug("%s: no tcx (%s), using clsact", interface->dev, strerror(-result));
	result = attach_clsact(interface, hooks, count);
	if (result)
		detach_clsact(interface);
	return result;
}

static struct intercept_interface *find(const struct intercept *intercept, const char *dev)
{
	const struct list *list = &intercept->interfaces;

	for (struct list *link = list->next; link != list; link = link->next) {
		struct intercept_interface *interface = list_entry(link, struct intercept_interface,
								   link);

		if (strcmp(interface->dev, dev) == 0)
			return interface;
	}
	return NULL;
}

const struct intercept_interface *intercept_find(const struct intercept *intercept, const char *dev)
{
	return find(intercept, dev);
}

void intercept_set_wanted(struct intercept *intercept, const char *dev, bool wanted)
{
	struct intercept_interface *interface = find(intercept, dev);

	if (interface)
		interface->unwanted = !wanted;
}

bool intercept_interface_is_gone(const struct intercept_interface *interface)
{
	char name[IF_NAMESIZE];

	return !if_indextoname((unsigned)interface->ifindex, name);
}

const char *intercept_attached_by(const struct intercept_interface *interface)
{
	if (intercept_interface_is_gone(interface))
		return "gone";
	return interface->tcx ? "tcx" : "clsact";
}

void intercept_forget_remade(struct intercept *intercept)
{
	struct list *link = intercept->interfaces.next;

	while (link != &intercept->interfaces) {
		struct intercept_interface *interface = list_entry(link, struct intercept_interface,
								   link);

		link = link->next;
		if (intercept_interface_is_gone(interface) && if_nametoindex(interface->dev))
			interface_detach(intercept, interface);
	}
}

static int read_addresses(struct intercept *intercept, const struct intercept_interface *interface)
{
	int map = bpf_map__fd(intercept->skeleton->maps.lan_interfaces);
	struct lan_interface before = { 0 }, now;
	uint32_t key = (uint32_t)interface->ifindex;
	int result;

	bpf_map_lookup_elem(map, &key, &before);
	result = lan_addresses_read(interface->dev, &before, &now);
	if (result || memcmp(&before, &now, sizeof(now)) == 0)
		return result;
	return bpf_map_update_elem(map, &key, &now, BPF_ANY) < 0 ? -errno : 0;
}

/* On a LAN interface; another stays as it is. */
static int attach_xdp(struct intercept *intercept, struct intercept_interface *interface,
		      char *error)
{
	bool ethernet;
	int result;

	if (interface->side != SIDE_LAN || interface->xdp || intercept_interface_is_gone(interface))
		return 0;
	result = has_ethernet_header(interface->dev, &ethernet);
	if (!result && !ethernet) {
		snprintf(error, INTERCEPT_ERROR_MAX,
			 "%s: no Ethernet interface: intercept = xdp cannot serve it, use tc",
			 interface->dev);
		return -EOPNOTSUPP;
	}
	/* First, so that the program knows its interface when it begins. */
	result = result ?: read_addresses(intercept, interface);
	if (result) {
		snprintf(error, INTERCEPT_ERROR_MAX, "%s: cannot read its addresses: %s",
			 interface->dev, strerror(-result));
		return result;
	}
	return xdp_holder_attach(intercept->xdp_holder, interface->dev, interface->ifindex,
				 interface->links[1], &interface->xdp, error, INTERCEPT_ERROR_MAX);
}

static void interface_detach_xdp(struct intercept *intercept, struct intercept_interface *interface)
{
	if (interface->xdp != XDP_NONE)
		xdp_holder_detach(intercept->xdp_holder, interface->ifindex);
	interface->xdp = XDP_NONE;
}

static void detach_xdp(struct intercept *intercept)
{
	const struct list *list = &intercept->interfaces;

	for (struct list *link = list->next; link != list; link = link->next) {
		struct intercept_interface *interface = list_entry(link, struct intercept_interface,
								   link);

		interface_detach_xdp(intercept, interface);
	}
}

int intercept_attach(struct intercept *intercept, const char *dev, enum intercept_side side,
		     char *error)
{
	struct intercept_interface *interface;
	struct hook hooks[2];
	bool ethernet = true;
	size_t count;
	int result;

	intercept_forget_remade(intercept);
	if (intercept_find(intercept, dev)) {
		snprintf(error, INTERCEPT_ERROR_MAX, "%s: attached already", dev);
		return -EEXIST;
	}
	interface = calloc(1, sizeof(*interface));
	if (!interface) {
		snprintf(error, INTERCEPT_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	snprintf(interface->dev, sizeof(interface->dev), "%s", dev);
	interface->side = side;
	interface->links[0] = interface->links[1] = -1;
	interface->ifindex = (int)if_nametoindex(dev);
	if (!interface->ifindex || has_ethernet_header(dev, &ethernet)) {
		snprintf(error, INTERCEPT_ERROR_MAX,
			 "%s: there is no such interface: see `ip link` for those there are", dev);
		free(interface);
		return -ENODEV;
	}
	count = choose_hooks(intercept, side, ethernet, hooks);
	result = attach_either(interface, hooks, count);
	if (result) {
		snprintf(error, INTERCEPT_ERROR_MAX, "%s: cannot attach: %s", dev,
			 strerror(-result));
		free(interface);
		return result;
	}
	list_append(&intercept->interfaces, &interface->link);
	if (intercept->way == WAY_XDP)
		result = attach_xdp(intercept, interface, error);
	if (result)
		interface_detach(intercept, interface);
	return result;
}

enum way_in intercept_way(const struct intercept *intercept)
{
	return intercept->way;
}

int intercept_set_way(struct intercept *intercept, enum way_in way, char *error)
{
	struct list *list = &intercept->interfaces;
	int result = 0;

	if (way == intercept->way)
		return 0;
	for (struct list *link = list->next; way == WAY_XDP && !result && link != list;
	     link = link->next)
		result = attach_xdp(intercept, list_entry(link, struct intercept_interface, link),
				    error);
	if (result) {
		if (!intercept->skeleton->data_gateway->other_way_runs)
			detach_xdp(intercept);
		return result;
	}
	intercept->way = way;
	intercept->skeleton->data_gateway->other_way_runs = 1;
	intercept->skeleton->data_gateway->taking_way = way;
	return 0;
}

void intercept_end_other_way(struct intercept *intercept)
{
	intercept->skeleton->data_gateway->other_way_runs = 0;
	if (intercept->way == WAY_TC)
		detach_xdp(intercept);
}

void intercept_read_addresses(struct intercept *intercept)
{
	const struct list *list = &intercept->interfaces;

	for (struct list *link = list->next; link != list; link = link->next) {
		struct intercept_interface *interface = list_entry(link, struct intercept_interface,
								   link);

		if (interface->xdp)
			read_addresses(intercept, interface);
	}
}

void interface_detach(struct intercept *intercept, struct intercept_interface *interface)
{
	interface_detach_xdp(intercept, interface);
	for (size_t i = 0; i < 2; i++) {
		if (interface->links[i] >= 0)
			close(interface->links[i]);
	}
	if (!interface->tcx)
		detach_clsact(interface);
	list_remove(&interface->link);
	free(interface);
}

void intercept_detach_unwanted(struct intercept *intercept)
{
	struct list *link = intercept->interfaces.next;

	while (link != &intercept->interfaces) {
		struct intercept_interface *interface = list_entry(link, struct intercept_interface,
								   link);

		link = link->next;
		if (interface->unwanted)
			interface_detach(intercept, interface);
	}
}

int intercept_detach(struct intercept *intercept, const char *dev, char *error)
{
	struct intercept_interface *interface = find(intercept, dev);

	if (!interface) {
		snprintf(error, INTERCEPT_ERROR_MAX,
			 "%s: not attached: see `sluice show status` for what is", dev);
		return -ENOENT;
	}
	interface_detach(intercept, interface);
	return 0;
}
