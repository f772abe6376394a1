/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel has for BPF: found by trying it, as vendors' versions say
 * little. The programs themselves are loaded, attached to nothing and dropped.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <mntent.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "doctor.h"
#include "intercept.skel.h"
#include "linkrate.skel.h"
#include "log_libbpf.h"
#include "tune.skel.h"
#include "xdp.skel.h"

/* enum bpf_attach_type of kernel 6.6; headers of older distributions lack it. */
#define ATTACH_TCX_INGRESS 46

/* Of kernel 6.4: a struct_ops map that is registered by a link. */
#define MAP_FLAG_LINK (1U << 13)

/* One thing that the kernel has or has not. */
struct feature {
	const char *name;
	bool (*probe)(void);
	enum severity severity; /* of its absence */
	const char *why;
	const char *advice;
};

static bool has_btf(void)
{
	struct btf *btf = btf__load_vmlinux_btf();

	btf__free(btf);
	return btf != NULL;
}

/* On the loopback of a network namespace that is made for it and vanishes. */
static bool has_tcx(void)
{
	struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = -1 }, /* TCX_NEXT */
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int status = 1,
	    program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "probe", "GPL", pass, 2, NULL);
	pid_t child;

	if (program < 0)
		return false;
	child = fork();
	if (child == 0)
		_exit(unshare(CLONE_NEWNET) < 0 ||
		      bpf_link_create(program, (int)if_nametoindex("lo"),
				      (enum bpf_attach_type)ATTACH_TCX_INGRESS, NULL) < 0);
	if (child > 0 && waitpid(child, &status, 0) != child)
		status = 1;
	close(program);
	return status == 0;
}

static bool has_sk_assign(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_sk_assign, NULL) == 1 &&
	       libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_skc_lookup_tcp, NULL) == 1;
}

static bool has_sk_lookup(void)
{
	return libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SK_LOOKUP, NULL) == 1;
}

static bool has_ringbuf(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 1;
}

static bool has_sockmap(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_SOCKHASH, NULL) == 1 &&
	       libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SK_SKB, NULL) == 1;
}

static bool has_sockops(void)
{
	return libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SOCK_OPS, NULL) == 1 &&
	       libbpf_probe_bpf_map_type(BPF_MAP_TYPE_SK_STORAGE, NULL) == 1;
}

static bool has_cgroup2(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *mount;
	bool found = false;

	while (mounts && !found && (mount = getmntent(mounts)))
		found = strcmp(mount->mnt_type, "cgroup2") == 0;
	if (mounts)
		endmntent(mounts);
	return found;
}

static bool loads_intercept(void)
{
	struct intercept_bpf *skeleton = intercept_bpf__open_and_load();

	intercept_bpf__destroy(skeleton);
	return skeleton != NULL;
}

static bool loads_tune(void)
{
	struct tune_bpf *skeleton = tune_bpf__open_and_load();

	tune_bpf__destroy(skeleton);
	return skeleton != NULL;
}

/* Loaded, not registered: the name stays free. */
static bool loads_linkrate(void)
{
	struct linkrate_bpf *skeleton = linkrate_bpf__open();
	bool loaded;

	loaded = skeleton && linkrate_bpf__load(skeleton) == 0;
	linkrate_bpf__destroy(skeleton);
	if (loaded)
		return true;
	skeleton = linkrate_bpf__open();
	loaded = skeleton && bpf_map__set_map_flags(skeleton->maps.linkrate, MAP_FLAG_LINK) == 0 &&
		 linkrate_bpf__load(skeleton) == 0;
	linkrate_bpf__destroy(skeleton);
	return loaded;
}

static bool loads_xdp(void)
{
	struct xdp_bpf *skeleton = xdp_bpf__open_and_load();

	xdp_bpf__destroy(skeleton);
	return skeleton != NULL;
}

static bool has_dispatcher(void)
{
	struct xdp_program *dispatcher = xdp_program__find_file("xdp-dispatcher.o", NULL, NULL);

	if (libxdp_get_error(dispatcher))
		return false;
	xdp_program__close(dispatcher);
	return true;
}

static bool has_freplace(void)
{
	return libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_EXT, NULL) == 1;
}

/* What only intercept = xdp needs. */
static const struct feature xdp_features[] = {
	{ "XDP program", loads_xdp, SEVERITY_PROBLEM, "intercept = xdp takes nothing without it",
	  "use intercept = tc; `sluiced -v` shows the kernel's own words" },
	{ "XDP dispatcher", has_dispatcher, SEVERITY_PROBLEM,
	  "libxdp attaches programs by it, so sluiced does not start",
	  "install libxdp1 with its xdp-dispatcher.o, or set LIBXDP_OBJECT_PATH to where it is" },
	{ "replaceable BPF functions", has_freplace, SEVERITY_NOTE,
	  "the XDP program has the interface for itself, others cannot be attached beside it",
	  "use a kernel with CONFIG_DYNAMIC_FTRACE that lets root load BPF_PROG_TYPE_EXT" },
};

static const struct feature features[] = {
	{ "BTF", has_btf, SEVERITY_PROBLEM, "the BPF programs are fitted to the kernel by its BTF",
	  "use a kernel with CONFIG_DEBUG_INFO_BTF, such as Debian's from 6.1 on" },
	{ "sk_assign", has_sk_assign, SEVERITY_PROBLEM,
	  "this is how a client's packet gets to the relay's socket",
	  "use a kernel from 5.7 on with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_ACT" },
	{ "ring buffer", has_ringbuf, SEVERITY_PROBLEM, "held SYNs reach the relay by it",
	  "use a kernel from 5.8 on" },
	{ "sk_lookup", has_sk_lookup, SEVERITY_PROBLEM,
	  "a client that uses its port again meets the relay's listener by it",
	  "use a kernel from 5.9 on" },
	{ "intercept program", loads_intercept, SEVERITY_PROBLEM, "nothing is taken without it",
	  "run `sluiced -v` to see the kernel's own words; Debian's kernels from 6.1 on take it" },
	{ "tcx", has_tcx, SEVERITY_NOTE,
	  "filters of clsact are used instead; after a crash they stay, and pass everything",
	  "a kernel from 6.6 on removes the program by itself" },
	{ "sockmap", has_sockmap, SEVERITY_WARNING,
	  "flows are carried by splice(2), the in-kernel splice is not to be had",
	  "use a kernel with CONFIG_BPF_STREAM_PARSER" },
	{ "cgroup2", has_cgroup2, SEVERITY_WARNING,
	  "sockets are tuned by a program at its root: skip-slow-start and linkrate are refused",
	  "mount it: mount -t cgroup2 none /sys/fs/cgroup" },
	{ "sockops", has_sockops, SEVERITY_WARNING, "skip-slow-start is refused",
	  "use a kernel with CONFIG_CGROUP_BPF" },
	{ "tuning program", loads_tune, SEVERITY_WARNING, "skip-slow-start is refused",
	  "run `sluiced -v` to see the kernel's own words" },
	{ "struct_ops", loads_linkrate, SEVERITY_WARNING,
	  "flow-control = linkrate, and qos = abr, are refused",
	  "use a kernel with CONFIG_BPF_JIT and BTF" },
};

/* The pins' file system: the directory itself is made by the daemon. */
static void check_bpffs(struct doctor *doctor)
{
	struct statfs file_system;
	char *parent = strdup(doctor->pin_dir), *slash = parent ? strrchr(parent, '/') : NULL;

	if (slash && slash > parent)
		*slash = '\0';
	if (parent && statfs(parent, &file_system) == 0 && file_system.f_type == BPF_FS_MAGIC)
		report_good(doctor, "bpffs");
	else
		report_finding(doctor, SEVERITY_PROBLEM, "no-bpffs",
			       json_sprintf("%s is not on a mounted bpffs", doctor->pin_dir),
			       json_string(
				       "sluiced pins its tables there and does not start without"),
			       json_sprintf("mount -t bpf bpf %s", parent ?: "/sys/fs/bpf"), NULL);
	free(parent);
}

static void try_features(struct doctor *doctor, const struct feature *list, size_t count)
{
	for (const struct feature *feature = list; feature < list + count; feature++) {
		if (feature->probe())
			report_good(doctor, feature->name);
		else
			report_finding(doctor, feature->severity, "kernel-lacks",
				       json_sprintf("this kernel has no %s", feature->name),
				       json_string(feature->why), NULL,
				       json_string(feature->advice));
	}
}

void check_kernel(struct doctor *doctor)
{
	log_libbpf();
	try_features(doctor, features, sizeof(features) / sizeof(*features));
	if (doctor->config && doctor->config->intercept == WAY_XDP)
		try_features(doctor, xdp_features, sizeof(xdp_features) / sizeof(*xdp_features));
	check_bpffs(doctor);
}
