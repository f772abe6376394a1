/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pages for keys: zero in every child process, unless it is one that needs
 * them; not in core dumps; wiped when released.
 */
#ifndef SLUICE_SECRET_H
#define SLUICE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* size bytes, zero; NULL when out of memory. */
void *secret_new(size_t size);

/* Whether children that are forked from now on get the content. 0 or a negative errno. */
int secret_inherit(void *secret, size_t size, bool inherit);

/* Wipes and releases; nothing for NULL. size is that of secret_new(). */
void secret_free(void *secret, size_t size);

#endif
