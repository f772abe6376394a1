// SPDX-License-Identifier: GPL-2.0
/* sluiced: the gateway daemon. Command line and configuration; gateway.c does the rest. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "log.h"
#include "privileges.h"

static const char usage[] =
	"Usage: sluiced [-c FILE] [--check] [--run-dir DIR] [--pin-dir DIR] [-v]\n"
	"\n"
	"Transparent split-TCP gateway: takes the TCP connections of LAN clients to\n"
	"registered remotes, ends them here and opens a tuned WAN connection for each.\n"
	"\n"
	"  -c, --config FILE  configuration (/etc/sluice/gateway.conf)\n"
	"      --check        check the configuration, report every mistake, and exit\n"
	"      --run-dir DIR  where the control socket is made (/run/sluice)\n"
	"      --pin-dir DIR  where the tables are pinned, on a bpffs (/sys/fs/bpf/sluice)\n"
	"  -v, --verbose      log every flow and what the kernel says\n"
	"  -V, --version      print the version and exit\n"
	"  -h, --help         print this and exit\n"
	"\n"
	"SIGTERM drains and exits, SIGHUP reloads the configuration.\n";

struct arguments {
	struct gateway_options options;
	bool check;
	bool verbose;
};

/* Returns -1 to go on, or the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	enum { OPTION_CHECK = 256, OPTION_RUN_DIR, OPTION_PIN_DIR };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, OPTION_CHECK },
		{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
		{ "pin-dir", required_argument, NULL, OPTION_PIN_DIR },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:vVh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			arguments->options.config_path = optarg;
			break;
		case OPTION_CHECK:
			arguments->check = true;
			break;
		case OPTION_RUN_DIR:
			arguments->options.run_dir = optarg;
			break;
		case OPTION_PIN_DIR:
			arguments->options.pin_dir = optarg;
			break;
		case 'v':
			arguments->verbose = true;
			break;
		case 'V':
			printf("sluiced %s\n", SLUICE_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs("Try `sluiced --help`.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluiced: unexpected argument \"%s\": try `sluiced --help`\n",
			argv[optind]);
		return 2;
	}
	return -1;
}

static int run(const struct arguments *arguments, struct gateway_config *config)
{
	char error[GATEWAY_ERROR_MAX];
	struct gateway gateway;
	int result;

	result = gateway_start(&gateway, &arguments->options, config, error);
	if (result)
		log_error("%s", error);
	else
		result = gateway_loop(&gateway);
	gateway_free(&gateway);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .options = { .config_path = "/etc/sluice/gateway.conf",
						    .run_dir = "/run/sluice",
						    .pin_dir = "/sys/fs/bpf/sluice" } };
	struct gateway_config *config;
	char error[GATEWAY_ERROR_MAX];
	int status = parse_arguments(argc, argv, &arguments);

	if (status >= 0)
		return status;
	log_open("sluiced", arguments.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (gateway_config_load(arguments.options.config_path, &config, stderr))
		return EXIT_FAILURE;
	if (gateway_check(config, error)) {
		log_error("%s", error);
		gateway_config_free(config);
		return EXIT_FAILURE;
	}
	if (arguments.check) {
		gateway_config_free(config);
		return EXIT_SUCCESS;
	}
	if (privileges_check(error, sizeof(error))) {
		log_error("%s", error);
		gateway_config_free(config);
		return EXIT_FAILURE;
	}
	return run(&arguments, config);
}
