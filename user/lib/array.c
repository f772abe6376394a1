/* SPDX-License-Identifier: GPL-2.0 */
/* Arrays that double when their count reaches a power of two: no record of their room is needed. */
#include "array.h"

#include <stdlib.h>
#include <string.h>

void *array_add(void *array, size_t *count, size_t size)
{
	void *elements, *element;

	memcpy(&elements, array, sizeof(elements));
	if ((*count & (*count - 1)) == 0) {
		elements = reallocarray(elements, *count > 0 ? *count * 2 : 1, size);
		if (!elements)
			return NULL;
		memcpy(array, &elements, sizeof(elements));
	}
	element = (char *)elements + *count * size;
	(*count)++;
	return memset(element, 0, size);
}
