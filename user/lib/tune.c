// SPDX-License-Identifier: GPL-2.0
/* See tune.h. */
#include "tune.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel_types.h"
#include "linkrate.h"
#include "log.h"
#include "log_libbpf.h"
#include "tune.skel.h"
#include "wan_tuning.h"

struct tune {
	struct tune_bpf *skeleton;
	struct bpf_link *link;
	struct linkrate_registration *linkrate; /* NULL: another process's, or none */
	int held; /* another process's registration of linkrate; -1: none */
	bool linkrate_refused; /* this kernel does not take it */
	uint64_t netns_cookie;
};

/* The top of the cgroups as this process sees it, or -1 with errno set. */
static int open_cgroup_root(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *mount;
	int fd = -1;

	errno = ENOENT;
	if (!mounts)
		return -1;
	while (fd < 0 && (mount = getmntent(mounts)))
		if (strcmp(mount->mnt_type, "cgroup2") == 0)
			fd = open(mount->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	endmntent(mounts);
	return fd;
}

static bool is_socket_map(int fd, const struct bpf_map *own)
{
	struct bpf_map_info info = { 0 };
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) == 0 &&
	       info.type == BPF_MAP_TYPE_SK_STORAGE && strcmp(info.name, bpf_map__name(own)) == 0 &&
	       info.value_size == bpf_map__value_size(own);
}

/*
 * linkrate, which one process registers and all use, must find the parameters
 * of every process's sockets: so they share one map. Storage is by socket, so
 * nobody can be in another's way. Returns the descriptor of the map that another
 * process made, or -1: there is none, or this process may not look (CAP_SYS_ADMIN).
 */
static int find_socket_map(const struct bpf_map *own)
{
	__u32 id = 0;

	while (bpf_map_get_next_id(id, &id) == 0) {
		int fd = bpf_map_get_fd_by_id(id);

		if (fd >= 0 && is_socket_map(fd, own))
			return fd;
		if (fd >= 0)
			close(fd);
		else if (errno == EPERM)
			return -1;
	}
	return -1;
}

static int load(struct tune *tune)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = kernel_types_path());
	struct bpf_map *map;
	int shared, result;

	tune->skeleton = tune_bpf__open_opts(&options);
	if (!tune->skeleton)
		return -errno;
	map = tune->skeleton->maps.socket_tunings;
	shared = find_socket_map(map);
	if (shared >= 0) {
		result = bpf_map__reuse_fd(map, shared);
		close(shared);
		if (result)
			return result;
	}
	return tune_bpf__load(tune->skeleton);
}

static int attach(struct tune *tune)
{
	int cgroup = open_cgroup_root();

	if (cgroup < 0)
		return -errno;
	tune->link = bpf_program__attach_cgroup(tune->skeleton->progs.tune, cgroup);
	close(cgroup);
	return tune->link ? 0 : -errno;
}

static int read_netns_cookie(uint64_t *cookie)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), result = 0;
	socklen_t length = sizeof(*cookie);

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &length) < 0)
		result = -errno;
	close(fd);
	return result;
}

static int explain(int result, const char *what, const char *advice, char *error)
{
	if (result)
		snprintf(error, TUNE_ERROR_MAX, "%s: %s: %s", what, strerror(-result), advice);
	return result;
}

int tune_open(struct tune **tune, char *error)
{
	struct tune *new = calloc(1, sizeof(*new));
	int result;

	*tune = NULL;
	log_libbpf();
	if (!new)
		return explain(-ENOMEM, "tuning of sockets", "out of memory", error);
	new->held = -1;
	result = explain(load(new), "loading the tuning of sockets",
			 "run with -v for the kernel's own words", error);
	result = result
			 ?: explain(attach(new), "attaching the tuning of sockets",
				    "needs a mounted cgroup2, whose root no other program claims",
				    error);
	result = result
			 ?: explain(read_netns_cookie(&new->netns_cookie), "SO_NETNS_COOKIE",
				    "needs kernel 5.14", error);
	if (result) {
		tune_close(new);
		return result;
	}
	tune_keep_linkrate(new);
	if (!new->linkrate && !new->linkrate_refused) {
		new->held = linkrate_hold();
		log_info("congestion control linkrate is another process's, used as it is");
	}
	*tune = new;
	return 0;
}

void tune_close(struct tune *tune)
{
	if (!tune)
		return;
	linkrate_unregister(tune->linkrate);
	if (tune->held >= 0)
		close(tune->held);
	bpf_link__destroy(tune->link);
	tune_bpf__destroy(tune->skeleton);
	free(tune);
}

bool tune_has_linkrate(void)
{
	return congestion_control_available(LINKRATE_NAME);
}

bool tune_owns_linkrate(const struct tune *tune)
{
	return tune->linkrate != NULL;
}

void tune_keep_linkrate(struct tune *tune)
{
	int result;

	if (tune->linkrate || tune->linkrate_refused || tune_has_linkrate())
		return;
	result = linkrate_register(tune_socket_map(tune), &tune->linkrate);
	if (result == 0) {
		log_debug("congestion control linkrate registered");
	} else if (result != -EEXIST) {
		tune->linkrate_refused = true;
		log_warning("congestion control linkrate not registered: %s", strerror(-result));
	}
}

int tune_socket_map(const struct tune *tune)
{
	return bpf_map__fd(tune->skeleton->maps.socket_tunings);
}

int tune_socket(int socket_map, int fd, const struct wan_params *params)
{
	static const struct socket_tuning none;
	struct socket_tuning tuning;

	wan_tuning(params, &tuning);
	if (memcmp(&tuning, &none, sizeof(tuning)) == 0)
		return 0;
	return bpf_map_update_elem(socket_map, &fd, &tuning, BPF_ANY) < 0 ? -errno : 0;
}

/* The last number of a file, or 0. */
static uint32_t read_limit(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned limit = 0, number;

	while (file && fscanf(file, "%u", &number) == 1)
		limit = number;
	if (file)
		fclose(file);
	return limit;
}

/*
 * No privilege of ours lets an accepted socket's buffers grow beyond what the
 * host allows: a send buffer below the one wanted is worse than autotuning, as
 * it ends that; an offer beyond what the receive buffer can grow to is a lie.
 */
static void fit_host(struct socket_tuning *tuning)
{
	if (tuning->buffer > read_limit("/proc/sys/net/core/wmem_max"))
		tuning->buffer = 0;
	tuning->offer = MIN(tuning->offer, read_limit("/proc/sys/net/ipv4/tcp_rmem") / 2);
}

static struct trunk_key trunk_key(const struct tune *tune, uint16_t port)
{
	return (struct trunk_key){ .netns_cookie = tune->netns_cookie, .port = port };
}

int tune_trunk_port_set(struct tune *tune, uint16_t port, const struct wan_params *params)
{
	int map = bpf_map__fd(tune->skeleton->maps.trunk_tunings);
	struct trunk_key key = trunk_key(tune, port);
	struct socket_tuning tuning;

	wan_tuning(params, &tuning);
	fit_host(&tuning);
	tune_keep_linkrate(tune);
	if (tuning.flow_control[0] && !congestion_control_available(tuning.flow_control))
		return -ENOENT;
	return bpf_map_update_elem(map, &key, &tuning, BPF_ANY) < 0 ? -errno : 0;
}

int tune_trunk_port_remove(struct tune *tune, uint16_t port)
{
	int map = bpf_map__fd(tune->skeleton->maps.trunk_tunings);
	struct trunk_key key = trunk_key(tune, port);

	return bpf_map_delete_elem(map, &key) < 0 ? -errno : 0;
}
