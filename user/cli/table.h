/* SPDX-License-Identifier: GPL-2.0 */
/* An array of JSON objects as a table on standard output (libsmartcols). */
#ifndef SLUICE_TABLE_H
#define SLUICE_TABLE_H

#include <stdbool.h>

#include "cli.h"
#include "format.h"

struct column {
	const char *title;
	const char *key; /* member of the row; "wan.cc": member of a member; "": the row itself */
	cell_format *format;
	bool right; /* aligned to the right */
};

/* Columns end with a title of NULL. Says "no WHAT" when there are no rows. Returns the exit status. */
int table_print(const struct cli *cli, const char *what, const json_t *rows,
		const struct column *columns);

#endif
