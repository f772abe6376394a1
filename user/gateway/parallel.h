/* SPDX-License-Identifier: GPL-2.0 */
/* Keeps a WAN leg at the number of connections that were asked for [982]. */
#ifndef SLUICE_PARALLEL_H
#define SLUICE_PARALLEL_H

#include "gateway_flow.h"

/* Adds what is missing to a flow whose WAN leg is up, and notes in the flow when
 * nothing ever will be. Ends a flow that has lost all and gets none again. To be called
 * when the leg has answered, and then once a second. */
void parallel_complete(struct gateway_flow *flow);

#endif
