/* SPDX-License-Identifier: GPL-2.0 */
/* A flow as JSON, with the keys of `sluice show flows -j`: for the control
 * socket and the flow log. Every function returns a new reference, or NULL. */
#ifndef SLUICE_FLOW_JSON_H
#define SLUICE_FLOW_JSON_H

#include <jansson.h>

#include "flow.h"

json_t *flow_json(const struct flow_record *flow, const char *identity);

/* The same and what the end of it adds: when, the termination code, how long. */
json_t *flow_ended_json(const struct flow_record *flow, const char *identity);

/* What the WAN leg was opened with. */
json_t *flow_params_json(const struct flow_record *flow);

#endif
