// SPDX-License-Identifier: GPL-2.0
/*
 * Shutting the registrar in: another user, no capability, an empty root, limits,
 * and the system calls that serving takes; any other one kills it.
 */
#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "child.h"
#include "log.h"
#include "privileges.h"
#include "registrar.h"

#define ERROR_MAX 160

/* Connections, and what a process has besides. */
#define DESCRIPTORS_MAX (REGISTRAR_CONNECTIONS_MAX + 64)

/* Far more than all connections take: 1024 handshakes of at most 160 KiB. */
#define MEMORY_MAX (512UL << 20)

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

static int filter_system_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int result = filter ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !result; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
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

/* The sanitizer's shadow is larger than any limit. */
static int limit_memory(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return 0;
#else
	return set_limit(RLIMIT_AS, MEMORY_MAX);
#endif
}

int registrar_sandbox(const struct registrar_setup *setup)
{
	char error[ERROR_MAX];
	int result = child_unmap_shared(setup->counters);

	if (result) {
		log_error("registrar cannot give up main's memory: %s", strerror(-result));
		return result;
	}
	result = privileges_confine(setup->user, setup->root, error, sizeof(error));
	if (result) {
		log_error("registrar %s", error);
		return result;
	}
	if (!child_bind_to_main(setup->main_pid))
		return -ESRCH;
	result = set_limit(RLIMIT_NOFILE, DESCRIPTORS_MAX);
	result = result ?: set_limit(RLIMIT_NPROC, 0);
	result = result ?: set_limit(RLIMIT_CORE, 0);
	result = result ?: limit_memory();
	result = result ?: filter_system_calls();
	if (result)
		log_error("registrar cannot shut itself in: %s", strerror(-result));
	return result;
}
