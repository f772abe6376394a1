/* SPDX-License-Identifier: GPL-2.0 */
/* "Did you mean ...?": the known name that a mistyped one is closest to. */
#ifndef SLUICE_NEAREST_H
#define SLUICE_NEAREST_H

#include <stddef.h>

/* The one of count names that word was most likely meant to be, or NULL when
 * none is close. */
const char *nearest_name(const char *word, const char *const *names, size_t count);

#endif
