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
	  "show flows --ended [-n COUNT] [-j]\n"
	  "show flow ID [-j]",
	  "print the daemon's state, its tables, flows and counters",
	  CLI_BIT(CLI_ALL) | CLI_BIT(CLI_ENDED) | CLI_BIT(CLI_COUNT) },
	{ "explain", verb_explain, "explain CLIENT[:PORT] ADDRESS:PORT [-j]",
	  "say whether and why such a connection would be taken", 0 },
	{ "top", verb_top,
	  "top [-d SECONDS] [-s COLUMN] [-f TEXT]\n"
	  "top -b [-n COUNT] [-d SECONDS] [-s COLUMN] [-f TEXT] [-j]",
	  "watch the flows: rates, legs, engine",
	  CLI_BIT(CLI_BATCH) | CLI_BIT(CLI_COUNT) | CLI_BIT(CLI_DELAY) | CLI_BIT(CLI_SORT) |
		  CLI_BIT(CLI_FILTER) },
	{ "trace", verb_trace, "trace CLIENT[:PORT] ADDRESS:PORT [-n COUNT] [-j]",
	  "follow connections through the gateway, event by event", CLI_BIT(CLI_COUNT) },
	{ "doctor", verb_doctor, "doctor [--fix] [-c FILE] [--pin-dir DIR] [-j]",
	  "look for what keeps a gateway from working here, and say what to do",
	  CLI_BIT(CLI_FIX) | CLI_BIT(CLI_CONFIG) | CLI_BIT(CLI_PIN_DIR) },
	{ "add", verb_add, "add ADDRESS PORT[:TRUNK] [nexthop] [KEY=VALUE ...]",
	  "take connections to a port of a remote, or of the site behind a router", 0 },
	{ "del", verb_del, "del ADDRESS [PORT]", "take no more of them; those that run are kept",
	  0 },
	{ "attach", verb_attach, "attach DEV", "serve the clients of one more interface", 0 },
	{ "detach", verb_detach, "detach DEV", "serve them no more; refused while flows run", 0 },
	{ "drain", verb_drain, "drain", "take no new connections, let the flows end", 0 },
	{ "reload", verb_reload, "reload", "read the configuration file again", 0 },
	{ "keygen", verb_keygen, "keygen [FILE]", "make a key for an agent, mode 0600", 0 },
	{ "complete", verb_complete, "complete -- [WORD ...]",
	  "say what the last word could be, for the shells", 0 },
};

#define VERB_COUNT (sizeof(verbs) / sizeof(*verbs))

/* What is no letter begins here; a verb's option is this and its place in own_options. */
enum { OPTION_RUN_DIR = 256, OPTION_OWN };

/* Options for all verbs. */
static const struct cli_option_text common_options[] = {
	{ "run-dir", 0, "DIR", "where the daemon's control.sock is (/run/sluice)" },
	{ "json", 'j', NULL, "print JSON" },
	{ "help", 'h', NULL, "this help, or the verb's usage" },
	{ "version", 'V', NULL, "the version" },
};

/* Options of some verbs alone. */
static const struct cli_option_text own_options[CLI_OPTION_COUNT] = {
	[CLI_ALL] = { "all", 'a', NULL, "show counters: those that are zero too" },
	[CLI_ENDED] = { "ended", 0, NULL, "show flows: those that ended lately, the last first" },
	[CLI_COUNT] = { "count", 'n', "COUNT",
			"show flows --ended: so many at most; trace: end after so many "
			"flows; top -b: so many screens" },
	[CLI_BATCH] = { "batch", 'b', NULL, "top: print, without a terminal" },
	[CLI_DELAY] = { "delay", 'd', "SECONDS", "top: between two looks (1)" },
	[CLI_SORT] = { "sort", 's', "COLUMN", "top: what to sort by (rate)" },
	[CLI_FILTER] = { "filter", 'f', "TEXT", "top: only flows with this text in their line" },
	[CLI_CONFIG] = { "config", 'c', "FILE",
			 "doctor: the gateway's configuration (/etc/sluice/gateway.conf)" },
	[CLI_PIN_DIR] = { "pin-dir", 0, "DIR",
			  "doctor: where its tables are pinned (/sys/fs/bpf/sluice)" },
	[CLI_FIX] = { "fix", 0, NULL, "doctor: remove what a crashed gateway left" },
};

#define COMMON_COUNT (sizeof(common_options) / sizeof(*common_options))

const struct verb *cli_verb(size_t index)
{
	return index < VERB_COUNT ? &verbs[index] : NULL;
}

const struct cli_option_text *cli_option(size_t index)
{
	if (index < COMMON_COUNT)
		return &common_options[index];
	return index < COMMON_COUNT + CLI_OPTION_COUNT ? &own_options[index - COMMON_COUNT] : NULL;
}

bool cli_option_is_for(size_t index, const struct verb *verb)
{
	return index < COMMON_COUNT || !verb || (verb->takes & CLI_BIT(index - COMMON_COUNT));
}

static void print_usage(FILE *stream)
{
	const struct cli_option_text *option;

	fprintf(stream, "usage: sluice [OPTION ...] VERB [ARGUMENT ...]\n\nVerbs:\n");
	for (size_t i = 0; i < VERB_COUNT; i++)
		fprintf(stream, "  %-8s  %s\n", verbs[i].name, verbs[i].description);
	fprintf(stream, "\nOptions:\n");
	for (size_t i = 0; (option = cli_option(i)); i++) {
		char letter[] = { '-', option->letter, ',', ' ', '\0' };
		char form[64];

		snprintf(form, sizeof(form), "%s--%s %s", option->letter ? letter : "",
			 option->name, option->value ?: "");
		fprintf(stream, "  %-18s  %s\n", form, option->help);
	}
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
	for (size_t i = 0; i < CLI_OPTION_COUNT; i++)
		if (cli->given[i] && !(cli->verb->takes & CLI_BIT(i)))
			return cli_usage(cli, "--%s is not for this verb", own_options[i].name);
	return cli->verb->function(cli, count - 1, arguments + 1);
}

/* A full disk or a closed pipe must not look like success. */
static int finish(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	return status ? status : cli_fail("cannot write to standard output, %m, make room there");
}

/* The tables of getopt_long(3). */
struct option_tables {
	struct option all[COMMON_COUNT + CLI_OPTION_COUNT + 1];
	char letters[2 * (COMMON_COUNT + CLI_OPTION_COUNT) + 2];
};

static void option_tables_init(struct option_tables *tables)
{
	const struct cli_option_text *text;
	char *letter = tables->letters;

	memset(tables, 0, sizeof(*tables));
	*letter++ = ':';
	for (size_t i = 0; (text = cli_option(i)); i++) {
		int number = OPTION_OWN + (int)i - (int)COMMON_COUNT;

		if (i < COMMON_COUNT)
			number = text->letter ? text->letter : OPTION_RUN_DIR;
		tables->all[i] = (struct option){ text->name,
						  text->value ? required_argument : no_argument,
						  NULL, number };
		if (text->letter)
			*letter++ = text->letter;
		if (text->letter && text->value)
			*letter++ = ':';
	}
}

/* Notes an option of the verb's own, by its letter or its number. False: there is none. */
static bool take_own_option(struct cli *cli, int option)
{
	for (int i = 0; i < CLI_OPTION_COUNT; i++) {
		if (option != OPTION_OWN + i &&
		    (!own_options[i].letter || option != own_options[i].letter))
			continue;
		cli->given[i] = optarg ?: "";
		return true;
	}
	return false;
}

static int unknown_option(int option, char **argv)
{
	if (option == ':')
		fprintf(stderr, "sluice: %s needs a value, see sluice --help\n", argv[optind - 1]);
	else if (optopt && optopt < OPTION_RUN_DIR)
		fprintf(stderr, "sluice: no option -%c, see sluice --help\n", optopt);
	else
		fprintf(stderr, "sluice: no option %s, see sluice --help\n", argv[optind - 1]);
	return CLI_USAGE;
}

int main(int argc, char **argv)
{
	struct cli cli = { .run_dir = "/run/sluice" };
	struct option_tables tables;
	bool help = false;
	int option;

	setlocale(LC_CTYPE, "");
	opterr = 0;
	option_tables_init(&tables);
	while ((option = getopt_long(argc, argv, tables.letters, tables.all, NULL)) != -1) {
		switch (option) {
		case OPTION_RUN_DIR:
			cli.run_dir = optarg;
			break;
		case 'j':
			cli.json = true;
			break;
		case 'h':
			help = true;
			break;
		case 'V':
			puts("sluice " SLUICE_VERSION);
			return finish(0);
		default:
			if (!take_own_option(&cli, option))
				return unknown_option(option, argv);
		}
	}
	return finish(run_verb(&cli, help, argc - optind, argv + optind));
}
