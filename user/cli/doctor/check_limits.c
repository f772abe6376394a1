/* SPDX-License-Identifier: GPL-2.0 */
/* What bounds a gateway: descriptors, memory that may be locked, ports, buffers; and the clock. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor.h"

/* Flows that a gateway should have room for; each is two descriptors. */
#define FLOWS_WANTED 4096
#define DESCRIPTORS_RESERVED 576

/* What the tables take in kernels that charge them to the process. */
#define LOCKED_WANTED (128UL << 20)

#define LOCAL_PORTS_WANTED 10000

/* The hard limit of a process; RLIM_INFINITY when it is not known. Its owner is another
 * user, so prlimit(2) may refuse to tell. */
static rlim_t files_of(pid_t pid)
{
	unsigned long long hard = RLIM_INFINITY;
	char path[64], line[256];
	FILE *limits;

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
	limits = fopen(path, "re");
	while (limits && fgets(line, sizeof(line), limits))
		if (sscanf(line, "Max open files %*s %llu", &hard) == 1)
			break;
	if (limits)
		fclose(limits);
	return hard;
}

/* Of the relay that has fewest; without a gateway, what one started from here would have. */
static rlim_t files_of_relays(const struct doctor *doctor)
{
	const json_t *relays = json_object_get(doctor->status, "relays"), *relay;
	rlim_t fewest = RLIM_INFINITY;
	size_t i;

	if (json_array_size(relays) == 0)
		return files_of(getpid());
	json_array_foreach(relays, i, relay) {
		pid_t pid = (pid_t)json_integer_value(json_object_get(relay, "pid"));

		if (pid)
			fewest = MIN(fewest, files_of(pid));
	}
	return fewest;
}

static void check_files(struct doctor *doctor)
{
	rlim_t files = files_of_relays(doctor);
	rlim_t flows = files <= DESCRIPTORS_RESERVED ? 0 : (files - DESCRIPTORS_RESERVED) / 2;

	if (flows >= FLOWS_WANTED) {
		report_good(doctor, "descriptors");
		return;
	}
	report_finding(doctor, SEVERITY_WARNING, "few-descriptors",
		       json_sprintf("%llu descriptors are room for %llu flows a relay",
				    (unsigned long long)files, (unsigned long long)flows),
		       json_string("a flow is two descriptors; further connections are forwarded"),
		       NULL,
		       json_string("set LimitNOFILE=1048576 in sluiced's unit (systemctl edit "
				   "sluiced), or `ulimit -n 1048576`, before you start it (again): "
				   "relays look at it once"));
}

/* Kernels before 5.11 charge maps against the limit. Tried with a limit of 0, in
 * a child of its own. */
static bool is_locked_memory_charged(void)
{
	static const struct rlimit none = { 0, 0 };
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(setrlimit(RLIMIT_MEMLOCK, &none) == 0 &&
		      bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 4, 1, NULL) < 0 &&
		      errno == EPERM);
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 1;
}

static void check_locked_memory(struct doctor *doctor)
{
	struct rlimit locked;

	if (!is_locked_memory_charged()) {
		report_good(doctor, "locked memory");
		return;
	}
	if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_max >= LOCKED_WANTED)
		return;
	report_finding(doctor, SEVERITY_PROBLEM, "locked-memory",
		       json_sprintf("only %llu KiB may be locked",
				    (unsigned long long)locked.rlim_max >> 10),
		       json_string("this kernel counts BPF tables as locked memory: they cannot be "
				   "made"),
		       NULL,
		       json_string("set LimitMEMLOCK=infinity in sluiced's unit (systemctl edit "
				   "sluiced), or `ulimit -l unlimited` before you start it"));
}

/* WAN legs to one trunk port of one remote have a local port each. */
static void check_local_ports(struct doctor *doctor)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	int first = 0, last = 0;

	if (file && fscanf(file, "%d %d", &first, &last) == 2 &&
	    last - first + 1 < LOCAL_PORTS_WANTED)
		report_finding(doctor, SEVERITY_WARNING, "few-ports",
			       json_sprintf("only %d local ports (ip_local_port_range)",
					    last - first + 1),
			       json_string("each flow to a remote's trunk port needs one; further "
					   "connections are forwarded"),
			       json_string("sysctl -w net.ipv4.ip_local_port_range='10240 65535'"),
			       NULL);
	else
		report_good(doctor, "local ports");
	if (file)
		fclose(file);
}

static void check_conntrack(struct doctor *doctor)
{
	long most = doctor_sysctl("net/netfilter/nf_conntrack_max");
	long now = doctor_sysctl("net/netfilter/nf_conntrack_count");

	if (most <= 0 || now < 0)
		return;
	if (now < most / 10 * 9) {
		report_good(doctor, "conntrack table");
		return;
	}
	report_finding(doctor, SEVERITY_PROBLEM, "conntrack-full",
		       json_sprintf("conntrack has %ld of at most %ld connections", now, most),
		       json_string("a flow is two of them; when the table is full, packets of new "
				   "connections are dropped"),
		       json_sprintf("sysctl -w net.netfilter.nf_conntrack_max=%ld",
				    most * 4 > 262144 ? most * 4 : 262144),
		       NULL);
}

/* The kernel's own opinion of its clock, set by whatever keeps it. */
static void check_clock(struct doctor *doctor)
{
	struct timex clock = { 0 };

	if (adjtimex(&clock) != TIME_ERROR && !(clock.status & STA_UNSYNC)) {
		report_good(doctor, "clock");
		return;
	}
	report_finding(doctor, SEVERITY_WARNING, "clock",
		       json_string("the clock is not synchronised"),
		       json_string("times in the flow log cannot be compared with those of other "
				   "hosts"),
		       json_string("timedatectl set-ntp true"), NULL);
}

void check_limits(struct doctor *doctor)
{
	check_files(doctor);
	check_locked_memory(doctor);
	check_local_ports(doctor);
	check_conntrack(doctor);
	check_clock(doctor);
}
