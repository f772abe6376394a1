/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which word of a verb's usage the next argument is. "show [status|flows] [-j]"
 * has a choice of words, "show flow ID" a word and a name, "[KEY=VALUE ...]" may
 * be repeated. Words are in small letters and meant literally; names are in
 * capitals and stand for what complete_name.c knows. Brackets only tell people
 * what may be left out.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "complete.h"

#define FORM_TEXT_MAX 256
#define FORM_WORDS_MAX 16

/* One line of a usage, cut into words; "text" holds them. */
struct form {
	char text[FORM_TEXT_MAX];
	char *words[FORM_WORDS_MAX]; /* without options, and without the verb */
	int count;
	int repeated; /* index of the first word that may come again and again, or count */
};

/* Brackets become blanks; one within a word, "PORT[:TRUNK]", goes with all that is in it. */
static void remove_brackets(char *text)
{
	char *out = text;

	for (const char *c = text; *c; c++) {
		if (*c == '[' && out > text && out[-1] != ' ')
			c += strcspn(c, "]");
		else
			*out++ = *c == '[' || *c == ']' ? ' ' : *c;
		if (!*c)
			break;
	}
	*out = '\0';
}

static void cut(struct form *form, const char *usage, size_t length)
{
	char *rest, *word;

	snprintf(form->text, sizeof(form->text), "%.*s", (int)length, usage);
	remove_brackets(form->text);
	form->count = 0;
	strtok_r(form->text, " ", &rest); /* the verb */
	while ((word = strtok_r(NULL, " ", &rest)) && form->count < FORM_WORDS_MAX) {
		const struct cli_option_text *option = complete_option(word);

		if (option && option->value)
			strtok_r(NULL, " ", &rest);
		else if (word[0] != '-')
			form->words[form->count++] = word;
	}
	form->repeated = form->count;
	if (form->count && !strcmp(form->words[form->count - 1], "...")) {
		form->count--;
		form->repeated = form->count - 1;
		/* a word before what is repeated may stand among it */
		while (form->repeated > 0 && islower(form->words[form->repeated - 1][0]))
			form->repeated--;
	}
}

/* "status|flows" has "flows". */
static bool has_word(const char *choice, const char *word)
{
	size_t length = strlen(word);

	for (; choice; choice = strchr(choice, '|') ? strchr(choice, '|') + 1 : NULL)
		if (strcspn(choice, "|") == length && !strncmp(choice, word, length))
			return true;
	return false;
}

static bool fits(const struct form *form, int count, char **arguments)
{
	for (int i = 0; i < count && i < form->repeated; i++)
		if (islower(form->words[i][0]) && !has_word(form->words[i], arguments[i]))
			return false;
	return true;
}

static void offer(const struct completion *at, char *word)
{
	char *rest;

	if (!islower(word[0])) {
		complete_name(at, word);
		return;
	}
	for (word = strtok_r(word, "|", &rest); word; word = strtok_r(NULL, "|", &rest))
		complete_offer(word, NULL);
}

void complete_argument(const struct completion *at, const struct verb *verb, int count,
		       char **arguments)
{
	for (const char *usage = verb->usage; usage; usage = strchr(usage, '\n')) {
		struct form form;

		usage += *usage == '\n';
		cut(&form, usage, strcspn(usage, "\n"));
		if (!fits(&form, count, arguments))
			continue;
		if (count >= form.repeated)
			for (int i = form.repeated; i < form.count; i++)
				offer(at, form.words[i]);
		else
			offer(at, form.words[count]);
	}
}
