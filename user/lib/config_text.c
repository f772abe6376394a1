/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Goes over a configuration file with libconfuse's option tables, reports what
 * libconfuse would stop at, and blanks it out. See config_text.h for why.
 */
#include "config_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "nearest.h"

/* One pass over a text. */
struct pass {
	struct config_words words;
	cfg_opt_t *root; /* the outermost table */
	bool stopped; /* nothing after cut_at can be understood */
	size_t cut_at; /* start of the statement that was not understood */
	unsigned cut_depth; /* how many sections were open there */
};

/* The section that is being read; name is NULL for the file itself. */
struct scope {
	cfg_opt_t *options;
	const char *name;
	int line;
	unsigned depth;
	int *key_lines; /* CONFIG_OPTIONS_MAX: where each key was given first, as in config_text */
};

/* One statement of a section, "KEY = VALUE" or "SECTION NAME { ... }". */
struct statement {
	struct config_word name;
	struct config_word title; /* of a section; CONFIG_WORD_END when it has none */
	bool is_section;
	bool is_append; /* += */
	bool is_list; /* the value stands in braces */
	bool is_wrong; /* reported already */
};

#define NAME_FORMAT "\"%.*s\""
#define NAME_OF(word) ((word)->length < 60 ? (word)->length : 60), (word)->content

static struct config_errors *errors_of(const struct pass *pass)
{
	return pass->words.errors;
}

static void pass_stop(struct pass *pass, const struct scope *scope, size_t cut_at)
{
	if (pass->stopped)
		return;
	pass->stopped = true;
	pass->cut_at = cut_at;
	pass->cut_depth = scope->depth;
}

static bool is_section(const cfg_opt_t *option)
{
	return option->type == CFGT_SEC;
}

static bool word_is(const struct config_word *word, const char *name)
{
	return strlen(name) == (size_t)word->length &&
	       memcmp(name, word->content, strlen(name)) == 0;
}

static cfg_opt_t *option_find(cfg_opt_t *options, const struct config_word *name)
{
	for (; options->name; options++) {
		if (word_is(name, options->name))
			return options;
	}
	return NULL;
}

/* Says what name could have been: the nearest, or all there are of its kind. */
static void unknown_report(struct pass *pass, const struct scope *scope,
			   const struct statement *statement)
{
	const char *kind = statement->is_section ? "section" : "key";
	const char *names[CONFIG_OPTIONS_MAX], *nearest;
	char word[64], where[64] = "", known[1024] = "";
	size_t count = 0, length = 0;

	for (const cfg_opt_t *option = scope->options; option->name; option++) {
		if (is_section(option) == statement->is_section)
			names[count++] = option->name;
	}
	snprintf(word, sizeof(word), "%.*s", NAME_OF(&statement->name));
	if (scope->name)
		snprintf(where, sizeof(where), " in section \"%s\"", scope->name);
	nearest = nearest_name(word, names, count);
	if (nearest) {
		config_error(errors_of(pass), statement->name.line,
			     "unknown %s \"%s\"%s, did you mean \"%s\"?", kind, word, where,
			     nearest);
		return;
	}
	for (size_t i = 0; i < count && length < sizeof(known); i++)
		length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s",
					   i > 0 ? ", " : "", names[i]);
	config_error(errors_of(pass), statement->name.line, "unknown %s \"%s\"%s, expected %s%s",
		     kind, word, where, count > 0 ? "one of: " : "no section here", known);
}

/* Passes over the rest of a line, and over what is in braces there; a brace
 * that closes the section around it is left. */
static void line_skip(struct pass *pass, int line)
{
	struct config_word word = config_word_peek(&pass->words);
	unsigned depth = 0;

	while (word.type != CONFIG_WORD_END && (depth > 0 || word.line == line)) {
		if (word.type == CONFIG_WORD_CLOSE && depth == 0)
			return;
		depth += word.type == CONFIG_WORD_OPEN;
		depth -= word.type == CONFIG_WORD_CLOSE;
		config_word_next(&pass->words);
		word = config_word_peek(&pass->words);
	}
}

/* Passes over a section's body, of which the opening brace has been read. */
static void body_skip(struct pass *pass, const struct scope *scope, const struct config_word *name)
{
	struct config_word word;
	unsigned depth = 1;

	while (depth > 0) {
		word = config_word_next(&pass->words);
		depth += word.type == CONFIG_WORD_OPEN;
		depth -= word.type == CONFIG_WORD_CLOSE;
		if (word.type != CONFIG_WORD_END)
			continue;
		if (!pass->words.broken)
			config_error(errors_of(pass), name->line,
				     "section " NAME_FORMAT " is not closed, expected \"}\"",
				     NAME_OF(name));
		pass_stop(pass, scope, name->start);
		return;
	}
}

static void syntax_report(struct pass *pass, struct statement *statement,
			  const struct config_word *found, const char *expected)
{
	statement->is_wrong = true;
	if (found->type == CONFIG_WORD_END && pass->words.broken)
		return;
	if (found->type == CONFIG_WORD_END || found->line > statement->name.line)
		config_error(errors_of(pass), statement->name.line,
			     "nothing after " NAME_FORMAT ", expected %s",
			     NAME_OF(&statement->name), expected);
	else
		config_error(errors_of(pass), found->line,
			     "unexpected " NAME_FORMAT " after " NAME_FORMAT ", expected %s",
			     NAME_OF(found), NAME_OF(&statement->name), expected);
}

/* True when the next word begins a statement of its own on a later line, so
 * that something is missing before it. */
static bool statement_follows(const struct pass *pass, int line)
{
	struct config_words ahead = pass->words;
	struct config_errors ignored = { 0 };
	struct config_word word, after;

	ahead.errors = &ignored;
	word = config_word_next(&ahead);
	after = config_word_next(&ahead);
	if (after.type == CONFIG_WORD_TEXT && after.line == word.line)
		after = config_word_next(&ahead);
	config_errors_free(&ignored);
	return word.type == CONFIG_WORD_TEXT && word.line > line &&
	       (after.type == CONFIG_WORD_EQUALS || after.type == CONFIG_WORD_APPEND ||
		after.type == CONFIG_WORD_OPEN);
}

/* Reads a list of which the opening brace has been read. */
static void list_read(struct pass *pass, struct statement *statement, int line)
{
	struct config_word word;
	bool after_value = false;

	for (;;) {
		word = config_word_peek(&pass->words);
		if (word.type == CONFIG_WORD_END || statement_follows(pass, line)) {
			statement->is_wrong = true;
			if (!pass->words.broken)
				config_error(errors_of(pass), line,
					     "list of " NAME_FORMAT
					     " is not closed, expected \"}\"",
					     NAME_OF(&statement->name));
			return;
		}
		config_word_next(&pass->words);
		if (word.type == CONFIG_WORD_CLOSE)
			return;
		if (word.type == CONFIG_WORD_TEXT && !after_value) {
			after_value = true;
		} else if (word.type == CONFIG_WORD_COMMA && after_value) {
			after_value = false;
		} else {
			statement->is_wrong = true;
			config_error(errors_of(pass), word.line,
				     "unexpected " NAME_FORMAT " in the list of " NAME_FORMAT
				     ", expected %s",
				     NAME_OF(&word), NAME_OF(&statement->name),
				     after_value ? "\",\" or \"}\"" : "a value or \"}\"");
			after_value = word.type == CONFIG_WORD_TEXT;
		}
	}
}

/* Reads what comes after "KEY" when that is "=" or "+=". */
static void value_read(struct pass *pass, struct statement *statement)
{
	struct config_word sign = config_word_next(&pass->words);
	struct config_word value = config_word_peek(&pass->words);

	statement->is_append = sign.type == CONFIG_WORD_APPEND;
	if (value.type == CONFIG_WORD_OPEN) {
		statement->is_list = true;
		config_word_next(&pass->words);
		list_read(pass, statement, value.line);
	} else if (value.type == CONFIG_WORD_TEXT && !statement_follows(pass, sign.line)) {
		config_word_next(&pass->words);
	} else {
		syntax_report(pass, statement, &value, "a value");
		line_skip(pass, sign.line);
	}
}

/* Reads a statement up to its end, or of a section up to its opening brace. */
static void statement_read(struct pass *pass, const struct scope *scope,
			   struct statement *statement)
{
	const cfg_opt_t *option = option_find(scope->options, &statement->name);
	struct config_word word = config_word_peek(&pass->words);

	if (word.type == CONFIG_WORD_EQUALS || word.type == CONFIG_WORD_APPEND) {
		value_read(pass, statement);
		return;
	}
	if (word.type == CONFIG_WORD_TEXT && word.line == statement->name.line &&
	    (!option || is_section(option))) {
		statement->title = config_word_next(&pass->words);
		word = config_word_peek(&pass->words);
	}
	if (word.type == CONFIG_WORD_OPEN) {
		statement->is_section = true;
		config_word_next(&pass->words);
		return;
	}
	syntax_report(pass, statement, &word,
		      !option		   ? "\"=\" or \"{\""
		      : is_section(option) ? "NAME {"
					   : "\"=\"");
	line_skip(pass, statement->name.line);
}

static void key_line_note(int *first_line, const struct statement *statement)
{
	if (*first_line <= 0)
		*first_line = statement->is_wrong ? -statement->name.line : statement->name.line;
}

/* Checks a key's statement against its option. */
static void key_check(struct pass *pass, const struct scope *scope, const cfg_opt_t *option,
		      struct statement *statement)
{
	int *first_line = &scope->key_lines[option - scope->options];
	bool is_list = (option->flags & CFGF_LIST) != 0;
	int line = statement->name.line;

	statement->is_wrong = true;
	if (statement->is_section)
		config_error(errors_of(pass), line, "\"%s\" is no section, expected %s = %s",
			     option->name, option->name, is_list ? "{ VALUE, ... }" : "VALUE");
	else if (statement->is_list && !is_list)
		config_error(errors_of(pass), line, "\"%s\" takes no list, expected one value",
			     option->name);
	else if (statement->is_append && !is_list)
		config_error(errors_of(pass), line, "\"%s\" takes no list, expected \"=\"",
			     option->name);
	else if (*first_line > 0 && !statement->is_append)
		config_error(errors_of(pass), line,
			     "\"%s\" is already given at line %d, expected it once", option->name,
			     *first_line);
	else
		statement->is_wrong = false;
	key_line_note(first_line, statement);
}

/* Checks the head of a section against its option. */
static void section_check(struct pass *pass, const cfg_opt_t *option, struct statement *statement)
{
	bool has_title = statement->title.type != CONFIG_WORD_END;
	bool wants_title = (option->flags & CFGF_TITLE) != 0;

	if (statement->is_section && has_title == wants_title)
		return;
	statement->is_wrong = true;
	if (!statement->is_section)
		config_error(errors_of(pass), statement->name.line,
			     "\"%s\" is a section, expected %s%s { ... }", option->name,
			     option->name, wants_title ? " NAME" : "");
	else
		config_error(errors_of(pass), statement->name.line,
			     "section \"%s\" has %s, expected %s%s { ... }", option->name,
			     wants_title ? "no name" : "a name", option->name,
			     wants_title ? " NAME" : "");
}

/* True when the statement is a section of the outermost level within another:
 * its closing brace is missing, and nothing after this is where it seems. */
static bool is_misplaced(struct pass *pass, const struct scope *scope,
			 const struct statement *statement)
{
	const cfg_opt_t *option = option_find(pass->root, &statement->name);

	return scope->name && statement->is_section && option && is_section(option);
}

static void unknown_check(struct pass *pass, const struct scope *scope, struct statement *statement)
{
	statement->is_wrong = true;
	if (is_misplaced(pass, scope, statement)) {
		config_error(errors_of(pass), scope->line,
			     "section \"%s\" is not closed, expected \"}\" before line %d",
			     scope->name, statement->name.line);
		pass_stop(pass, scope, statement->name.start);
	} else {
		unknown_report(pass, scope, statement);
	}
}

static void section_walk(struct pass *pass, const struct scope *scope);

static void subsection_walk(struct pass *pass, const struct scope *scope, const cfg_opt_t *option,
			    int line)
{
	int key_lines[CONFIG_OPTIONS_MAX] = { 0 };
	struct config_text *text = pass->words.text;
	struct scope inner = { option->subopts, option->name, line, scope->depth + 1, key_lines };
	int *began;

	section_walk(pass, &inner);
	began = array_add(&text->section_lines, &text->section_count, sizeof(*began));
	if (began)
		*began = line;
	else
		errors_of(pass)->no_memory = true;
}

static void statement_walk(struct pass *pass, const struct scope *scope,
			   const struct config_word *name)
{
	struct statement statement = { .name = *name, .title = { .type = CONFIG_WORD_END } };
	const cfg_opt_t *option = option_find(scope->options, name);

	statement_read(pass, scope, &statement);
	if (statement.is_wrong) {
		if (option)
			key_line_note(&scope->key_lines[option - scope->options], &statement);
	} else if (!option) {
		unknown_check(pass, scope, &statement);
	} else if (is_section(option)) {
		section_check(pass, option, &statement);
	} else {
		key_check(pass, scope, option, &statement);
	}
	if (pass->words.broken)
		pass_stop(pass, scope, name->start);
	if (pass->stopped)
		return;
	if (statement.is_section && !statement.is_wrong) {
		subsection_walk(pass, scope, option, name->line);
		return;
	}
	if (statement.is_section)
		body_skip(pass, scope, name);
	if (statement.is_wrong)
		config_text_blank(pass->words.text, name->start, pass->words.taken);
}

/* Walks over the statements of a section up to and with its closing brace, or
 * up to the end of the file. */
static void section_walk(struct pass *pass, const struct scope *scope)
{
	struct config_word word;

	while (!pass->stopped) {
		word = config_word_next(&pass->words);
		if (word.type == CONFIG_WORD_END) {
			if (scope->name && !pass->words.broken)
				config_error(errors_of(pass), scope->line,
					     "section \"%s\" is not closed, expected \"}\"",
					     scope->name);
			pass_stop(pass, scope,
				  pass->words.broken ? pass->words.broken_at : word.start);
		} else if (word.type == CONFIG_WORD_TEXT) {
			statement_walk(pass, scope, &word);
		} else if (word.type == CONFIG_WORD_CLOSE && scope->name) {
			return;
		} else {
			config_error(errors_of(pass), word.line,
				     "unexpected " NAME_FORMAT ", expected a key or a section",
				     NAME_OF(&word));
			if (word.type != CONFIG_WORD_CLOSE)
				line_skip(pass, word.line);
			config_text_blank(pass->words.text, word.start, pass->words.taken);
		}
	}
}

/* Ends the text where it could not be understood any more, with the sections
 * closed that are open there, so that libconfuse can read what comes before. */
static void text_cut(struct config_text *text, const struct pass *pass)
{
	text->is_cut = pass->cut_at < text->length || pass->cut_depth > 0;
	text->length = pass->cut_at;
	for (unsigned i = 0; i < pass->cut_depth; i++)
		text->text[text->length++] = '}';
	text->text[text->length++] = '\n';
	text->text[text->length] = '\0';
}

void config_text_check(struct config_text *text, cfg_opt_t *options, struct config_errors *errors)
{
	struct pass pass = {
		.words = { .text = text, .errors = errors, .line = 1 },
		.root = options,
	};
	struct scope file = { .options = options, .key_lines = text->key_lines };
	size_t text_length = strlen(text->text);

	section_walk(&pass, &file);
	/* The walk ends at a NUL byte, be it the text's end or in its midst. */
	if (text_length < text->length)
		config_error(errors, pass.words.line, "NUL byte, expected text");
	text_cut(text, &pass);
}

int config_text_section_line(struct config_text *text)
{
	return text->section_next < text->section_count ? text->section_lines[text->section_next++]
							: 0;
}
