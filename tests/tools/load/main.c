/* SPDX-License-Identifier: GPL-2.0 */
/*
 * load: traffic for benchmarks, and what it took. One program for both ends, as
 * the figures that are asked for need both: the time until the *other* side has
 * all, what arrived when, and answers of a given size.
 */
#include "load.h"

#include "units.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: load VERB [OPTION...]\n"
	"  serve --port PORT [--congestion NAME]\n"
	"                      answer the other verbs; prints \"ready\"\n"
	"  transfer (--up SIZE | --down SIZE) [--limit TIME], or\n"
	"  transfer [--up 1] [--down 1] --seconds TIME\n"
	"                      so many bytes in all, or for so long; both: both ways at once\n"
	"  request --up SIZE --down SIZE --seconds TIME\n"
	"                      requests and answers, one after the other on each connection\n"
	"  reconnect --up SIZE --down SIZE --seconds TIME\n"
	"                      a connection for each request\n"
	"  idle                connections that rest, until standard input ends; \"ready\"\n"
	"  blast --device DEVICE --mac MAC --source ADDRESS --seconds TIME\n"
	"                      segments of no connection, for a gateway to forward\n"
	"All but serve: --address ADDRESS --port PORT --connections N (1) --congestion NAME\n"
	"They print one line of JSON. Times such as 500ms, sizes such as 20MB.\n";

enum {
	OPTION_ADDRESS = 256,
	OPTION_PORT,
	OPTION_CONGESTION,
	OPTION_CONNECTIONS,
	OPTION_UP,
	OPTION_DOWN,
	OPTION_SECONDS,
	OPTION_LIMIT,
	OPTION_DEVICE,
	OPTION_MAC,
	OPTION_SOURCE,
};

static const struct option options[] = {
	{ "address", required_argument, NULL, OPTION_ADDRESS },
	{ "port", required_argument, NULL, OPTION_PORT },
	{ "congestion", required_argument, NULL, OPTION_CONGESTION },
	{ "connections", required_argument, NULL, OPTION_CONNECTIONS },
	{ "up", required_argument, NULL, OPTION_UP },
	{ "down", required_argument, NULL, OPTION_DOWN },
	{ "seconds", required_argument, NULL, OPTION_SECONDS },
	{ "limit", required_argument, NULL, OPTION_LIMIT },
	{ "device", required_argument, NULL, OPTION_DEVICE },
	{ "mac", required_argument, NULL, OPTION_MAC },
	{ "source", required_argument, NULL, OPTION_SOURCE },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const struct {
	const char *name;
	int (*run)(const struct settings *settings);
} verbs[] = {
	{ "serve", serve },	    { "transfer", transfer }, { "request", request },
	{ "reconnect", reconnect }, { "idle", idle },	      { "blast", blast },
};

static _Noreturn void reject(const char *text, const char *expected)
{
	fprintf(stderr, "load: \"%s\" is not %s\n", text, expected);
	exit(2);
}

static uint64_t read_number(const char *text, uint64_t max, const char *expected)
{
	uint64_t number;

	if (number_parse(text, 1, max, &number))
		reject(text, expected);
	return number;
}

static uint64_t read_size(const char *text)
{
	uint64_t size;

	if (size_parse(text, &size))
		reject(text, "a size, such as 20MB");
	return size;
}

static double read_time(const char *text)
{
	uint64_t microseconds;

	if (duration_parse(text, &microseconds))
		reject(text, "a time, such as 500ms");
	return (double)microseconds / 1e6;
}

static void take_option(struct settings *settings, int option, const char *text)
{
	switch (option) {
	case OPTION_ADDRESS:
		settings->address = text;
		break;
	case OPTION_PORT:
		settings->port = (uint16_t)read_number(text, 65535, "a port");
		break;
	case OPTION_CONGESTION:
		settings->congestion = text;
		break;
	case OPTION_CONNECTIONS:
		settings->connections = (unsigned)read_number(text, 1000000,
							      "a number of connections");
		break;
	case OPTION_UP:
		settings->up = read_size(text);
		break;
	case OPTION_DOWN:
		settings->down = read_size(text);
		break;
	case OPTION_SECONDS:
		settings->seconds = read_time(text);
		break;
	case OPTION_LIMIT:
		settings->limit = read_time(text);
		break;
	case OPTION_DEVICE:
		settings->device = text;
		break;
	case OPTION_MAC:
		settings->mac = text;
		break;
	case OPTION_SOURCE:
		settings->source = text;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		fputs("Try load --help.\n", stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct settings settings = { .connections = 1, .limit = 600 };
	int option;

	signal(SIGPIPE, SIG_IGN);
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		take_option(&settings, option, optarg);
	if (optind != argc - 1)
		reject(optind < argc ? argv[optind + 1] : "", "one verb; try load --help");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[optind], verbs[i].name) != 0)
			continue;
		if (!settings.port)
			reject("", "a port: --port is missing");
		if (verbs[i].run != serve && !settings.address)
			reject("", "an address: --address is missing");
		return verbs[i].run(&settings);
	}
	reject(argv[optind], "a verb; try load --help");
}
