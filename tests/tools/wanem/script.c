/* SPDX-License-Identifier: GPL-2.0 */
/* Reads the script; every mistake is named with its line. */
#include "script.h"

#include "units.h"
#include "values.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_WORDS 8

struct reader {
	struct script *script;
	const char *path;
	unsigned line;
	char *words[LINE_WORDS + 1]; /* of this line; NULL ends them */
	unsigned next;
};

static int reject(const struct reader *reader, const char *word, const char *expected)
{
	fprintf(stderr, "wanem: %s:%u: \"%s\" is not %s\n", reader->path, reader->line,
		word ? word : "", expected);
	return -EINVAL;
}

static const char *take_word(struct reader *reader)
{
	const char *word = reader->words[reader->next];

	if (word)
		reader->next++;
	return word;
}

static int take_time(struct reader *reader, int64_t *ns)
{
	const char *word = take_word(reader);
	uint64_t microseconds;

	if (!word || duration_parse(word, &microseconds) ||
	    microseconds > (uint64_t)INT64_MAX / 2000)
		return reject(reader, word, "a time, such as 500ms or 3s");
	*ns = (int64_t)microseconds * 1000;
	return 0;
}

static int take_kind(struct reader *reader, struct change *change)
{
	const char *word = take_word(reader);

	if (word && strcmp(word, "rate") == 0) {
		change->kind = CHANGE_RATE;
		word = take_word(reader);
		return word && rate_read(word, &change->rate) ? 0
							      : reject(reader, word, RATE_EXPECTED);
	}
	if (word && strcmp(word, "loss") == 0) {
		change->kind = CHANGE_LOSS;
		word = take_word(reader);
		return word && loss_read(word, &change->loss) ? 0
							      : reject(reader, word, LOSS_EXPECTED);
	}
	if (word && strcmp(word, "outage") == 0) {
		change->kind = CHANGE_OUTAGE;
		return 0;
	}
	return reject(reader, word, "a change: rate, loss or outage");
}

static bool next_is(const struct reader *reader, const char *word)
{
	return reader->words[reader->next] && strcmp(reader->words[reader->next], word) == 0;
}

static int append(struct script *script, unsigned direction, const struct change *change)
{
	size_t count = script->counts[direction];
	struct change *grown = reallocarray(script->changes[direction], count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	grown[count] = *change;
	script->changes[direction] = grown;
	script->counts[direction]++;
	return 0;
}

static int read_change(struct reader *reader)
{
	struct change change = { .until = INT64_MAX };
	bool directions[2] = { true, true };
	int64_t lasts = 0;
	int error = take_time(reader, &change.at);

	if (!error)
		error = take_kind(reader, &change);
	if (!error && next_is(reader, "for")) {
		reader->next++;
		error = take_time(reader, &lasts);
		change.until = change.at + lasts;
	} else if (!error && change.kind == CHANGE_OUTAGE) {
		return reject(reader, reader->words[reader->next], "\"for\" and how long it lasts");
	}
	if (error)
		return error;
	if (next_is(reader, "a-to-b") || next_is(reader, "b-to-a")) {
		directions[next_is(reader, "a-to-b")] = false;
		reader->next++;
	}
	if (reader->words[reader->next])
		return reject(reader, reader->words[reader->next],
			      "expected here; a line is TIME rate|loss|outage [VALUE] [for TIME] "
			      "[a-to-b|b-to-a]");
	for (unsigned i = 0; i < 2 && !error; i++)
		error = directions[i] ? append(reader->script, i, &change) : 0;
	return error;
}

/* False when the line has too many words. */
static bool split(struct reader *reader, char *line)
{
	unsigned count = 0;
	char *rest = NULL;

	line[strcspn(line, "#")] = '\0';
	reader->next = 0;
	for (char *word = strtok_r(line, " \t\r\n", &rest); word;
	     word = strtok_r(NULL, " \t\r\n", &rest)) {
		if (count == LINE_WORDS)
			return false;
		reader->words[count++] = word;
	}
	reader->words[count] = NULL;
	return true;
}

int script_read(struct script *script, const char *path)
{
	struct reader reader = { .script = script, .path = path };
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int error = 0;

	if (!file) {
		error = -errno;
		fprintf(stderr, "wanem: %s: %s\n", path, strerror(-error));
		return error;
	}
	while (!error && getline(&line, &size, file) >= 0) {
		reader.line++;
		if (!split(&reader, line))
			error = reject(&reader, line, "a change: it has too many words");
		else if (reader.words[0])
			error = read_change(&reader);
	}
	free(line);
	fclose(file);
	return error;
}

void script_destroy(struct script *script)
{
	for (unsigned i = 0; i < 2; i++)
		free(script->changes[i]);
	*script = (struct script){ 0 };
}
