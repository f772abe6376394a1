/* SPDX-License-Identifier: GPL-2.0 */
/* "Did you mean ...?", by the optimal string alignment distance. */
#include "nearest.h"

#include <stdbool.h>
#include <string.h>
#include <sys/param.h>

/* Longer words are not compared; no name of ours comes near it. */
#define WORD_MAX 31

/* How many characters must be added, dropped, changed or swapped with their
 * neighbour to make b of a. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2], *reuse;

	for (size_t j = 0; j <= b_length; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			row[j] = MIN(MIN(last[j], row[j - 1]) + 1,
				     last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], before[j - 2] + 1);
		}
		reuse = before;
		before = last;
		last = row;
		row = reuse;
	}
	return last[b_length];
}

const char *nearest_name(const char *word, const char *const *names, size_t count)
{
	size_t word_length = strlen(word), length, found, best;
	const char *nearest = NULL;

	if (word_length > WORD_MAX)
		return NULL;
	/* Two mistakes make a typing error, but not in a word of three letters. */
	best = MIN(3, word_length / 2 + 1);
	for (size_t i = 0; i < count; i++) {
		length = strlen(names[i]);
		if (length > WORD_MAX)
			continue;
		found = distance(word, word_length, names[i], length);
		if (found < best) {
			best = found;
			nearest = names[i];
		}
	}
	return nearest;
}
