/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reads a configuration file and splits it into words as libconfuse does,
 * except that a quoted string may not run over a line end: none of our values
 * does, and a forgotten quote is found where it is missing.
 */
#include "config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Far above any file of ours; keeps a wrong path from filling the memory. */
#define TEXT_MAX (256U << 20)
#define READ_STEP (64U << 10)

/* What ends a bare word, as in libconfuse's lexer. */
#define NOT_BARE " #\"'\t\n\r={}()+,*/"

#define VARIABLE_NOT_CLOSED "variable is not closed, expected \"}\" on the same line"

/* Room for the closing braces that config_text_check() may add. */
#define TEXT_SPARE (CONFIG_DEPTH_MAX + 2)

static int text_read_all(struct config_text *text, int fd)
{
	size_t room = 0;
	ssize_t taken;
	char *grown;

	do {
		if (room - text->length < READ_STEP) {
			room = room * 2 + READ_STEP;
			grown = realloc(text->text, room + TEXT_SPARE);
			if (!grown)
				return -ENOMEM;
			text->text = grown;
		}
		taken = read(fd, text->text + text->length, room - text->length);
		if (taken < 0 && errno != EINTR)
			return -errno;
		text->length += taken > 0 ? (size_t)taken : 0;
		if (text->length > TEXT_MAX)
			return -EFBIG;
	} while (taken != 0);
	text->text[text->length] = '\0';
	return 0;
}

int config_text_read(struct config_text *text, const char *path)
{
	int fd, result;

	*text = (struct config_text){ 0 };
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	result = text_read_all(text, fd);
	close(fd);
	return result;
}

void config_text_free(struct config_text *text)
{
	free(text->text);
	free(text->section_lines);
	*text = (struct config_text){ 0 };
}

void config_text_blank(struct config_text *text, size_t start, size_t end)
{
	for (size_t i = start; i < end; i++) {
		if (text->text[i] != '\n')
			text->text[i] = ' ';
	}
}

/* Nothing more can be made of the text. */
static void words_break(struct config_words *words, size_t start, int line, const char *what)
{
	config_error(words->errors, line, "%s", what);
	words->broken_at = start;
	words->position = words->text->length;
	words->broken = true;
}

static void line_comment_skip(struct config_words *words)
{
	size_t start = words->position;
	const char *text = words->text->text;

	words->position += strcspn(text + start, "\n");
	config_text_blank(words->text, start, words->position);
}

static void block_comment_skip(struct config_words *words)
{
	size_t start = words->position, end;
	int first_line = words->line;
	const char *text = words->text->text;
	const char *close = strstr(text + start + 2, "*/");

	if (!close) {
		words_break(words, start, first_line, "comment is not closed, expected \"*/\"");
		return;
	}
	end = (size_t)(close - text) + 2;
	for (size_t i = start; i < end; i++)
		words->line += text[i] == '\n';
	config_text_blank(words->text, start, end);
	words->position = end;
}

static void blanks_skip(struct config_words *words)
{
	const char *next;

	for (;;) {
		next = words->text->text + words->position;
		if (*next == '\n') {
			words->line++;
			words->position++;
		} else if (*next == ' ' || *next == '\t' || *next == '\r') {
			words->position++;
		} else if (*next == '#' || (next[0] == '/' && next[1] == '/')) {
			line_comment_skip(words);
		} else if (next[0] == '/' && next[1] == '*') {
			block_comment_skip(words);
		} else {
			return;
		}
	}
}

/* "${NAME}" stands for a variable of the environment: its length; 0 when text
 * is something else, -1 when it is not closed on the same line. */
static ssize_t variable_length(const char *text)
{
	size_t length;

	if (text[0] != '$' || text[1] != '{')
		return 0;
	length = strcspn(text, "}\n");
	return text[length] == '}' ? (ssize_t)length + 1 : -1;
}

/* What follows a backslash in a double-quoted string. libconfuse gives up at
 * an octal number that is no character, and a NUL would end the value there. */
static bool escape_is_valid(const char *escape)
{
	size_t digits = strspn(escape, "0123456789");

	if (escape[0] == 'x' && strspn(escape + 1, "0") > 0)
		return strspn(escape + 1, "0") == 1 &&
		       strspn(escape + 2, "123456789abcdefABCDEF") > 0;
	if (digits == 0)
		return true;
	return digits <= 3 && strspn(escape, "01234567") == digits &&
	       strtoul(escape, NULL, 8) - 1 < 255;
}

static bool quoted_word(struct config_words *words, struct config_word *word)
{
	const char *text = words->text->text;
	char quote = text[word->start];
	size_t i = word->start + 1;
	ssize_t variable;

	while (text[i] != quote) {
		if (text[i] == '\\' && text[i + 1] == '\n')
			words->line++;
		else if (text[i] == '\n' || text[i] == '\0')
			break;
		if (quote == '"' && text[i] == '\\' && !escape_is_valid(text + i + 1)) {
			words_break(words, word->start, words->line,
				    "number after \"\\\" is no character, expected \\1 to \\377");
			return false;
		}
		variable = quote == '"' ? variable_length(text + i) : 0;
		if (variable < 0) {
			words_break(words, word->start, words->line, VARIABLE_NOT_CLOSED);
			return false;
		}
		if (variable > 0)
			i += (size_t)variable;
		else
			i += text[i] == '\\' && text[i + 1] != '\0' ? 2 : 1;
	}
	if (text[i] != quote) {
		words_break(words, word->start, words->line,
			    quote == '"' ? "string is not closed, expected '\"' on the same line"
					 : "string is not closed, expected \"'\" on the same line");
		return false;
	}
	word->type = CONFIG_WORD_TEXT;
	word->content = text + word->start + 1;
	word->length = (int)(i - word->start - 1);
	word->end = i + 1;
	return true;
}

/* A slash belongs to a word only when more of the word follows. */
static size_t bare_length(const char *text)
{
	size_t length = 0;

	for (;;) {
		length += strcspn(text + length, NOT_BARE);
		if (text[length] != '/' || strchr(NOT_BARE, text[length + 1]))
			return length;
		length++;
	}
}

static bool bare_word(struct config_words *words, struct config_word *word)
{
	const char *text = words->text->text + word->start;
	ssize_t variable = variable_length(text);
	size_t length = variable > 0 ? (size_t)variable : bare_length(text);

	if (variable < 0) {
		words_break(words, word->start, words->line, VARIABLE_NOT_CLOSED);
		return false;
	}
	word->type = length > 0 ? CONFIG_WORD_TEXT : CONFIG_WORD_OTHER;
	word->length = length > 0 ? (int)length : 1;
	word->end = word->start + (size_t)word->length;
	return true;
}

static struct config_word word_read(struct config_words *words)
{
	static const char signs[] = "={},";
	static const enum config_word_type types[] = { CONFIG_WORD_EQUALS, CONFIG_WORD_OPEN,
						       CONFIG_WORD_CLOSE, CONFIG_WORD_COMMA };
	struct config_word word = { .type = CONFIG_WORD_END };
	const char *next, *sign;

	blanks_skip(words);
	next = words->text->text + words->position;
	word.start = word.end = words->position;
	word.line = words->line;
	word.content = next;
	if (*next == '\0')
		return word;
	sign = strchr(signs, *next);
	if (*next == '"' || *next == '\'') {
		if (!quoted_word(words, &word))
			return word;
	} else if (sign) {
		word.type = types[sign - signs];
		word.length = 1;
		word.end++;
	} else if (next[0] == '+' && next[1] == '=') {
		word.type = CONFIG_WORD_APPEND;
		word.length = 2;
		word.end += 2;
	} else if (!bare_word(words, &word)) {
		return word;
	}
	words->position = word.end;
	return word;
}

struct config_word config_word_peek(struct config_words *words)
{
	if (!words->has_ahead)
		words->ahead = word_read(words);
	words->has_ahead = true;
	return words->ahead;
}

struct config_word config_word_next(struct config_words *words)
{
	struct config_word word = config_word_peek(words);

	words->has_ahead = false;
	words->taken = word.end;
	return word;
}
