// SPDX-License-Identifier: GPL-2.0
/* See linkrate.h. */
#include "linkrate.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel_types.h"
#include "linkrate.skel.h"
#include "tuning.h"

/* Of kernel 6.4; headers of older distributions lack them. */
#define MAP_FLAG_LINK (1U << 13)
#define ATTACH_STRUCT_OPS 44
#define LINK_TYPE_STRUCT_OPS 9

/* The start of struct bpf_link_info, for a link of that type. */
struct struct_ops_link_info {
	__u32 type;
	__u32 id;
	__u32 prog_id;
	__u32 padding;
	__u32 map_id;
};

struct linkrate_registration {
	struct linkrate_bpf *skeleton;
	struct bpf_link *attached;
	int link; /* the kernel's own link; -1: older than 6.4 */
};

bool congestion_control_available(const char *name)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool available;

	if (fd < 0)
		return true;
	/* Without privilege it may be there and be forbidden. */
	available = setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) ==
			    0 ||
		    errno != ENOENT;
	close(fd);
	return available;
}

static int load(int socket_map, unsigned flags, struct linkrate_bpf **skeleton)
{
	struct linkrate_bpf *new = linkrate_bpf__open();
	int result;

	*skeleton = NULL;
	if (!new)
		return -errno;
	result = bpf_map__set_map_flags(new->maps.linkrate, flags);
	result = result ?: bpf_map__reuse_fd(new->maps.socket_tunings, socket_map);
	result = result ?: linkrate_bpf__load(new);
	if (result) {
		linkrate_bpf__destroy(new);
		return result;
	}
	*skeleton = new;
	return 0;
}

/* libbpf 1.1 knows the older way alone, in which the registration outlives a
 * process that is killed. With the flag set it only fills the map, and a link
 * of the kernel's does the rest. From 1.2 on it does all of it. */
static int attach(struct linkrate_registration *registration, bool with_link)
{
	struct bpf_map *map = registration->skeleton->maps.linkrate;
	bool libbpf_links = libbpf_major_version() > 1 || libbpf_minor_version() >= 2;

	registration->attached = bpf_map__attach_struct_ops(map);
	if (!registration->attached)
		return -errno;
	if (!with_link || libbpf_links)
		return 0;
	registration->link = bpf_link_create(bpf_map__fd(map), 0,
					     (enum bpf_attach_type)ATTACH_STRUCT_OPS, NULL);
	return registration->link < 0 ? -errno : 0;
}

int linkrate_register(int socket_map, struct linkrate_registration **registration)
{
	struct linkrate_registration *new = calloc(1, sizeof(*new));
	bool with_link = kernel_types_have_struct_ops_link();
	int result;

	*registration = NULL;
	if (!new)
		return -ENOMEM;
	new->link = -1;
	result = load(socket_map, with_link ? MAP_FLAG_LINK : 0, &new->skeleton);
	result = result ?: attach(new, with_link);
	if (result) {
		linkrate_unregister(new);
		return result;
	}
	*registration = new;
	return 0;
}

static bool is_linkrate_map(__u32 id)
{
	struct bpf_map_info info = { 0 };
	__u32 length = sizeof(info);
	int fd = bpf_map_get_fd_by_id(id);
	bool result;

	if (fd < 0)
		return false;
	result = bpf_obj_get_info_by_fd(fd, &info, &length) == 0 &&
		 strcmp(info.name, LINKRATE_NAME) == 0;
	close(fd);
	return result;
}

static bool is_linkrate_link(int fd)
{
	/* The kernel fills at most as much as it is given room for. */
	union {
		struct bpf_link_info whole;
		struct struct_ops_link_info start;
	} info = { 0 };
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) == 0 &&
	       info.start.type == LINK_TYPE_STRUCT_OPS && is_linkrate_map(info.start.map_id);
}

int linkrate_hold(void)
{
	__u32 id = 0;

	while (bpf_link_get_next_id(id, &id) == 0) {
		int fd = bpf_link_get_fd_by_id(id);

		if (fd >= 0 && is_linkrate_link(fd))
			return fd;
		if (fd >= 0)
			close(fd);
		else if (errno == EPERM)
			return -1;
	}
	return -1;
}

void linkrate_unregister(struct linkrate_registration *registration)
{
	if (!registration)
		return;
	if (registration->link >= 0)
		close(registration->link);
	bpf_link__destroy(registration->attached);
	linkrate_bpf__destroy(registration->skeleton);
	free(registration);
}
