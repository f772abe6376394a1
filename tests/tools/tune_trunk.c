// SPDX-License-Identifier: GPL-2.0
/*
 * tune_trunk PORT [KEY=VALUE...]: tunes what is accepted at a local port, as an
 * agent does for its trunk ports, until standard input ends. Writes "ready".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "params.h"
#include "tune.h"

static int set_param(struct wan_params *params, char *argument, char *error)
{
	char *value = strchr(argument, '=');

	if (!value) {
		snprintf(error, PARAMS_ERROR_MAX, "%.80s: expected key=value", argument);
		return -1;
	}
	*value++ = '\0';
	return params_set(params, argument, value, error);
}

static int parse(int argc, char **argv, struct wan_params *params, char *error)
{
	int result = 0;

	params_default(params);
	for (int i = 2; i < argc && !result; i++)
		result = set_param(params, argv[i], error);
	return result ? result : params_check(params, error);
}

int main(int argc, char **argv)
{
	char error[PARAMS_ERROR_MAX > TUNE_ERROR_MAX ? PARAMS_ERROR_MAX : TUNE_ERROR_MAX];
	struct wan_params params;
	struct tune *tune;
	uint16_t port;
	char byte;
	int result;

	log_open("tune_trunk", LOG_LEVEL_DEBUG);
	if (argc < 2 || parse(argc, argv, &params, error)) {
		log_error("%s", argc < 2 ? "usage: tune_trunk PORT [KEY=VALUE...]" : error);
		return 2;
	}
	port = (uint16_t)atoi(argv[1]);
	if (tune_open(&tune, error)) {
		log_error("%s", error);
		return EXIT_FAILURE;
	}
	result = tune_trunk_port_set(tune, port, &params);
	if (result) {
		log_error("port %u: %s", (unsigned)port, strerror(-result));
	} else {
		puts("ready");
		fflush(stdout);
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
		result = tune_trunk_port_remove(tune, port);
	}
	tune_close(tune);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
