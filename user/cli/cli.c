/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Asking the daemon (user/lib/control_client.c) and telling the operator what
 * came of it, the same for every verb.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "control.h"

/* Room for one line of error, whatever the daemon says. */
#define ERROR_TEXT_MAX 1024

void cli_print_usage(const struct verb *verb, FILE *stream)
{
	const char *form = verb->usage;
	const char *lead = "usage:";

	while (form) {
		const char *end = strchr(form, '\n');
		int len = end ? (int)(end - form) : (int)strlen(form);

		fprintf(stream, "%s sluice %.*s\n", lead, len, form);
		lead = "      ";
		form = end ? end + 1 : NULL;
	}
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "sluice: %s: ", cli->verb->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	cli_print_usage(cli->verb, stderr);
	return CLI_USAGE;
}

int cli_fail(const char *format, ...)
{
	va_list args;

	fputs("sluice: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return CLI_FAILED;
}

int cli_fail_answer(const struct cli *cli)
{
	return cli_fail("cannot read the answer to %s, sluiced is of another version, restart it "
			"or use -j",
			cli->verb->name);
}

/* One of the two: the result, or its text. */
static int ask(const struct cli *cli, json_t *request, json_t **result, char **text)
{
	char error[ERROR_TEXT_MAX];
	char *path;
	int r;

	if (!request || asprintf(&path, "%s/control.sock", cli->run_dir) == -1) {
		json_decref(request);
		return cli_fail("cannot ask sluiced, out of memory, try again");
	}
	if (text)
		r = control_call_text(path, request, text, error, sizeof(error));
	else
		r = control_call(path, request, result, error, sizeof(error));
	if (r)
		r = cli_fail("%s", error);
	free(path);
	json_decref(request);
	return r;
}

int cli_ask(const struct cli *cli, json_t *request, json_t **result)
{
	return ask(cli, request, result, NULL);
}

int cli_pass_on(const struct cli *cli, json_t *request)
{
	char *text;
	int r = ask(cli, request, NULL, &text);

	if (r)
		return r;
	if (puts(text) == EOF || fflush(stdout) == EOF)
		r = cli_fail("cannot print the answer, standard output fails");
	free(text);
	return r;
}

int cli_print_json(const json_t *result)
{
	if (json_dumpf(result, stdout, JSON_INDENT(1) | JSON_ENCODE_ANY))
		return cli_fail("cannot print the answer, standard output fails or memory is out");
	putchar('\n');
	return 0;
}

int cli_change(const struct cli *cli, json_t *request)
{
	const char *message;
	json_t *result;
	int r = cli_ask(cli, request, &result);

	if (r)
		return r;
	message = json_string_value(json_object_get(result, "message"));
	if (cli->json)
		r = cli_print_json(result);
	else if (message)
		puts(message);
	else
		r = cli_fail_answer(cli);
	json_decref(result);
	return r;
}
