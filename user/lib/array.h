/* SPDX-License-Identifier: GPL-2.0 */
/* Arrays that grow by one element at a time. */
#ifndef SLUICE_ARRAY_H
#define SLUICE_ARRAY_H

#include <stddef.h>

/* Makes room for one more in *array (a pointer to elements of size bytes, NULL
 * when empty, only ever grown by this) and counts it in *count. Returns the new
 * element, all zero, or NULL when out of memory. */
void *array_add(void *array, size_t *count, size_t size);

#endif
