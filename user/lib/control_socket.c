/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The control socket's file: made, taken over from a crashed daemon, removed.
 * Two daemons that start at once are told apart by a lock file beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control_socket.h"

/* Clients that wait to be accepted; further ones wait in connect(2). */
#define BACKLOG 128

struct control_socket {
	int fd;
	struct sockaddr_un address; /* its path */
	dev_t device; /* with inode: which file is ours */
	ino_t inode;
};

/*
 * Locks path for as long as the descriptor returned is open. Its holder
 * removes it when done, so what was locked may be gone by then: try again.
 */
static int lock_file(const char *path)
{
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		struct stat st;
		int r;

		if (fd == -1)
			return -errno;
		if (flock(fd, LOCK_EX) == -1 || fstat(fd, &st) == -1) {
			r = -errno;
			close(fd);
			return r;
		}
		if (st.st_nlink)
			return fd;
		close(fd);
	}
}

/* Makes the path free: 0, or -EADDRINUSE when somebody answers there. */
static int remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	int probe;
	int r = 0;

	if (lstat(address->sun_path, &st) == -1)
		return errno == ENOENT ? 0 : -errno;
	/* connect(2) says "refused" for any other file too: do not remove that. */
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;

	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe == -1)
		return -errno;
	if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == -1)
		r = -errno;
	close(probe);
	/* EAGAIN: alive, with a full backlog. */
	if (r == 0 || r == -EAGAIN)
		return -EADDRINUSE;
	if (r == -ECONNREFUSED)
		return unlink(address->sun_path) == -1 ? -errno : 0;
	return r == -ENOENT ? 0 : r;
}

/* With the lock held: binds, records which file that made, and listens. */
static int take_path(struct control_socket *listening)
{
	const char *path = listening->address.sun_path;
	struct stat st;
	int r = remove_stale(&listening->address);

	if (r)
		return r;
	if (bind(listening->fd, (const struct sockaddr *)&listening->address,
		 sizeof(listening->address)) == -1)
		return -errno;
	if (lstat(path, &st) == 0 && chmod(path, 0666) == 0 &&
	    listen(listening->fd, BACKLOG) == 0) {
		listening->device = st.st_dev;
		listening->inode = st.st_ino;
		return 0;
	}
	r = -errno;
	unlink(path);
	return r;
}

int control_socket_open(const char *path, struct control_socket **listening)
{
	char lock_path[sizeof((*listening)->address.sun_path) + sizeof(".lock")];
	struct control_socket *new;
	int lock;
	int r;

	if (strlen(path) >= sizeof(new->address.sun_path))
		return -ENAMETOOLONG;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->address.sun_family = AF_UNIX;
	strcpy(new->address.sun_path, path);
	new->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (new->fd == -1) {
		r = -errno;
		goto fail;
	}
	snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
	lock = lock_file(lock_path);
	if (lock < 0) {
		r = lock;
		goto fail;
	}
	r = take_path(new);
	unlink(lock_path);
	close(lock);
	if (r)
		goto fail;
	*listening = new;
	return 0;
fail:
	if (new->fd != -1)
		close(new->fd);
	free(new);
	return r;
}

int control_socket_fd(const struct control_socket *listening)
{
	return listening->fd;
}

void control_socket_close(struct control_socket *listening)
{
	struct stat st;

	if (!listening)
		return;
	/* First the file, then the socket: while it answers nobody else takes the path. */
	if (lstat(listening->address.sun_path, &st) == 0 && st.st_dev == listening->device &&
	    st.st_ino == listening->inode)
		unlink(listening->address.sun_path);
	close(listening->fd);
	free(listening);
}
