/* SPDX-License-Identifier: GPL-2.0 */
/* Putting together what main tells the metrics process. */
#ifndef SLUICE_GATEWAY_METRICS_SNAPSHOT_H
#define SLUICE_GATEWAY_METRICS_SNAPSHOT_H

#include "snapshot.h"

struct gateway;

/* Writes the gateway's state; touches no flow, whatever their number. */
void metrics_snapshot_take(const struct gateway *gateway, struct metrics_snapshot *snapshot);

#endif
