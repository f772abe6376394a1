/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sluice complete: what the shells offer for the word under the cursor. It
 * reads the same tables as --help, so a verb, option or parameter that is there
 * is offered: a verb's usage says which argument is what (complete_argument.c).
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "complete.h"

void complete_offer(const char *word, const char *description)
{
	printf("%s\t%s\n", word, description ?: "");
}

const struct cli_option_text *complete_option(const char *word)
{
	const struct cli_option_text *option;

	for (size_t i = 0; (option = cli_option(i)); i++) {
		bool is_letter = word[0] == '-' && word[1] == option->letter && !word[2];

		if ((option->letter && is_letter) ||
		    (!strncmp(word, "--", 2) && !strcmp(word + 2, option->name)))
			return option;
	}
	return NULL;
}

static void offer_options(const struct verb *verb)
{
	const struct cli_option_text *option;
	char form[64];

	for (size_t i = 0; (option = cli_option(i)); i++) {
		if (!cli_option_is_for(i, verb))
			continue;
		snprintf(form, sizeof(form), "-%c", option->letter);
		if (option->letter)
			complete_offer(form, option->help);
		snprintf(form, sizeof(form), "--%s", option->name);
		complete_offer(form, option->help);
	}
}

static void offer_verbs(void)
{
	const struct verb *verb;

	for (size_t i = 0; (verb = cli_verb(i)); i++)
		if (verb->function != verb_complete) /* nobody types it */
			complete_offer(verb->name, verb->description);
}

static const struct verb *find_verb(const char *name)
{
	const struct verb *verb;

	for (size_t i = 0; (verb = cli_verb(i)); i++)
		if (!strcmp(verb->name, name))
			return verb;
	return NULL;
}

/*
 * Takes the options out of the words before the last one, and notes --run-dir.
 * Returns how many words are left; *value is the option whose value comes next, or NULL.
 */
static int take_options(struct cli *typed, int count, char **words,
			const struct cli_option_text **value)
{
	int left = 0;

	*value = NULL;
	for (int i = 0; i < count; i++) {
		const struct cli_option_text *option = complete_option(words[i]);

		if (option && option->value) {
			if (i + 1 == count)
				*value = option;
			else if (!strcmp(option->name, "run-dir"))
				typed->run_dir = words[i + 1];
			i++;
		} else if (words[i][0] != '-') {
			words[left++] = words[i];
		}
	}
	return left;
}

int verb_complete(const struct cli *cli, int count, char **words)
{
	const struct cli_option_text *value;
	struct cli typed = *cli;
	struct completion at = { .cli = &typed };
	const struct verb *verb = NULL;

	if (!count)
		return cli_usage(cli, "the word to complete is needed, it may be \"\"");
	at.last = words[count - 1];
	count = take_options(&typed, count - 1, words, &value);
	if (count)
		verb = find_verb(words[0]);
	if (count > 1)
		at.previous = words[count - 1];
	if (value)
		complete_name(&at, value->value);
	else if (at.last[0] == '-')
		offer_options(verb);
	else if (!count)
		offer_verbs();
	else if (verb)
		complete_argument(&at, verb, count - 1, words + 1);
	return 0;
}
