/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The congestion control linkrate that a daemon registered the old way, before
 * kernel 6.4: it outlives a daemon that is killed. It is the kernel's, not a
 * namespace's, so it is a leftover only when no daemon runs anywhere.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "leftovers.h"
#include "tuning.h"

/* Of kernel 6.4; headers of older distributions lack it. */
#define MAP_FLAG_LINK (1U << 13)

/* enum bpf_struct_ops_state of the kernel: BPF_STRUCT_OPS_STATE_INUSE. */
#define STATE_IN_USE 1

/* Whether a process of that name runs, as far as /proc shows. */
static bool runs(const char *name)
{
	DIR *processes = opendir("/proc");
	char path[300], comm[32];
	struct dirent *entry;
	bool found = false;
	FILE *file;

	while (processes && !found && (entry = readdir(processes))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (file && fgets(comm, sizeof(comm), file))
			found = strncmp(comm, name, strlen(name)) == 0;
		if (file)
			fclose(file);
	}
	if (processes)
		closedir(processes);
	return found;
}

/* Whether the map has been registered: a value of struct_ops begins with two
 * numbers of 32 bits, its references and its state. */
static bool is_in_use(int fd, const struct bpf_map_info *info)
{
	uint32_t *value = calloc(1, info->value_size);
	uint32_t key = 0;
	bool in_use;

	in_use = value && bpf_map_lookup_elem(fd, &key, value) == 0 && value[1] == STATE_IN_USE;
	free(value);
	return in_use;
}

/* A map that was registered without a link of the kernel's, or -1. With a link
 * the registration ends with the last process that holds it. */
static int find_registered(void)
{
	struct bpf_map_info info;
	__u32 id = 0, length;
	int fd;

	while (bpf_map_get_next_id(id, &id) == 0) {
		fd = bpf_map_get_fd_by_id(id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		length = sizeof(info);
		if (bpf_obj_get_info_by_fd(fd, &info, &length) == 0 &&
		    info.type == BPF_MAP_TYPE_STRUCT_OPS && !(info.map_flags & MAP_FLAG_LINK) &&
		    strcmp(info.name, LINKRATE_NAME) == 0 && is_in_use(fd, &info))
			return fd;
		close(fd);
	}
	return -1;
}

void check_linkrate(struct doctor *doctor)
{
	__u32 key = 0;
	int fd;

	if (runs("sluiced") || runs("sluice-agent"))
		return;
	fd = find_registered();
	if (fd < 0)
		return;
	leftover(doctor, "leftover-linkrate",
		 json_string("congestion control linkrate of a daemon that is gone"),
		 "new daemons use its code, which may be of another version",
		 doctor->cli->given[CLI_FIX] && bpf_map_delete_elem(fd, &key) < 0 ? -errno : 0);
	close(fd);
}
