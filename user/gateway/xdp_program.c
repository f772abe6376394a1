// SPDX-License-Identifier: GPL-2.0
/* See xdp_program.h. */
#include "xdp_program.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "intercept.skel.h"
#include "list.h"
#include "log.h"
#include "log_libbpf.h"
#include "xdp.skel.h"
#include "xdp_leftover.h"

/* Section of the program in bpf/xdp.bpf.c. */
#define SECTION "xdp.frags"

/* Before others (libxdp's default is 50), who may redirect what they see. */
#define PRIORITY 40

/* What libxdp loads and attaches, and our program is a function of. */
#define DISPATCHER "xdp-dispatcher.o"

/* The program on one interface. */
struct attachment {
	struct list link;
	int ifindex;
	int egress; /* link of the tc program that rewrites the answers; -1: none */
	enum xdp_attach_mode mode;
	struct xdp_bpf *skeleton;
	struct xdp_program *program;
};

static struct list attachments = { &attachments, &attachments };

static int print(enum libxdp_print_level level, const char *format, va_list arguments)
{
	char line[512];

	if (level == LIBXDP_DEBUG || !log_enabled(LOG_LEVEL_DEBUG))
		return 0;
	vsnprintf(line, sizeof(line), format, arguments);
	line[strcspn(line, "\n")] = '\0';
	log_debug("%s", line);
	return 0;
}

int xdp_program_check(char *error, size_t size)
{
	struct xdp_program *dispatcher;

	log_libbpf();
	libxdp_set_print(print);
	dispatcher = xdp_program__find_file(DISPATCHER, NULL, NULL);
	if (libxdp_get_error(dispatcher)) {
		snprintf(error, size,
			 "intercept = xdp: libxdp does not find its %s: install libxdp1, set "
			 "LIBXDP_OBJECT_PATH to where it is, or use intercept = tc",
			 DISPATCHER);
		return -ENOENT;
	}
	xdp_program__close(dispatcher);
	return 0;
}

unsigned xdp_program_remove_leftovers(void)
{
	struct if_nameindex *interfaces = if_nameindex();
	unsigned count = 0;

	libxdp_set_print(print);
	for (size_t i = 0; interfaces && interfaces[i].if_index; i++)
		count += xdp_leftover_remove((int)interfaces[i].if_index) == 0;
	if_freenameindex(interfaces);
	return count;
}

/* Maps of the same name are one; constants are each program's own. */
static int share_maps(const struct intercept_bpf *base, struct xdp_bpf *skeleton)
{
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

struct xdp_bpf *xdp_program_open(const struct intercept_bpf *base)
{
	struct xdp_bpf *skeleton = xdp_bpf__open();
	int result = skeleton ? share_maps(base, skeleton) : -errno;

	if (!result)
		return skeleton;
	xdp_bpf__destroy(skeleton);
	errno = -result;
	return NULL;
}

/* A program can be loaded once, for one dispatcher: each try begins anew. */
static int try_attach(const struct intercept_bpf *base, struct attachment *new,
		      enum xdp_attach_mode mode)
{
	int result;

	new->skeleton = xdp_program_open(base);
	if (!new->skeleton)
		return -errno;
	new->program = xdp_program__from_bpf_obj(new->skeleton->obj, SECTION);
	result = (int)libxdp_get_error(new->program);
	if (result)
		new->program = NULL;
	result = result ?: xdp_program__set_run_prio(new->program, PRIORITY);
	/* What passes here is the next program's. */
	result = result ?: xdp_program__set_chain_call_enabled(new->program, XDP_PASS, true);
	result = result ?: xdp_program__attach(new->program, new->ifindex, mode, 0);
	new->mode = mode;
	if (!result)
		return 0;
	xdp_program__close(new->program);
	xdp_bpf__destroy(new->skeleton);
	new->program = NULL;
	new->skeleton = NULL;
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

static int attach(const struct intercept_bpf *base, const char *dev, struct attachment *new,
		  char *error, size_t size)
{
	enum xdp_attach_mode mode;
	bool is_alone;
	int result;

	mode = mode_in_use(new->ifindex, &is_alone);
	if (is_alone) {
		snprintf(error, size,
			 "%s: an XDP program is attached that leaves no room for others: load it "
			 "with libxdp (xdp-loader), or use intercept = tc",
			 dev);
		return -EBUSY;
	}
	result = try_attach(base, new, mode == XDP_MODE_UNSPEC ? XDP_MODE_NATIVE : mode);
	if (result && mode == XDP_MODE_UNSPEC) {
		log_debug("%s: no native XDP (%s), trying generic", dev, strerror(-result));
		result = try_attach(base, new, XDP_MODE_SKB);
	}
	if (result)
		snprintf(error, size, "%s: XDP cannot be attached: %s: use intercept = tc", dev,
			 strerror(-result));
	return result;
}

int xdp_program_attach(const struct intercept_bpf *base, const char *dev, int ifindex, int egress,
		       enum xdp_mode *mode, char *error, size_t size)
{
	struct attachment *new = calloc(1, sizeof(*new));
	bool is_alone;
	int result;

	if (!new) {
		snprintf(error, size, "out of memory");
		return -ENOMEM;
	}
	new->ifindex = ifindex;
	new->egress = egress;
	libxdp_set_print(print);
	xdp_leftover_remove(ifindex);
	result = attach(base, dev, new, error, size);
	if (result) {
		free(new);
		return result;
	}
	list_append(&attachments, &new->link);
	mode_in_use(ifindex, &is_alone);
	if (is_alone)
		log_notice("%s: the kernel has no replaceable BPF functions, so that the XDP "
			   "program has the interface for itself",
			   dev);
	*mode = new->mode == XDP_MODE_NATIVE ? XDP_NATIVE : XDP_GENERIC;
	return 0;
}

static void detach(struct attachment *old)
{
	char name[IF_NAMESIZE];
	int result = 0;

	if (if_indextoname((unsigned)old->ifindex, name))
		result = xdp_program__detach(old->program, old->ifindex, old->mode, 0);
	if (result)
		log_warning("%s: XDP cannot be detached: %s: `xdp-loader unload %s --all` does it",
			    name, strerror(-result), name);
	if (old->egress >= 0)
		close(old->egress);
	xdp_program__close(old->program);
	xdp_bpf__destroy(old->skeleton);
	list_remove(&old->link);
	free(old);
}

void xdp_program_detach(int ifindex)
{
	for (struct list *link = attachments.next; link != &attachments; link = link->next) {
		struct attachment *one = list_entry(link, struct attachment, link);

		if (one->ifindex == ifindex) {
			detach(one);
			return;
		}
	}
}

void xdp_program_detach_all(void)
{
	while (!list_empty(&attachments))
		detach(list_entry(attachments.next, struct attachment, link));
}
