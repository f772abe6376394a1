/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The keys that a configuration file can have, read off the tables that
 * libconfuse works with: the tests hold the manual pages to them.
 */
#ifndef SLUICE_CONFIG_KEYS_H
#define SLUICE_CONFIG_KEYS_H

#include <confuse.h>

/* One key. section: the one it stands in, "" outermost. A section is a key of the one around it. */
typedef void config_key_function(const char *section, const char *key);

/* Calls function for each key of options, and of the sections among them. */
void config_keys_list(const cfg_opt_t *options, const char *section, config_key_function *function);

#endif
