// SPDX-License-Identifier: GPL-2.0
/* See intercept_xdp.h. */
#include "intercept_xdp.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xdp/libxdp.h>

#include "intercept_private.h"
#include "log.h"
#include "xdp.skel.h"

/* Section and function of the program in bpf/xdp.bpf.c. */
#define SECTION "xdp.frags"
#define NAME "sluice_lan"

struct intercept_xdp {
	int ifindex;
	enum xdp_attach_mode mode;
	struct xdp_bpf *skeleton;
	struct xdp_program *program;
};

/* Detaches all programs of that name. */
static bool remove_ours(int ifindex)
{
	struct xdp_multiprog *programs = xdp_multiprog__get_from_ifindex(ifindex);
	struct xdp_program *program = NULL, *next;
	bool removed = false;

	if (libxdp_get_error(programs))
		return false;
	if (!xdp_multiprog__is_legacy(programs))
		program = xdp_multiprog__next_prog(NULL, programs);
	while (program) {
		next = xdp_multiprog__next_prog(program, programs);
		if (strcmp(xdp_program__name(program), NAME) == 0)
			removed |= xdp_program__detach(program, ifindex,
						       xdp_multiprog__attach_mode(programs),
						       0) == 0;
		program = next;
	}
	xdp_multiprog__close(programs);
	return removed;
}

unsigned intercept_xdp_remove_leftovers(void)
{
	struct if_nameindex *interfaces = if_nameindex();
	unsigned count = 0;

	for (size_t i = 0; interfaces && interfaces[i].if_index; i++)
		count += remove_ours((int)interfaces[i].if_index);
	if_freenameindex(interfaces);
	return count;
}

/* Maps of the same name are one; constants are each program's own. */
static int share_maps(const struct intercept *intercept, struct xdp_bpf *skeleton)
{
	const struct intercept_bpf *base = intercept->skeleton;
	struct bpf_map *map, *shared;
	int result = 0;

	skeleton->rodata->relay_count = base->rodata->relay_count;
	skeleton->rodata->client_hash_key = base->rodata->client_hash_key;
	skeleton->rodata->half_open_per_client = base->rodata->half_open_per_client;
	skeleton->rodata->syn_rate = base->rodata->syn_rate;
	bpf_object__for_each_map(map, skeleton->obj) {
		if (strstr(bpf_map__name(map), ".rodata"))
			continue;
		shared = bpf_object__find_map_by_name(base->obj, bpf_map__name(map));
		result = result ?: (shared ? bpf_map__reuse_fd(map, bpf_map__fd(shared)) : -ENOENT);
	}
	return result;
}

/* A program can be loaded once, for one dispatcher: each try begins anew. */
static int try_attach(struct intercept *intercept, struct intercept_xdp *xdp,
		      enum xdp_attach_mode mode)
{
	int result;

	xdp->skeleton = xdp_bpf__open();
	if (!xdp->skeleton)
		return -errno;
	result = share_maps(intercept, xdp->skeleton);
	if (!result) {
		xdp->program = xdp_program__from_bpf_obj(xdp->skeleton->obj, SECTION);
		result = (int)libxdp_get_error(xdp->program);
		if (result)
			xdp->program = NULL;
	}
	result = result ?: xdp_program__attach(xdp->program, xdp->ifindex, mode, 0);
	xdp->mode = mode;
	if (!result)
		return 0;
	xdp_program__close(xdp->program);
	xdp_bpf__destroy(xdp->skeleton);
	xdp->program = NULL;
	xdp->skeleton = NULL;
	return result;
}

/* The mode of programs that share the interface; XDP_MODE_UNSPEC: there are none. */
static enum xdp_attach_mode mode_in_use(int ifindex, bool *is_legacy)
{
	struct xdp_multiprog *programs = xdp_multiprog__get_from_ifindex(ifindex);
	enum xdp_attach_mode mode;

	*is_legacy = false;
	if (libxdp_get_error(programs))
		return XDP_MODE_UNSPEC;
	mode = xdp_multiprog__attach_mode(programs);
	*is_legacy = xdp_multiprog__is_legacy(programs);
	xdp_multiprog__close(programs);
	return mode;
}

int intercept_xdp_attach(struct intercept *intercept, const char *dev, int ifindex,
			 struct intercept_xdp **xdp, char *error, size_t size)
{
	struct intercept_xdp *new = calloc(1, sizeof(*new));
	enum xdp_attach_mode mode;
	bool is_legacy;
	int result;

	*xdp = NULL;
	if (!new) {
		snprintf(error, size, "out of memory");
		return -ENOMEM;
	}
	new->ifindex = ifindex;
	remove_ours(ifindex);
	mode = mode_in_use(ifindex, &is_legacy);
	if (is_legacy) {
		snprintf(error, size,
			 "%s: an XDP program is attached that leaves no room for others: load it "
			 "with libxdp (xdp-loader), or use intercept = tc",
			 dev);
		free(new);
		return -EBUSY;
	}
	if (mode != XDP_MODE_UNSPEC) {
		result = try_attach(intercept, new, mode);
	} else {
		result = try_attach(intercept, new, XDP_MODE_NATIVE);
		if (result) {
			log_debug("%s: no native XDP (%s), trying generic", dev,
				  strerror(-result));
			result = try_attach(intercept, new, XDP_MODE_SKB);
		}
	}
	if (result) {
		snprintf(error, size, "%s: XDP cannot be attached: %s: use intercept = tc", dev,
			 strerror(-result));
		free(new);
		return result;
	}
	*xdp = new;
	return 0;
}

void intercept_xdp_detach(struct intercept_xdp *xdp)
{
	char name[IF_NAMESIZE];
	int result = 0;

	if (!xdp)
		return;
	if (if_indextoname((unsigned)xdp->ifindex, name))
		result = xdp_program__detach(xdp->program, xdp->ifindex, xdp->mode, 0);
	if (result)
		log_warning("%s: XDP cannot be detached: %s: `xdp-loader unload %s --all` does it",
			    name, strerror(-result), name);
	xdp_program__close(xdp->program);
	xdp_bpf__destroy(xdp->skeleton);
	free(xdp);
}

bool intercept_xdp_is_native(const struct intercept_xdp *xdp)
{
	return xdp->mode == XDP_MODE_NATIVE;
}
