// SPDX-License-Identifier: GPL-2.0
/* See sandbox.h. */
#include "sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "child.h"
#include "log.h"
#include "privileges.h"

#define ERROR_MAX 160

/* What every child needs that serves connections and talks to main. */
static const int allowed[] = {
	SCMP_SYS(read),		SCMP_SYS(write),	  SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),	SCMP_SYS(recvmsg),	  SCMP_SYS(sendmsg),
	SCMP_SYS(accept4),	SCMP_SYS(close),	  SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),	SCMP_SYS(epoll_wait),	  SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),	SCMP_SYS(clock_gettime),  SCMP_SYS(gettimeofday),
	SCMP_SYS(time),		SCMP_SYS(getrandom),	  SCMP_SYS(getpid),
	SCMP_SYS(brk),		SCMP_SYS(munmap),	  SCMP_SYS(mremap),
	SCMP_SYS(madvise),	SCMP_SYS(futex),	  SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sched_yield),
	SCMP_SYS(exit),		SCMP_SYS(exit_group),
};

/* Memory may be had, but none that can be executed. */
static const int mapping[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int result = 0;

	for (size_t i = 0; i < count && !result; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return result;
}

static int filter_system_calls(const struct sandbox *sandbox)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int result = filter ? 0 : -ENOMEM;

	result = result ?: allow(filter, allowed, sizeof(allowed) / sizeof(allowed[0]));
	result = result ?: allow(filter, sandbox->calls, sandbox->call_count);
	for (size_t i = 0; i < sizeof(mapping) / sizeof(mapping[0]) && !result; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, mapping[i], 1,
					  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	result = result ?: seccomp_load(filter);
	seccomp_release(filter);
	return result;
}

static int set_limit(__rlimit_resource_t resource, rlim_t value)
{
	struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/* Bytes of address space that this process has; 0 if it cannot be known. */
static size_t address_space(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	size_t pages = 0;

	if (!statm)
		return 0;
	if (fscanf(statm, "%zu", &pages) != 1)
		pages = 0;
	fclose(statm);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* The sanitizer's shadow is larger than any limit. */
static int limit_memory(size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
	(void)bytes;
	return 0;
#else
	return set_limit(RLIMIT_AS, bytes);
#endif
}

int sandbox_enter(const struct sandbox *sandbox)
{
	char error[ERROR_MAX];
	int result = child_unmap_shared(sandbox->shared);
	size_t inherited = address_space();

	if (result) {
		log_error("%s cannot give up main's memory: %s", sandbox->name, strerror(-result));
		return result;
	}
	result = privileges_confine(sandbox->user, sandbox->root, error, sizeof(error));
	if (result) {
		log_error("%s %s", sandbox->name, error);
		return result;
	}
	if (!child_bind_to_main(sandbox->main_pid))
		return -ESRCH;
	result = set_limit(RLIMIT_NOFILE, sandbox->descriptors);
	result = result ?: set_limit(RLIMIT_NPROC, 0);
	result = result ?: set_limit(RLIMIT_CORE, 0);
	result = result ?: limit_memory(inherited + sandbox->memory);
	result = result ?: filter_system_calls(sandbox);
	if (result)
		log_error("%s cannot shut itself in: %s", sandbox->name, strerror(-result));
	return result;
}
