/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the verbs of the operator's program share: the command line as main.c
 * understood it, asking the daemon, and reporting. One file a verb.
 */
#ifndef SLUICE_CLI_H
#define SLUICE_CLI_H

#include <jansson.h>
#include <stdbool.h>

/* Exit statuses: 0 is done. */
#define CLI_FAILED 1 /* refused or failed, with one line on standard error */
#define CLI_USAGE 2 /* wrong usage, with a hint and the verb's usage there */

struct verb;

/* Options that are some verbs' alone; main.c says how they are written. */
enum cli_option {
	CLI_ALL, /* show counters: zeros too */
	CLI_ENDED, /* show flows: those that ended lately */
	CLI_CONFIG, /* doctor: the gateway's configuration */
	CLI_PIN_DIR, /* doctor: where its tables are pinned */
	CLI_FIX, /* doctor: remove leftovers */
	CLI_COUNT, /* top: screens; trace: flows; show flows --ended: the latest */
	CLI_BATCH, /* top: without a terminal */
	CLI_DELAY, /* top: seconds between two looks */
	CLI_SORT, /* top: the column to sort by */
	CLI_FILTER, /* top: text that a flow's line must have */
	CLI_OPTION_COUNT
};

#define CLI_BIT(option) (1U << (option))

/* The command line, but for the verb's own arguments. */
struct cli {
	const char *run_dir; /* --run-dir: where control.sock is */
	bool json; /* -j: print the daemon's result as it came */
	const char *given[CLI_OPTION_COUNT]; /* value, "" for one that takes none; NULL: not given */
	const struct verb *verb; /* being run */
};

/* arguments are those after the verb, options taken out. Returns the exit status. */
typedef int verb_function(const struct cli *cli, int count, char **arguments);

/* One row of the table in main.c. */
struct verb {
	const char *name;
	verb_function *function;
	const char *usage; /* its forms after the program's name, separated by newlines */
	const char *description; /* one line, for the list of verbs */
	unsigned takes; /* CLI_BIT() of the options that are meant for it */
};

/* What --help says of an option: "-j, --json", "--run-dir DIR". */
struct cli_option_text {
	const char *name; /* without dashes */
	char letter; /* 0: none */
	const char *value; /* what it takes, for people; NULL: nothing */
	const char *help;
};

/* The tables of main.c; NULL after the last. An option is for a verb if it is for all, or the verb
 * takes it; verb may be NULL: for any. Options begin with those for all. */
const struct verb *cli_verb(size_t index);
const struct cli_option_text *cli_option(size_t index);
bool cli_option_is_for(size_t index, const struct verb *verb);

verb_function verb_add, verb_attach, verb_complete, verb_del, verb_detach, verb_doctor, verb_drain,
	verb_explain, verb_keygen, verb_reload, verb_show, verb_top, verb_trace;

/* Prints "usage: sluice ..." of the verb. */
void cli_print_usage(const struct verb *verb, FILE *stream);

/* "sluice: VERB: " and the hint on standard error, then the usage. Returns CLI_USAGE. */
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "sluice: " and the line on standard error. Returns CLI_FAILED. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a reader says when an answer has not the members it must have. Returns CLI_FAILED. */
int cli_fail_answer(const struct cli *cli);

/*
 * Sends request (stolen; NULL: no memory) to the daemon. 0 with a new reference
 * in *result, or CLI_FAILED after saying why.
 */
int cli_ask(const struct cli *cli, json_t *request, json_t **result);

/* The same for a verb with -j that has nothing to add: prints the result as the daemon has
 * written it. Returns the exit status. */
int cli_pass_on(const struct cli *cli, json_t *request);

/* Prints result as JSON. Returns the exit status. */
int cli_print_json(const json_t *result);

/* The whole of a verb that changes something: asks, prints the message that comes back. */
int cli_change(const struct cli *cli, json_t *request);

#endif
