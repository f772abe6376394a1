// SPDX-License-Identifier: GPL-2.0
/* See privileges.h. */
#include "privileges.h"

#include <cap-ng.h>
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Room for "CAP_CHECKPOINT_RESTORE" and whatever comes after it. */
#define CAPABILITY_TEXT_MAX 40

/* Room for what the user database says of one user. */
#define USER_ENTRY_MAX 16384

/* What main needs. */
static const int needed[] = {
	CAP_NET_ADMIN, /* attaching, policy routing, transparent listeners */
	CAP_NET_RAW, /* the relays' packet sockets */
	CAP_NET_BIND_SERVICE, /* WAN legs from a client's low port */
	CAP_BPF, /* maps and programs */
	CAP_PERFMON, /* programs that follow pointers into the kernel */
	CAP_SETUID, /* relays without privilege */
	CAP_SETGID,
	CAP_SETPCAP, /* emptying the bounding set */
	CAP_SYS_CHROOT, /* the registrar without a file system */
	CAP_KILL, /* ending a relay that hangs */
};

#define NEEDED_COUNT (sizeof(needed) / sizeof(needed[0]))

/* "CAP_NET_ADMIN". text holds CAPABILITY_TEXT_MAX bytes; returns text. */
static const char *capability_format(int capability, char *text)
{
	const char *name = capng_capability_to_name((unsigned int)capability);

	if (name)
		snprintf(text, CAPABILITY_TEXT_MAX, "CAP_%s", name);
	else
		snprintf(text, CAPABILITY_TEXT_MAX, "capability %d", capability);
	for (char *letter = text; name && *letter; letter++)
		*letter = (char)toupper((unsigned char)*letter);
	return text;
}

/* Reads the process's capabilities into the library. */
static int load_state(char *error, size_t size)
{
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_get_caps_process() == 0)
		return 0;
	snprintf(error, size, "cannot read this process's capabilities: mount /proc");
	return -EIO;
}

static bool has(capng_type_t set, int capability)
{
	return capng_have_capability(set, (unsigned int)capability) == 1;
}

/* The capability, or in its place the older one that it was split from: what
 * the set has of the two. -1: neither. */
static int has_or_instead(capng_type_t set, int capability)
{
	if (has(set, capability))
		return capability;
	if ((capability == CAP_BPF || capability == CAP_PERFMON) && has(set, CAP_SYS_ADMIN))
		return CAP_SYS_ADMIN;
	return -1;
}

int privileges_check(char *error, size_t size)
{
	char missing[NEEDED_COUNT * CAPABILITY_TEXT_MAX] = "";
	size_t length = 0;
	int result = load_state(error, size);

	if (result)
		return result;
	for (size_t i = 0; i < NEEDED_COUNT; i++) {
		char name[CAPABILITY_TEXT_MAX];

		if (has_or_instead(CAPNG_EFFECTIVE, needed[i]) >= 0)
			continue;
		length += (size_t)snprintf(missing + length, sizeof(missing) - length, "%s%s",
					   length ? ", " : "", capability_format(needed[i], name));
	}
	if (length == 0)
		return 0;
	snprintf(error, size, "cannot start without %s: %s", missing,
		 geteuid() == 0 ? "let this container or service have them" : "run as root");
	return -EPERM;
}

/*
 * Makes the library's picture of the process one with these capabilities alone.
 * *bounding tells whether the bounding set has yet to be emptied: that takes
 * CAP_SETPCAP, which a child of main has no more and does not need.
 */
static int select_capabilities(const int *capabilities, size_t count, bool *bounding, char *error,
			       size_t size)
{
	uint64_t kept = 0;
	int result = load_state(error, size);

	if (result)
		return result;
	*bounding = capng_have_capabilities(CAPNG_SELECT_BOUNDS) != CAPNG_NONE;
	for (size_t i = 0; i < count; i++) {
		int capability = has_or_instead(CAPNG_PERMITTED, capabilities[i]);
		char name[CAPABILITY_TEXT_MAX];

		if (capability < 0) {
			snprintf(error, size,
				 "cannot keep %s, which this process has not: run as root",
				 capability_format(capabilities[i], name));
			return -EPERM;
		}
		kept |= 1ULL << capability;
	}
	if (*bounding && !has(CAPNG_EFFECTIVE, CAP_SETPCAP)) {
		snprintf(error, size,
			 "cannot empty the bounding set without CAP_SETPCAP: run as root");
		return -EPERM;
	}
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned int capability = 0; capability <= CAP_LAST_CAP; capability++)
		if (kept & 1ULL << capability)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, capability);
	return 0;
}

static int forbid_new_privileges(char *error, size_t size)
{
	int result;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return 0;
	result = -errno;
	snprintf(error, size, "cannot set no_new_privs: %s", strerror(-result));
	return result;
}

int privileges_keep(const int *capabilities, size_t count, char *error, size_t size)
{
	bool bounding;
	int result = select_capabilities(capabilities, count, &bounding, error, size);

	if (result)
		return result;
	/* The ambient set cannot hold what the inheritable set does not: the
	 * kernel empties it with that one. */
	result = capng_apply(bounding ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
	if (result < 0) {
		snprintf(error, size, "cannot give up capabilities: step %d of libcap-ng failed",
			 -result);
		return -EPERM;
	}
	return forbid_new_privileges(error, size);
}

static int find_user(const char *name, uid_t *uid, gid_t *gid, char *error, size_t size)
{
	char entry[USER_ENTRY_MAX];
	struct passwd user, *found;
	int result = getpwnam_r(name, &user, entry, sizeof(entry), &found);

	if (found) {
		*uid = user.pw_uid;
		*gid = user.pw_gid;
		return 0;
	}
	snprintf(error, size, "there is no user %s%s%s: create it, or name another one", name,
		 result ? ": " : "", result ? strerror(result) : "");
	return result ? -result : -ENOENT;
}

int privileges_drop(const char *user, const int *capabilities, size_t count, char *error,
		    size_t size)
{
	bool bounding;
	uid_t uid;
	gid_t gid;
	int result = find_user(user, &uid, &gid, error, size);

	if (result)
		return result;
	result = select_capabilities(capabilities, count, &bounding, error, size);
	if (result)
		return result;
	result = capng_change_id((int)uid, (int)gid,
				 CAPNG_DROP_SUPP_GRP | (bounding ? CAPNG_CLEAR_BOUNDING : 0));
	if (result < 0) {
		snprintf(error, size,
			 "cannot become user %s: step %d of libcap-ng failed: run as root", user,
			 -result);
		return -EPERM;
	}
	return forbid_new_privileges(error, size);
}

int privileges_confine(const char *user, const char *root, char *error, size_t size)
{
	static const int chroot_only[] = { CAP_SYS_CHROOT };
	int result = privileges_drop(user, chroot_only, 1, error, size);

	if (result)
		return result;
	if (chroot(root) < 0 || chdir("/") < 0) {
		result = -errno;
		snprintf(error, size, "cannot make %s the root: %s", root, strerror(-result));
		return result;
	}
	/* From memory: there is no /proc any more to learn from. */
	capng_clear(CAPNG_SELECT_CAPS);
	result = capng_apply(CAPNG_SELECT_CAPS);
	if (result < 0) {
		snprintf(error, size, "cannot give up CAP_SYS_CHROOT: step %d of libcap-ng failed",
			 -result);
		return -EPERM;
	}
	return 0;
}
