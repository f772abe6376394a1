/* SPDX-License-Identifier: GPL-2.0 */
/* A snapshot as JSON, for the status page. */
#ifndef SLUICE_METRICS_JSON_H
#define SLUICE_METRICS_JSON_H

#include "snapshot.h"

/* Owned by the caller; NULL: no memory. */
char *metrics_json(const struct metrics_snapshot *snapshot);

#endif
