/* SPDX-License-Identifier: GPL-2.0 */
/* The command line: every value is checked, every mistake named. */
#include "options.h"

#include "units.h"
#include "values.h"

#include <getopt.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DELAY_MAX_US (60ULL * 1000000)
#define QUEUE_MIN (64ULL * 1024)
#define VALUE_MAX 64

/* Long options without a letter. */
enum { OPTION_MTU = 256, OPTION_OVERHEAD, OPTION_READY_FD, OPTION_SCRIPT };

static const char usage[] =
	"Usage: wanem [OPTION...]\n"
	"Emulates a WAN link between two TUN devices, each in a network namespace.\n"
	"\n"
	"The ends, a and b:\n"
	"  -a, --netns-a NAME|PATH      network namespace of end a (default: this one)\n"
	"  -b, --netns-b NAME|PATH      network namespace of end b (default: this one)\n"
	"  -i, --device-a NAME          device to make at end a (default: wan0)\n"
	"  -j, --device-b NAME          device to make at end b (default: wan0)\n"
	"  -A, --address-a ADDR/PREFIX  give it an address, IPv4 or IPv6; up to 8 times\n"
	"  -B, --address-b ADDR/PREFIX\n"
	"      --mtu BYTES              of both devices (default: 1500)\n"
	"\n"
	"The link; \"VALUE\" for both directions or \"A-TO-B,B-TO-A\":\n"
	"  -r, --rate RATE              such as 100mbit (default: as fast as it goes)\n"
	"  -d, --delay TIME             one way, such as 25ms (default: none)\n"
	"  -q, --queue SIZE             bytes that wait for the link, such as 256KiB (default:\n"
	"                               rate times both delays, at least 64KiB)\n"
	"  -l, --loss PART              of the segments at random, such as 0.001 or 0.1%\n"
	"  -s, --seed NUMBER            the same seed loses the same segments (default: 1)\n"
	"      --overhead BYTES         that a segment takes on the wire besides its IP packet\n"
	"      --script FILE            changes in time, a line each, from when it is ready:\n"
	"                                 TIME rate RATE [for TIME] [a-to-b|b-to-a]\n"
	"                                 TIME loss PART [for TIME] [a-to-b|b-to-a]\n"
	"                                 TIME outage for TIME [a-to-b|b-to-a]\n"
	"\n"
	"      --ready-fd FD            write \"ready\" there when the devices are up (default: 1)\n"
	"  -h, --help                   show this\n"
	"\n"
	"Runs until SIGINT or SIGTERM, then prints its counters as one line of JSON on\n"
	"standard output, as it does on SIGUSR1. Exit status: 0; 1 when it could not run;\n"
	"2 for wrong usage; 3 when packets were lost that the link should have carried.\n";

static const struct option long_options[] = {
	{ "netns-a", required_argument, NULL, 'a' },
	{ "netns-b", required_argument, NULL, 'b' },
	{ "device-a", required_argument, NULL, 'i' },
	{ "device-b", required_argument, NULL, 'j' },
	{ "address-a", required_argument, NULL, 'A' },
	{ "address-b", required_argument, NULL, 'B' },
	{ "mtu", required_argument, NULL, OPTION_MTU },
	{ "rate", required_argument, NULL, 'r' },
	{ "delay", required_argument, NULL, 'd' },
	{ "queue", required_argument, NULL, 'q' },
	{ "loss", required_argument, NULL, 'l' },
	{ "seed", required_argument, NULL, 's' },
	{ "overhead", required_argument, NULL, OPTION_OVERHEAD },
	{ "script", required_argument, NULL, OPTION_SCRIPT },
	{ "ready-fd", required_argument, NULL, OPTION_READY_FD },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int reject(const char *text, const char *expected)
{
	fprintf(stderr, "wanem: \"%s\" is not %s\n", text, expected);
	return 3;
}

/* Parsers of one value of a direction: false when it is not one. */

static bool parse_rate(struct link_settings *direction, const char *text)
{
	return rate_read(text, &direction->rate);
}

static bool parse_delay(struct link_settings *direction, const char *text)
{
	uint64_t microseconds;

	if (duration_parse(text, &microseconds) || microseconds > DELAY_MAX_US)
		return false;
	direction->delay_ns = microseconds * 1000;
	return true;
}

static bool parse_queue(struct link_settings *direction, const char *text)
{
	return !size_parse(text, &direction->queue) && direction->queue > 0;
}

static bool parse_loss(struct link_settings *direction, const char *text)
{
	return loss_read(text, &direction->loss);
}

/* "VALUE" for both directions or "A-TO-B,B-TO-A". */
static int parse_both(struct options *options, const char *text, const char *expected,
		      bool (*parse)(struct link_settings *direction, const char *text))
{
	const char *comma = strchr(text, ',');
	size_t length = comma ? (size_t)(comma - text) : strlen(text);
	char first[VALUE_MAX];

	if (length >= sizeof(first))
		return reject(text, expected);
	memcpy(first, text, length);
	first[length] = '\0';
	if (!parse(&options->directions[0], first) ||
	    !parse(&options->directions[1], comma ? comma + 1 : first))
		return reject(text, expected);
	return 0;
}

static int parse_number(const char *text, uint64_t min, uint64_t max, const char *expected,
			uint64_t *number)
{
	return number_parse(text, min, max, number) ? reject(text, expected) : 0;
}

static int parse_device(struct tun_settings *end, const char *text)
{
	if (!*text || strlen(text) >= IFNAMSIZ || strpbrk(text, "/ %:"))
		return reject(text, "the name of a device");
	end->device = text;
	return 0;
}

static int parse_address(struct tun_settings *end, const char *text)
{
	if (end->address_count == TUN_ADDRESSES_MAX)
		return reject(text, "one of at most 8 addresses of an end");
	end->addresses[end->address_count++] = text;
	return 0;
}

static int parse_common(struct options *options, int option, const char *text)
{
	uint64_t number = 0;
	int status;

	switch (option) {
	case 's':
		status = parse_number(text, 0, UINT64_MAX / 2 - 1, "a seed, a whole number",
				      &number);
		options->directions[0].seed = number * 2;
		options->directions[1].seed = number * 2 + 1;
		return status;
	case OPTION_MTU:
		status = parse_number(text, 68, 65535, "an MTU of 68 to 65535 bytes", &number);
		options->ends[0].mtu = options->ends[1].mtu = (unsigned)number;
		return status;
	case OPTION_SCRIPT:
		return script_read(&options->script, text) ? 3 : 0;
	case OPTION_OVERHEAD:
		status = parse_number(text, 0, 1000, "an overhead of 0 to 1000 bytes", &number);
		options->directions[0].overhead = options->directions[1].overhead =
			(uint32_t)number;
		return status;
	default:
		status = parse_number(text, 0, 1 << 20, "a file descriptor", &number);
		options->ready_fd = (int)number;
		return status;
	}
}

static int parse_option(struct options *options, int option, const char *text)
{
	switch (option) {
	case 'a':
	case 'b':
		options->ends[option == 'b'].netns = text;
		return 0;
	case 'i':
	case 'j':
		return parse_device(&options->ends[option == 'j'], text);
	case 'A':
	case 'B':
		return parse_address(&options->ends[option == 'B'], text);
	case 'r':
		return parse_both(options, text, RATE_EXPECTED, parse_rate);
	case 'd':
		return parse_both(options, text, "a delay of up to 60s, such as 25ms", parse_delay);
	case 'q':
		return parse_both(options, text, "the size of a queue, such as 256KiB",
				  parse_queue);
	case 'l':
		return parse_both(options, text, LOSS_EXPECTED, parse_loss);
	default:
		return parse_common(options, option, text);
	}
}

/* A queue of one bandwidth-delay product where none was asked for. */
static void complete(struct options *options)
{
	double round_trip_ns = (double)options->directions[0].delay_ns +
			       (double)options->directions[1].delay_ns;

	for (unsigned i = 0; i < 2; i++) {
		struct link_settings *direction = &options->directions[i];

		direction->changes = options->script.changes[i];
		direction->change_count = options->script.counts[i];
		if (direction->queue)
			continue;
		direction->queue = (uint64_t)((double)direction->rate / 8e9 * round_trip_ns);
		if (direction->queue < QUEUE_MIN)
			direction->queue = QUEUE_MIN;
	}
}

int options_parse(struct options *options, int argc, char **argv)
{
	int option, status;

	*options = (struct options){
		.ends = { { .device = "wan0", .mtu = 1500 }, { .device = "wan0", .mtu = 1500 } },
		.directions = { { .seed = 2 }, { .seed = 3 } },
		.ready_fd = STDOUT_FILENO,
	};
	while ((option = getopt_long(argc, argv, "a:b:i:j:A:B:r:d:q:l:s:h", long_options, NULL)) !=
	       -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return 1;
		}
		if (option == '?') {
			fputs("Try wanem --help.\n", stderr);
			return 3;
		}
		status = parse_option(options, option, optarg);
		if (status)
			return status;
	}
	if (optind < argc)
		return reject(argv[optind], "an option; try wanem --help");
	complete(options);
	return 0;
}
