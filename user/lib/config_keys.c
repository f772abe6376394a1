/* SPDX-License-Identifier: GPL-2.0 */
/* See config_keys.h. */
#include "config_keys.h"

void config_keys_list(const cfg_opt_t *options, const char *section, config_key_function *function)
{
	for (; options->name; options++) {
		function(section, options->name);
		if (options->type == CFGT_SEC)
			config_keys_list(options->subopts, options->name, function);
	}
}
