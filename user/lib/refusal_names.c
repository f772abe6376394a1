// SPDX-License-Identifier: GPL-2.0
/* The names of the rules that refuse a registration, from the list in include/registration.h. */
#include "registration.h"

#define REFUSAL_NAME(name, description) [REFUSED_##name] = #name,

static const char *const names[] = { [REFUSED_NOT] = "none", REGISTRATION_REFUSALS(REFUSAL_NAME) };

const char *refusal_name(unsigned refusal)
{
	return refusal < REFUSAL_COUNT ? names[refusal] : "?";
}
