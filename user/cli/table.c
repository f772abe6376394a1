/* SPDX-License-Identifier: GPL-2.0 */
/* Rows of JSON to libsmartcols, which measures, aligns and makes unprintable bytes harmless. */
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include "table.h"

static const json_t *member_at(const json_t *row, const char *key)
{
	while (*key) {
		size_t len = strcspn(key, ".");

		row = json_object_getn(row, key, len);
		key += len;
		key += *key == '.';
	}
	return row;
}

static int add_row(struct libscols_table *table, const json_t *row, const struct column *columns)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char text[CELL_TEXT_MAX];
	int r = line ? 0 : -1;

	for (size_t i = 0; !r && columns[i].title; i++)
		r = scols_line_set_data(line, i,
					columns[i].format(member_at(row, columns[i].key), text));
	return r;
}

int table_print(const struct cli *cli, const char *what, const json_t *rows,
		const struct column *columns)
{
	struct libscols_table *table;
	const json_t *row;
	size_t i;
	int r = 0;

	if (!json_is_array(rows))
		return cli_fail_answer(cli);
	if (!json_array_size(rows)) {
		printf("no %s\n", what);
		return 0;
	}
	table = scols_new_table();
	if (!table)
		r = -1;
	for (i = 0; !r && columns[i].title; i++) {
		int flags = columns[i].right ? SCOLS_FL_RIGHT : 0;

		r = scols_table_new_column(table, columns[i].title, 0, flags) ? 0 : -1;
	}
	if (!r) {
		json_array_foreach(rows, i, row) {
			r = add_row(table, row, columns);
			if (r)
				break;
		}
	}
	if (!r)
		r = scols_print_table(table);
	scols_unref_table(table);
	return r ? cli_fail("cannot print the %s, out of memory, use -j", what) : 0;
}
