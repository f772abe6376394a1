// SPDX-License-Identifier: GPL-2.0
/* Judges parameters that come as bytes: to text and back they must be the same. */
#include <string.h>

#include "params.h"
#include "units.h"

bool params_are_speakable(const struct wan_params *params)
{
	return params->qos <= QOS_ABR && params->connect <= CONNECT_EARLY &&
	       params->source <= SOURCE_CLIENT && params->proxy_protocol <= PROXY_PROTOCOL_V2 &&
	       params->engine <= ENGINE_SPLICE &&
	       memchr(params->flow_control, '\0', sizeof(params->flow_control));
}

bool params_are_possible(const struct wan_params *params)
{
	char text[UNIT_TEXT_MAX], error[PARAMS_ERROR_MAX];
	struct wan_params copy;

	if (!params_are_speakable(params))
		return false;
	params_default(&copy);
	for (size_t i = 0; params_keys[i]; i++) {
		params_get(params, params_keys[i], text);
		if (text[0] && params_set(&copy, params_keys[i], text, error) < 0)
			return false;
	}
	return memcmp(&copy, params, sizeof(copy)) == 0;
}
