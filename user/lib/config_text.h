/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A configuration file as text and as words, and a first pass over it that
 * makes up for what libconfuse 3.3 lacks: it stops at the first key it does
 * not know or statement it does not understand, takes a section that is not
 * closed for one that is, miscounts the lines of C comments, takes no comments
 * within lists and does not tell where a section began. config_text_check()
 * goes over the text with libconfuse's own option tables, reports all such
 * mistakes and blanks them out, so that libconfuse then reads the rest to the
 * end and the values' mistakes are found in the same run.
 */
#ifndef SLUICE_CONFIG_TEXT_H
#define SLUICE_CONFIG_TEXT_H

#include <confuse.h>
#include <stdbool.h>
#include <stddef.h>

#include "config_errors.h"

/* Most options that a section's table may have. */
#define CONFIG_OPTIONS_MAX 48

/* Deepest nesting of sections in an option table. */
#define CONFIG_DEPTH_MAX 4

struct config_text {
	char *text; /* owned; has CONFIG_DEPTH_MAX + 2 bytes of room behind length */
	size_t length; /* bytes of text in use */
	int *section_lines; /* owned; where each section began, in the order in which they end */
	size_t section_count;
	size_t section_next; /* the one that config_text_section_line() tells next */
	/* By index in the outermost table: line of the key, 0 when it is absent,
	 * negative when all that was given of it has been reported as wrong. */
	int key_lines[CONFIG_OPTIONS_MAX];
	bool is_cut; /* the end of the file could not be understood */
};

/* Reads the file. 0 or a negative errno; free with config_text_free() in either case. */
int config_text_read(struct config_text *text, const char *path);

/* The pass described above. options is libconfuse's table of the outermost level. */
void config_text_check(struct config_text *text, cfg_opt_t *options, struct config_errors *errors);

/* To be called as libconfuse ends one section after the other: where it began. */
int config_text_section_line(struct config_text *text);

void config_text_free(struct config_text *text);

/* ---- words, used by config_text_check() ---- */

enum config_word_type {
	CONFIG_WORD_END, /* of the text, or of what can be understood of it */
	CONFIG_WORD_TEXT, /* bare or quoted */
	CONFIG_WORD_EQUALS, /* = */
	CONFIG_WORD_APPEND, /* += */
	CONFIG_WORD_OPEN, /* { */
	CONFIG_WORD_CLOSE, /* } */
	CONFIG_WORD_COMMA, /* , */
	CONFIG_WORD_OTHER, /* a character that has no meaning here */
};

struct config_word {
	enum config_word_type type;
	size_t start, end; /* offsets in the text, with quotes */
	const char *content; /* without quotes, not terminated */
	int length; /* of content */
	int line;
};

struct config_words {
	struct config_text *text;
	struct config_errors *errors;
	size_t position; /* offset of the next byte to read */
	int line; /* of that byte */
	struct config_word ahead; /* read by config_word_peek() and not taken yet */
	bool has_ahead;
	size_t taken; /* offset behind the last word that was taken */
	bool broken; /* a string or comment has no end: nothing after it can be understood */
	size_t broken_at; /* offset of that string or comment */
};

/* The next word. Comments are blanked out as they are passed. */
struct config_word config_word_next(struct config_words *words);

/* The same without taking it. */
struct config_word config_word_peek(struct config_words *words);

/* Overwrites start..end with spaces, except line ends. */
void config_text_blank(struct config_text *text, size_t start, size_t end);

#endif
