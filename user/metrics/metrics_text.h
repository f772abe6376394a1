/* SPDX-License-Identifier: GPL-2.0 */
/* A snapshot in Prometheus's text format. */
#ifndef SLUICE_METRICS_TEXT_H
#define SLUICE_METRICS_TEXT_H

#include "snapshot.h"

/* Owned by the caller; NULL: no memory. */
char *metrics_text(const struct metrics_snapshot *snapshot);

#endif
