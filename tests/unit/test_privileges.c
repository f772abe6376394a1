// SPDX-License-Identifier: GPL-2.0
/*
 * Giving up privileges, judged by what the kernel says in /proc/self/status and
 * by trying. Criterion runs each test in a process, which ends with what it lost.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privileges.h"

#define ERROR_MAX 256
#define BIT(capability) (1ULL << (capability))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const int main_capabilities[] = { CAP_NET_ADMIN, CAP_SETUID, CAP_SETGID, CAP_KILL };
static const int relay_capabilities[] = { CAP_NET_ADMIN };

/* The value of one line of /proc/self/status; "" when there is none. */
static void status_read(const char *key, char *value, size_t size)
{
	FILE *status = fopen("/proc/self/status", "re");
	size_t length = strlen(key);
	char line[512];

	cr_assert(status);
	value[0] = '\0';
	while (fgets(line, sizeof(line), status)) {
		if (strncmp(line, key, length) != 0 || line[length] != ':')
			continue;
		snprintf(value, size, "%s", line + length + 1 + strspn(line + length + 1, " \t"));
		value[strcspn(value, "\n")] = '\0';
	}
	fclose(status);
}

static uint64_t status_set(const char *key)
{
	char value[64];

	status_read(key, value, sizeof(value));
	cr_assert(value[0], "no %s", key);
	return strtoull(value, NULL, 16);
}

/* These tests are about losing what only root has. */
static void need_root(void)
{
	char error[ERROR_MAX];

	if (privileges_check(error, sizeof(error)))
		cr_skip_test("%s", error);
}

static void expect_sets(uint64_t kept)
{
	char value[64];

	cr_expect_eq(status_set("CapPrm"), kept, "permitted");
	cr_expect_eq(status_set("CapEff"), kept, "effective");
	cr_expect_eq(status_set("CapInh"), 0, "inheritable");
	cr_expect_eq(status_set("CapBnd"), 0, "bounding");
	cr_expect_eq(status_set("CapAmb"), 0, "ambient");
	status_read("NoNewPrivs", value, sizeof(value));
	cr_expect_str_eq(value, "1", "no_new_privs");
}

static void expect_user(uid_t uid, gid_t gid)
{
	char expected[64], value[256];

	snprintf(expected, sizeof(expected), "%u\t%u\t%u\t%u", uid, uid, uid, uid);
	status_read("Uid", value, sizeof(value));
	cr_expect_str_eq(value, expected, "user is %s", value);
	snprintf(expected, sizeof(expected), "%u\t%u\t%u\t%u", gid, gid, gid, gid);
	status_read("Gid", value, sizeof(value));
	cr_expect_str_eq(value, expected, "group is %s", value);
	cr_expect_eq(getgroups(0, NULL), 0, "supplementary groups are left");
}

/* Gives this process a supplementary group, inheritable and ambient capabilities. */
static void collect_privileges(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];
	const gid_t group = 4;

	cr_assert_eq(setgroups(1, &group), 0);
	cr_assert_eq(syscall(SYS_capget, &header, sets), 0);
	sets[0].inheritable = 1U << CAP_NET_RAW;
	cr_assert_eq(syscall(SYS_capset, &header, sets), 0);
	cr_assert_eq(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0), 0);
}

/* Gives capabilities up, so that this process is like a container's root. */
static void lose(uint64_t capabilities)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];

	cr_assert_eq(syscall(SYS_capget, &header, sets), 0);
	for (int i = 0; i < 2; i++) {
		sets[i].effective &= ~(uint32_t)(capabilities >> 32 * i);
		sets[i].permitted &= ~(uint32_t)(capabilities >> 32 * i);
	}
	cr_assert_eq(syscall(SYS_capset, &header, sets), 0);
}

Test(privileges, drop_changes_the_user_and_keeps_what_is_named)
{
	char error[ERROR_MAX] = "";
	struct passwd *nobody;

	need_root();
	nobody = getpwnam("nobody");
	cr_assert(nobody);
	collect_privileges();
	cr_assert_eq(privileges_drop("nobody", relay_capabilities, COUNT(relay_capabilities), error,
				     sizeof(error)),
		     0, "%s", error);
	expect_user(nobody->pw_uid, nobody->pw_gid);
	expect_sets(BIT(CAP_NET_ADMIN));
	cr_expect_eq(setuid(0), -1, "root again");
}

Test(privileges, drop_can_keep_nothing)
{
	char error[ERROR_MAX] = "";

	need_root();
	collect_privileges();
	cr_assert_eq(privileges_drop("nobody", NULL, 0, error, sizeof(error)), 0, "%s", error);
	expect_sets(0);
	cr_expect_eq(socket(AF_PACKET, SOCK_RAW, 0), -1, "packet socket without CAP_NET_RAW");
}

Test(privileges, what_was_kept_can_be_used)
{
	static const int capabilities[] = { CAP_NET_RAW };
	char error[ERROR_MAX] = "";
	int fd;

	need_root();
	cr_assert_eq(privileges_drop("nobody", capabilities, 1, error, sizeof(error)), 0, "%s",
		     error);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	cr_expect_geq(fd, 0, "packet socket: %s", strerror(errno));
	close(fd);
}

Test(privileges, keep_stays_root_with_what_is_named)
{
	char error[ERROR_MAX] = "";

	need_root();
	collect_privileges();
	cr_assert_eq(privileges_keep(main_capabilities, COUNT(main_capabilities), error,
				     sizeof(error)),
		     0, "%s", error);
	cr_expect_eq(geteuid(), 0);
	expect_sets(BIT(CAP_NET_ADMIN) | BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_KILL));
	cr_expect_eq(socket(AF_PACKET, SOCK_RAW, 0), -1, "packet socket without CAP_NET_RAW");
}

Test(privileges, a_program_that_is_executed_gets_nothing)
{
	char error[ERROR_MAX] = "";

	need_root();
	cr_assert_eq(privileges_keep(main_capabilities, COUNT(main_capabilities), error,
				     sizeof(error)),
		     0, "%s", error);
	cr_expect_eq(system("grep -q '^CapEff:[[:space:]]*0*$' /proc/self/status"), 0);
}

Test(privileges, a_child_of_main_can_drop_what_main_kept)
{
	char error[ERROR_MAX] = "";
	pid_t child;
	int status;

	need_root();
	cr_assert_eq(privileges_keep(main_capabilities, COUNT(main_capabilities), error,
				     sizeof(error)),
		     0, "%s", error);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		const uid_t nobody = getpwnam("nobody")->pw_uid;
		int result = privileges_drop("nobody", relay_capabilities,
					     COUNT(relay_capabilities), error, sizeof(error));

		if (result || getuid() != nobody || status_set("CapBnd") != 0)
			_exit(1);
		_exit(status_set("CapPrm") == BIT(CAP_NET_ADMIN) ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "the child failed");
}

Test(privileges, cap_sys_admin_is_kept_for_what_was_split_from_it)
{
	static const int capabilities[] = { CAP_BPF, CAP_PERFMON, CAP_NET_RAW };
	char error[ERROR_MAX] = "";

	need_root();
	lose(BIT(CAP_BPF) | BIT(CAP_PERFMON));
	cr_assert_eq(privileges_keep(capabilities, COUNT(capabilities), error, sizeof(error)), 0,
		     "%s", error);
	expect_sets(BIT(CAP_SYS_ADMIN) | BIT(CAP_NET_RAW));
}

Test(privileges, unknown_user_is_named)
{
	char error[ERROR_MAX] = "";

	cr_expect_eq(privileges_drop("no-such-user", NULL, 0, error, sizeof(error)), -ENOENT);
	cr_expect(strstr(error, "no-such-user"), "%s", error);
}

Test(privileges, what_is_not_there_cannot_be_kept)
{
	static const int capabilities[] = { CAP_NET_RAW };
	char error[ERROR_MAX] = "";

	need_root();
	cr_assert_eq(privileges_drop("nobody", NULL, 0, error, sizeof(error)), 0, "%s", error);
	cr_expect_eq(privileges_keep(capabilities, 1, error, sizeof(error)), -EPERM);
	cr_expect(strstr(error, "CAP_NET_RAW"), "%s", error);
	cr_expect_eq(privileges_drop("nobody", capabilities, 1, error, sizeof(error)), -EPERM);
	cr_expect(strstr(error, "CAP_NET_RAW"), "%s", error);
}

Test(privileges, without_privilege_the_user_cannot_be_changed)
{
	char error[ERROR_MAX] = "";

	need_root();
	cr_assert_eq(privileges_drop("nobody", NULL, 0, error, sizeof(error)), 0, "%s", error);
	cr_expect_eq(privileges_drop("root", NULL, 0, error, sizeof(error)), -EPERM);
	cr_expect(strstr(error, "root"), "%s", error);
}

/* Capabilities lost, and what the check then asks for. */
static const struct {
	const char *description;
	uint64_t lost;
	const char *error; /* "": none */
} checks[] = {
	{ "all there", 0, "" },
	{ "CAP_SYS_ADMIN stands in", BIT(CAP_BPF) | BIT(CAP_PERFMON), "" },
	{ "CAP_SYS_ADMIN is not asked for", BIT(CAP_SYS_ADMIN), "" },
	{ "one missing", BIT(CAP_NET_ADMIN),
	  "cannot start without CAP_NET_ADMIN: let this container or service have them" },
	{ "several missing", BIT(CAP_NET_RAW) | BIT(CAP_BPF) | BIT(CAP_SYS_ADMIN),
	  "cannot start without CAP_NET_RAW, CAP_BPF: let this container or service have them" },
};

Test(privileges, check_names_what_is_missing)
{
	need_root();
	for (size_t i = 0; i < COUNT(checks); i++) {
		int ends[2], status, expected = checks[i].error[0] ? 1 : 0;
		char error[ERROR_MAX] = "";
		pid_t child;

		cr_assert_eq(pipe(ends), 0);
		child = fork();
		cr_assert_geq(child, 0);
		if (child == 0) {
			lose(checks[i].lost);
			status = privileges_check(error, sizeof(error));
			if (write(ends[1], error, sizeof(error)) != sizeof(error))
				_exit(2);
			_exit(status ? 1 : 0);
		}
		cr_assert_eq(read(ends[0], error, sizeof(error)), (ssize_t)sizeof(error));
		cr_assert_eq(waitpid(child, &status, 0), child);
		cr_expect_eq(WEXITSTATUS(status), expected, "%s", checks[i].description);
		cr_expect_str_eq(error, checks[i].error, "%s: %s", checks[i].description, error);
		close(ends[0]);
		close(ends[1]);
	}
}

Test(privileges, check_tells_a_common_user_to_be_root)
{
	char error[ERROR_MAX] = "";

	if (geteuid() == 0)
		cr_assert_eq(setuid(65534), 0);
	cr_expect_eq(privileges_check(error, sizeof(error)), -EPERM);
	cr_expect(strstr(error, "CAP_NET_ADMIN, CAP_NET_RAW, "), "%s", error);
	cr_expect(strstr(error, ": run as root"), "%s", error);
}
