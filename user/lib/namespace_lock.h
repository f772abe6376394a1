/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lock of a gateway on its network namespace. Policy routing is one thing
 * there, so there can be but one gateway in it, whatever its directories. An
 * abstract socket is a lock with just that scope, and the kernel drops it with
 * the process.
 */
#ifndef SLUICE_NAMESPACE_LOCK_H
#define SLUICE_NAMESPACE_LOCK_H

/* A descriptor that holds the lock until it is closed, -EADDRINUSE when a
 * gateway has it, or another negative errno. */
int namespace_lock(void);

#endif
