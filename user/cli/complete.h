/* SPDX-License-Identifier: GPL-2.0 */
/* What `sluice complete` prints: a candidate and its description a line, a tab between. */
#ifndef SLUICE_CLI_COMPLETE_H
#define SLUICE_CLI_COMPLETE_H

#include "cli.h"

/* In place of candidates: the shell knows which files there are. */
#define COMPLETE_FILES ":files"

/* What is known of the place of the cursor. */
struct completion {
	const struct cli *cli; /* with the --run-dir that was typed */
	const char *previous; /* the argument before, or NULL */
	const char *last; /* what has been typed of this one */
};

/* description may be NULL. */
void complete_offer(const char *word, const char *description);

/* The option that a word is, "-j" or "--json"; NULL: none. */
const struct cli_option_text *complete_option(const char *word);

/* Offers what the argument after these of a verb can be, by the verb's usage. */
void complete_argument(const struct completion *at, const struct verb *verb, int count,
		       char **arguments);

/*
 * Offers what stands for a name in capitals of a usage, such as DEV. A name that
 * is unknown here offers nothing.
 */
void complete_name(const struct completion *at, const char *name);

#endif
