/* SPDX-License-Identifier: GPL-2.0 */
/* JSON values as people read them: the cells of the tables (user/cli/table.c). */
#ifndef SLUICE_FORMAT_H
#define SLUICE_FORMAT_H

#include <jansson.h>

/* Room for any cell. */
#define CELL_TEXT_MAX 1024

/*
 * Text of value, which may be of any type or NULL: "-" stands for what is
 * missing. Returns text (CELL_TEXT_MAX bytes) or something that lives as long as value.
 */
typedef const char *cell_format(const json_t *value, char *text);

cell_format format_text; /* a string; "-" when empty */
cell_format format_number; /* a whole number */
cell_format format_port; /* "-" for 0: none of its own */
cell_format format_yes; /* "yes" or "-" */
cell_format format_bytes; /* "12.3M", in powers of 1024 */
cell_format format_rate; /* bit/s: "94.1mbit", "-" for 0 */
cell_format format_age; /* seconds: "1h02m" */
cell_format format_rtt; /* microseconds: "80.1ms", "-" for 0 */
cell_format format_values; /* an object of strings: "rate=500mbit rtt=80ms"; "defaults" when empty */

#endif
