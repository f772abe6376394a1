/* SPDX-License-Identifier: GPL-2.0 */
/*
 * config_keys gateway|agent: prints the keys of a configuration file, each as
 * "SECTION KEY", "-" for no section. tests/package holds the manual pages to them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_config.h"
#include "gateway_config.h"

static void print_key(const char *section, const char *key)
{
	printf("%s %s\n", section[0] ? section : "-", key);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "gateway"))
		gateway_config_keys(print_key);
	else if (argc == 2 && !strcmp(argv[1], "agent"))
		agent_config_keys(print_key);
	else {
		fputs("usage: config_keys gateway|agent\n", stderr);
		return 2;
	}
	return EXIT_SUCCESS;
}
