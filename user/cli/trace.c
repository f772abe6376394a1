/* SPDX-License-Identifier: GPL-2.0 */
/* sluice trace: follows connections through the gateway, a line for each event. */
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "cli.h"
#include "control.h"
#include "units.h"

struct following {
	const struct cli *cli;
	uint64_t left; /* flows to see the end of; 0: until interrupted */
	char outlook[1024]; /* what is said once connections are followed */
};

static const char *member(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

static long long number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* What one event has to say besides its text. */
static void print_details(const json_t *event)
{
	const char *name = member(event, "event");

	if (!strcmp(name, "wan-connect"))
		printf(", to port %lld", number(event, "trunk_port"));
	if (*member(event, "engine"))
		printf(", engine %s", member(event, "engine"));
	if (number(event, "times") > 1)
		printf(", for the %lldth time", number(event, "times"));
	if (*member(event, "code"))
		printf(": %s %s", member(event, "code"), member(event, "end"));
	if (!strcmp(name, "up-closed") || !strcmp(name, "down-closed") || !strcmp(name, "ended") ||
	    !strcmp(name, "running"))
		printf(", %lld bytes up, %lld down", number(event, "up"), number(event, "down"));
	if (number(event, "lost"))
		printf(" (%lld events before this one are lost)", number(event, "lost"));
}

static void print_event(const json_t *event)
{
	const char *time = member(event, "time");
	size_t day = strcspn(time, "T");

	printf("%s %+11.3f ms  flow %lld %s  %-14s %s", time[day] ? time + day + 1 : time,
	       json_number_value(json_object_get(event, "ms")), number(event, "flow"),
	       member(event, "client"), member(event, "event"), member(event, "text"));
	print_details(event);
	putchar('\n');
}

/* False: enough was seen, or nobody reads. */
static bool on_part(const json_t *event, void *context)
{
	struct following *following = context;
	const char *name = member(event, "event");

	if (following->cli->json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (!strcmp(name, "ready")) {
		puts(following->outlook);
	} else {
		print_event(event);
	}
	if (fflush(stdout))
		return false;
	return strcmp(name, "ended") || following->left == 0 || --following->left > 0;
}

/* A connection that would not be taken has no events: this is said at once. */
static int find_outlook(struct following *following, const char *client, const char *remote)
{
	json_t *result;
	int r = cli_ask(following->cli,
			json_pack("{s:s, s:s, s:s}", "verb", "explain", "client", client, "remote",
				  remote),
			&result);

	if (r)
		return r;
	if (strcmp(member(result, "outcome"), "taken"))
		snprintf(following->outlook, sizeof(following->outlook),
			 "such connections are %s now (%s), see sluice explain %s %s",
			 member(result, "outcome"), member(result, "reason"), client, remote);
	json_decref(result);
	return 0;
}

static int follow(const struct cli *cli, struct following *following, const char *client,
		  const char *remote)
{
	json_t *request = json_pack("{s:s, s:s, s:s}", "verb", "trace", "client", client, "remote",
				    remote);
	char path[4096], error[1024];
	const char *message;
	json_t *result;
	int r;

	snprintf(path, sizeof(path), "%s/control.sock", cli->run_dir);
	r = control_follow(path, request, on_part, following, &result, error, sizeof(error));
	json_decref(request);
	if (r)
		return cli_fail("%s", error);
	message = member(result, "message");
	if (*message)
		fprintf(stderr, "sluice: trace: %s\n", message);
	json_decref(result);
	return 0;
}

int verb_trace(const struct cli *cli, int count, char **arguments)
{
	struct following following = { .cli = cli, .outlook = "waiting for connections, ^C ends" };
	uint8_t client[16], remote[16];
	uint16_t port = 0;

	if (count != 2)
		return cli_usage(cli, "a client and a remote's address and port are needed");
	if (strcmp(arguments[0], "*") && address_parse(arguments[0], client)) {
		if (endpoint_parse(arguments[0], client, &port))
			return cli_usage(cli, "\"%s\" is no client: ADDRESS, ADDRESS:PORT or \"*\"",
					 arguments[0]);
		following.left = 1;
	}
	if (endpoint_parse(arguments[1], remote, &port))
		return cli_usage(cli, "\"%s\" is neither ADDRESS:PORT nor [ADDRESS]:PORT",
				 arguments[1]);
	if (cli->given[CLI_COUNT] &&
	    number_parse(cli->given[CLI_COUNT], 1, UINT32_MAX, &following.left))
		return cli_usage(cli, "-n is how many flows to see the end of, 1 at least");
	if (strcmp(arguments[0], "*")) {
		int r = find_outlook(&following, arguments[0], arguments[1]);

		if (r)
			return r;
	}
	return follow(cli, &following, arguments[0], arguments[1]);
}
