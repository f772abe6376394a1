/* SPDX-License-Identifier: GPL-2.0 */
/* Values that the command line and the script have in common. */
#ifndef WANEM_VALUES_H
#define WANEM_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_EXPECTED "a rate of 1kbit or more, such as 100mbit"
#define LOSS_EXPECTED "a loss between 0 and 1, such as 0.001 or 0.1%"

/* False when the text is not one. */
bool rate_read(const char *text, uint64_t *bits_per_second);
bool loss_read(const char *text, double *part);

#endif
