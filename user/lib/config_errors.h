/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The mistakes found in a configuration file, collected by the passes over it
 * and printed together in the order of the file.
 */
#ifndef SLUICE_CONFIG_ERRORS_H
#define SLUICE_CONFIG_ERRORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct config_error {
	int line; /* where in the file, from 1 */
	size_t order; /* in which it was found, among those of one line */
	char *text; /* owned */
};

/* All zero is an empty list. */
struct config_errors {
	struct config_error *list; /* owned */
	size_t count;
	bool no_memory; /* some could not be kept */
};

/* printf format without newline: what is wrong, what was expected. */
void config_error(struct config_errors *errors, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Writes "PATH:LINE: text" for every mistake, sorted by line. */
void config_errors_print(struct config_errors *errors, const char *path, FILE *stream);

void config_errors_free(struct config_errors *errors);

#endif
