// SPDX-License-Identifier: GPL-2.0
/* See splice_program.h. */
#include "splice_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "kernel_types.h"
#include "log_libbpf.h"
#include "splice.skel.h"

/* Events of so many directions find room before the relay looks: with their
 * headers 16 bytes each. A lost one is made up for by flow_check(). */
#define EVENT_BYTES 16

/* A power of two, and whole pages: what a ring buffer must be. */
static uint32_t events_size(uint32_t directions)
{
	uint32_t size = (uint32_t)getpagesize();

	while (size < directions * EVENT_BYTES)
		size *= 2;
	return size;
}

static int load(struct splice_bpf *skeleton, uint32_t flows)
{
	uint32_t directions = 2 * flows;
	int result = bpf_map__set_max_entries(skeleton->maps.splice_sockets, directions);

	result = result ?: bpf_map__set_max_entries(skeleton->maps.splice_legs, directions);
	result = result ?: bpf_map__set_max_entries(skeleton->maps.splice_directions, directions);
	result = result
			 ?: bpf_map__set_max_entries(skeleton->maps.splice_events,
						     events_size(directions));
	result = result ?: splice_bpf__load(skeleton);
	if (result)
		return result;
	if (bpf_prog_attach(bpf_program__fd(skeleton->progs.splice),
			    bpf_map__fd(skeleton->maps.splice_sockets), BPF_SK_SKB_STREAM_VERDICT,
			    0) < 0)
		return -errno;
	return 0;
}

static int keep(const struct bpf_map *map)
{
	return fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
}

int splice_program_load(uint32_t flows, struct splice_maps *maps)
{
	struct splice_bpf *skeleton;
	int result;

	log_libbpf();
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = kernel_types_path());
	*maps = SPLICE_MAPS_NONE;
	skeleton = splice_bpf__open_opts(&options);
	if (!skeleton)
		return -errno;
	result = load(skeleton, flows);
	if (!result) {
		maps->sockets = keep(skeleton->maps.splice_sockets);
		maps->legs = keep(skeleton->maps.splice_legs);
		maps->directions = keep(skeleton->maps.splice_directions);
		maps->events = keep(skeleton->maps.splice_events);
		maps->flows = flows;
		if (maps->sockets < 0 || maps->legs < 0 || maps->directions < 0 || maps->events < 0)
			result = -EMFILE;
	}
	splice_bpf__destroy(skeleton);
	if (result)
		splice_maps_close(maps);
	return result;
}

void splice_maps_close(struct splice_maps *maps)
{
	const int descriptors[] = { maps->sockets, maps->legs, maps->directions, maps->events };

	for (unsigned i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++)
		if (descriptors[i] >= 0)
			close(descriptors[i]);
	*maps = SPLICE_MAPS_NONE;
}
