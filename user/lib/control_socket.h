/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A listening Unix socket that takes over the file of a crashed daemon, never
 * that of a running one. user/lib/control_server.c serves it.
 */
#ifndef SLUICE_CONTROL_SOCKET_H
#define SLUICE_CONTROL_SOCKET_H

struct control_socket;

/*
 * Listens on path, non-blocking, mode 0666. -EADDRINUSE: a daemon listens
 * there; -EEXIST: something that is no socket lies there; or another negative
 * errno. On success the caller ends it with control_socket_close().
 */
int control_socket_open(const char *path, struct control_socket **listening);

/* The descriptor, which stays the socket's. */
int control_socket_fd(const struct control_socket *listening);

/* Closes it and removes its file, unless that is another's by now. */
void control_socket_close(struct control_socket *listening);

#endif
