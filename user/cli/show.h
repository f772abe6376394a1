/* SPDX-License-Identifier: GPL-2.0 */
/* The nouns of `sluice show`: each prints what the daemon said of it for people. */
#ifndef SLUICE_SHOW_H
#define SLUICE_SHOW_H

#include "cli.h"

/* Returns the exit status. */
typedef int noun_function(const struct cli *cli, const json_t *result);

noun_function show_status, show_proxies, show_ports, show_params, show_flows, show_flow,
	show_counters;

#endif
