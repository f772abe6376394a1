/* SPDX-License-Identifier: GPL-2.0 */
/* The names of a flow's states, ends and engines, from the lists in include/flow.h. */
#include "flow.h"

#include <stddef.h>

#define FLOW_NAME(constant, name, description) [constant] = name,

static const char *const states[] = { FLOW_STATES(FLOW_NAME) };
static const char *const ends[] = { FLOW_ENDS(FLOW_NAME) };
static const char *const engines[] = {
	[FLOW_ENGINE_KERNEL] = "kernel",
	[FLOW_ENGINE_RELAY] = "relay",
	[FLOW_ENGINE_SPLICE] = "splice",
};

static const char *name_of(const char *const *names, size_t count, unsigned value)
{
	return value < count ? names[value] : "?";
}

const char *flow_state_name(unsigned state)
{
	return name_of(states, sizeof(states) / sizeof(*states), state);
}

const char *flow_end_name(unsigned end)
{
	return name_of(ends, sizeof(ends) / sizeof(*ends), end);
}

const char *flow_engine_name(unsigned engine)
{
	return name_of(engines, sizeof(engines) / sizeof(*engines), engine);
}
