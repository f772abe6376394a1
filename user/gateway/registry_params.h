/* SPDX-License-Identifier: GPL-2.0 */
/* The registry's parameter sets: equal sets are one entry of param_table. */
#ifndef SLUICE_REGISTRY_PARAMS_H
#define SLUICE_REGISTRY_PARAMS_H

#include <stdbool.h>

#include "registry.h"

struct params_table {
	int map; /* param_table */
	void *by_value; /* tsearch(3) tree of struct params_entry */
	uint32_t next_id;
	size_t count;
};

/* The entry for these parameters, one use more. identity: for whose service, NULL for
 * a static entry. 0, or a negative errno with error set: what this kernel or version
 * cannot do is refused here (-EOPNOTSUPP), and what there is no room for (-E2BIG). */
int params_table_get(struct params_table *table, const struct wan_params *params,
		     struct identity *identity, struct params_entry **entry, char *error);

/* One use less. */
void params_table_put(struct params_entry *entry);

/* Removes the unused ones. They live until now so that a relay that has just
 * been given their number still finds them. */
void params_table_sweep(struct params_table *table);

void params_table_free(struct params_table *table);

/* Whether sockets are tuned in this process (tune.h); without, parameters that
 * need it are refused. To be said once, before the first parameters. */
void params_table_tuned(bool tuned);

#endif
