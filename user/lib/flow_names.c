/* SPDX-License-Identifier: GPL-2.0 */
/* The names of a flow's states, ends and engines, from the lists in include/flow.h. */
#include "flow.h"

#include <stddef.h>

#define FLOW_NAME(constant, name, letter, description) [constant] = name,
#define FLOW_LETTER(constant, name, letter, description) [constant] = letter,

static const char *const states[] = { FLOW_STATES(FLOW_NAME) };
static const char *const ends[] = { FLOW_ENDS(FLOW_NAME) };
static const char state_letters[] = { FLOW_STATES(FLOW_LETTER) };
static const char end_letters[] = { FLOW_ENDS(FLOW_LETTER) };
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

const char *flow_code(unsigned end, unsigned ended_in, char code[FLOW_CODE_MAX])
{
	code[0] = end < sizeof(end_letters) ? end_letters[end] : '?';
	code[1] = ended_in < sizeof(state_letters) ? state_letters[ended_in] : '?';
	if (end == FLOW_END_CLOSED)
		code[1] = '-';
	code[2] = '\0';
	return code;
}
