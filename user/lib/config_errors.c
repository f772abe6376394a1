/* SPDX-License-Identifier: GPL-2.0 */
/* Collects the mistakes of a configuration file for user/lib/gateway_config.c and its helpers. */
#include "config_errors.h"

#include <stdarg.h>
#include <stdlib.h>

#include "array.h"

void config_error(struct config_errors *errors, int line, const char *format, ...)
{
	struct config_error *error;
	char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	error = text ? array_add(&errors->list, &errors->count, sizeof(*error)) : NULL;
	if (!error) {
		free(text);
		errors->no_memory = true;
		return;
	}
	/* Bytes quoted from the file must not reach a terminal as escape sequences. */
	for (char *byte = text; *byte != '\0'; byte++) {
		if ((unsigned char)*byte < ' ' || *byte == 0x7f)
			*byte = '?';
	}
	*error = (struct config_error){ .line = line, .order = errors->count, .text = text };
}

static int compare(const void *left, const void *right)
{
	const struct config_error *a = left, *b = right;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

void config_errors_print(struct config_errors *errors, const char *path, FILE *stream)
{
	if (errors->count > 0)
		qsort(errors->list, errors->count, sizeof(*errors->list), compare);
	for (size_t i = 0; i < errors->count; i++)
		fprintf(stream, "%s:%d: %s\n", path, errors->list[i].line, errors->list[i].text);
}

void config_errors_free(struct config_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++)
		free(errors->list[i].text);
	free(errors->list);
	*errors = (struct config_errors){ 0 };
}
