/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sluice: looks at and changes a running sluiced through its control socket.
 * Here are the table of verbs and the options; each verb has its own file.
 */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "nearest.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "0.1.0"
#endif

static const struct verb verbs[] = {
	{ "show", verb_show,
	  "show [status|proxies|ports|params|flows|counters [-a]] [-j]\n"
	  "show flow ID [-j]",
	  "print the daemon's state, its tables, flows and counters", true },
	{ "explain", verb_explain, "explain CLIENT ADDRESS:PORT [-j]",
	  "say whether and why such a connection would be taken", false },
	{ "add", verb_add, "add ADDRESS PORT[:TRUNK] [nexthop] [KEY=VALUE ...]",
	  "take connections to a port of a remote, or of the site behind a router", false },
	{ "del", verb_del, "del ADDRESS [PORT]", "take no more of them; those that run are kept",
	  false },
	{ "attach", verb_attach, "attach DEV", "serve the clients of one more interface", false },
	{ "detach", verb_detach, "detach DEV", "serve them no more; refused while flows run",
	  false },
	{ "drain", verb_drain, "drain", "take no new connections, let the flows end", false },
	{ "reload", verb_reload, "reload", "read the configuration file again", false },
	{ "keygen", verb_keygen, "keygen [FILE]", "make a key for an agent, mode 0600", false },
};

#define VERB_COUNT (sizeof(verbs) / sizeof(*verbs))

enum { OPTION_RUN_DIR = 256 };

static const struct option options[] = {
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "json", no_argument, NULL, 'j' },
	{ "all", no_argument, NULL, 'a' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

static void print_usage(FILE *stream)
{
	fprintf(stream, "usage: sluice [OPTION ...] VERB [ARGUMENT ...]\n\nVerbs:\n");
	for (size_t i = 0; i < VERB_COUNT; i++)
		fprintf(stream, "  %-8s  %s\n", verbs[i].name, verbs[i].description);
	fprintf(stream, "\nOptions:\n"
			"  --run-dir DIR  where the daemon's control.sock is (/run/sluice)\n"
			"  -j, --json     print JSON\n"
			"  -a, --all      show counters: those that are zero too\n"
			"  -h, --help     this help, or the verb's usage\n"
			"  -V, --version  the version\n");
}

static const struct verb *find_verb(const char *name)
{
	const char *names[VERB_COUNT];
	const char *nearest;

	for (size_t i = 0; i < VERB_COUNT; i++) {
		names[i] = verbs[i].name;
		if (!strcmp(names[i], name))
			return &verbs[i];
	}
	nearest = nearest_name(name, names, VERB_COUNT);
	if (nearest)
		fprintf(stderr, "sluice: no verb \"%s\", did you mean \"%s\"?\n", name, nearest);
	else
		fprintf(stderr, "sluice: no verb \"%s\", see sluice --help\n", name);
	return NULL;
}

static int run_verb(struct cli *cli, bool help, int count, char **arguments)
{
	if (!count) {
		print_usage(help ? stdout : stderr);
		return help ? 0 : CLI_USAGE;
	}
	cli->verb = find_verb(arguments[0]);
	if (!cli->verb)
		return CLI_USAGE;
	if (help) {
		cli_print_usage(cli->verb, stdout);
		return 0;
	}
	if (cli->all && !cli->verb->takes_all)
		return cli_usage(cli, "-a is for show counters");
	return cli->verb->function(cli, count - 1, arguments + 1);
}

/* A full disk or a closed pipe must not look like success. */
static int finish(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	return status ? status : cli_fail("cannot write to standard output, %m, make room there");
}

int main(int argc, char **argv)
{
	struct cli cli = { .run_dir = "/run/sluice" };
	bool help = false;
	int option;

	setlocale(LC_CTYPE, "");
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":jahV", options, NULL)) != -1) {
		switch (option) {
		case OPTION_RUN_DIR:
			cli.run_dir = optarg;
			break;
		case 'j':
			cli.json = true;
			break;
		case 'a':
			cli.all = true;
			break;
		case 'h':
			help = true;
			break;
		case 'V':
			puts("sluice " SLUICE_VERSION);
			return finish(0);
		case ':':
			fprintf(stderr, "sluice: %s needs a value, see sluice --help\n",
				argv[optind - 1]);
			return CLI_USAGE;
		default:
			if (optopt && optopt < OPTION_RUN_DIR)
				fprintf(stderr, "sluice: no option -%c, see sluice --help\n",
					optopt);
			else
				fprintf(stderr, "sluice: no option %s, see sluice --help\n",
					argv[optind - 1]);
			return CLI_USAGE;
		}
	}
	return finish(run_verb(&cli, help, argc - optind, argv + optind));
}
