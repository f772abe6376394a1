/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a gateway leaves that ended without a chance to clean up. None of it does
 * harm, and the next start removes it; --fix is for a host that has none.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "leftovers.h"
#include "netlink.h"
#include "routing.h"
#include "tables.h"
#include "tc_filter.h"
#include "xdp_leftover.h"

/* The command that does what --fix does, as this doctor was called. */
static json_t *fix_command(const struct doctor *doctor)
{
	return json_sprintf("sluice --run-dir %s doctor -c %s --pin-dir %s --fix",
			    doctor->cli->run_dir, doctor->config_path, doctor->pin_dir);
}

void leftover(struct doctor *doctor, const char *id, json_t *what, const char *why, int removed)
{
	if (!doctor->cli->given[CLI_FIX]) {
		report_finding(doctor, SEVERITY_WARNING, id, what, json_string(why),
			       fix_command(doctor), NULL);
	} else if (removed == 0) {
		report_finding(doctor, SEVERITY_NOTE, id,
			       json_sprintf("%s: removed", json_string_value(what)), NULL, NULL,
			       NULL);
		json_decref(what);
	} else {
		report_finding(doctor, SEVERITY_PROBLEM, id,
			       json_sprintf("%s: cannot be removed: %s", json_string_value(what),
					    strerror(-removed)),
			       json_string(why), NULL, json_string("see what holds it"));
		json_decref(what);
	}
}

/* ---- policy routing ---- */

static void count_ours(const struct ip_rule *rule, void *context)
{
	*(unsigned *)context += rule->protocol == ROUTING_PROTOCOL;
}

static void check_routing(struct doctor *doctor)
{
	unsigned count = 0;
	int routes = 0;

	netlink_rules(AF_INET, count_ours, &count);
	netlink_rules(AF_INET6, count_ours, &count);
	for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0) {
		int found = netlink_routes(family, ROUTING_TABLE, ROUTING_PROTOCOL, 0);

		routes += found > 0 ? found : 0;
	}
	if (count || routes)
		leftover(doctor, "leftover-routing",
			 json_sprintf("%u policy rules and %d routes of a gateway that is gone",
				      count, routes),
			 "they match only packets with its mark, which nobody sets now",
			 doctor->cli->given[CLI_FIX] ? routing_remove() : 0);
}

/* ---- pins ---- */

/* Removes the files of a directory, and it. 0 or a negative errno. */
static int remove_pins(const char *dir)
{
	DIR *directory = opendir(dir);
	struct dirent *entry;
	int result = 0;

	if (!directory)
		return -errno;
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.' && unlinkat(dirfd(directory), entry->d_name, 0) < 0 &&
		    !result)
			result = -errno;
	closedir(directory);
	if (!result && rmdir(dir) < 0)
		result = -errno;
	return result;
}

/* The directory itself may be the host's: systemd makes it for the unit, and it stays. */
static bool has_entries(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	bool found = false;

	if (!directory) {
		if (copy >= 0)
			close(copy);
		return true; /* not known, so it is looked at */
	}
	while (!found && (entry = readdir(directory)))
		found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(directory);
	return found;
}

static void check_pins(struct doctor *doctor)
{
	int fd = open(doctor->pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs file_system;

	if (fd < 0)
		return;
	/* A gateway of another network namespace may have it: it holds a lock then. */
	if (fstatfs(fd, &file_system) == 0 && file_system.f_type == BPF_FS_MAGIC &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0 && has_entries(fd))
		leftover(doctor, "leftover-pins",
			 json_sprintf("pinned tables of a gateway that is gone: %s",
				      doctor->pin_dir),
			 "they hold kernel memory",
			 doctor->cli->given[CLI_FIX] ? remove_pins(doctor->pin_dir) : 0);
	close(fd);
}

/* ---- clsact filters, of kernels without tcx ---- */

static bool has_filter(int ifindex, enum bpf_tc_attach_point point)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE,
			    .priority = FILTER_PRIORITY);

	return bpf_tc_query(&hook, &options) == 0;
}

static int remove_filter(int ifindex, enum bpf_tc_attach_point point)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE,
			    .priority = FILTER_PRIORITY);

	return bpf_tc_detach(&hook, &options);
}

static void check_filters(struct doctor *doctor)
{
	static const enum bpf_tc_attach_point points[] = { BPF_TC_INGRESS, BPF_TC_EGRESS };
	static const char *const sides[] = { "ingress", "egress" };
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *each = all; each && each->if_name; each++)
		for (size_t i = 0; i < 2; i++)
			if (has_filter((int)each->if_index, points[i]))
				leftover(doctor, "leftover-filter",
					 json_sprintf("tc filter of a gateway that is gone: %s %s",
						      each->if_name, sides[i]),
					 "it passes everything, and costs a little for each packet",
					 doctor->cli->given[CLI_FIX]
						 ? remove_filter((int)each->if_index, points[i])
						 : 0);
	if_freenameindex(all);
}

/* ---- the XDP program ---- */

static int print_nothing(enum libxdp_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static void check_xdp(struct doctor *doctor)
{
	struct if_nameindex *all = if_nameindex();

	libxdp_set_print(print_nothing);
	for (struct if_nameindex *each = all; each && each->if_name; each++)
		if (xdp_leftover_is_on((int)each->if_index))
			leftover(doctor, "leftover-xdp",
				 json_sprintf("XDP program of a gateway that is gone: %s",
					      each->if_name),
				 "it passes everything, and costs a little for each packet",
				 doctor->cli->given[CLI_FIX]
					 ? xdp_leftover_remove((int)each->if_index)
					 : 0);
	if_freenameindex(all);
}

/* ---- the control socket ---- */

static void check_socket(struct doctor *doctor)
{
	char path[4096];
	struct stat status;

	snprintf(path, sizeof(path), "%s/control.sock", doctor->cli->run_dir);
	if (doctor->status || lstat(path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return;
	leftover(doctor, "leftover-socket",
		 json_sprintf("control socket of a gateway that is gone: %s", path),
		 "nobody answers there",
		 doctor->cli->given[CLI_FIX] && unlink(path) < 0 ? -errno : 0);
}

void check_leftovers(struct doctor *doctor)
{
	if (doctor->lock < 0) {
		if (doctor->cli->given[CLI_FIX])
			report_finding(doctor, SEVERITY_NOTE, "not-fixed",
				       json_string("a gateway runs here: nothing is left over"),
				       NULL, NULL, NULL);
		return;
	}
	check_routing(doctor);
	check_pins(doctor);
	check_filters(doctor);
	check_xdp(doctor);
	check_socket(doctor);
	check_linkrate(doctor);
}
