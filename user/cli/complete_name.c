/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the names in a usage stand for: flows and addresses that the daemon
 * knows, interfaces, keys of parameters. A daemon that does not answer offers
 * nothing: a shell that is completing has no place for errors.
 */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complete.h"
#include "control.h"
#include "params.h"
#include "top/top.h"

#define AVAILABLE_CONTROLS "/proc/sys/net/ipv4/tcp_available_congestion_control"

/* Endpoints are "[ADDRESS]:PORT" at the longest, an identity is shorter. */
#define OFFER_TEXT_MAX 256

/* The list that `show NOUN` has under its own name; NULL: none to be had. */
static json_t *ask(const struct completion *at, const char *noun)
{
	json_t *request = json_pack("{s:s, s:s}", "verb", "show", "noun", noun);
	json_t *result = NULL, *list = NULL;
	char error[OFFER_TEXT_MAX];
	char *path = NULL;

	if (request && asprintf(&path, "%s/control.sock", at->cli->run_dir) != -1 &&
	    control_call(path, request, &result, error, sizeof(error)) == 0)
		list = json_incref(json_object_get(result, noun));
	free(path);
	json_decref(request);
	json_decref(result);
	return list;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

static void offer_flows(const struct completion *at)
{
	json_t *flows = ask(at, "flows");
	char id[32], ends[OFFER_TEXT_MAX];
	const json_t *flow;
	size_t i;

	json_array_foreach(flows, i, flow) {
		snprintf(id, sizeof(id), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(json_object_get(flow, "id")));
		snprintf(ends, sizeof(ends), "%s to %s", text_of(flow, "client"),
			 text_of(flow, "remote"));
		complete_offer(id, ends);
	}
	json_decref(flows);
}

static void offer_clients(const struct completion *at)
{
	json_t *flows = ask(at, "flows");
	char address[OFFER_TEXT_MAX];
	const json_t *flow;
	size_t i;

	json_array_foreach(flows, i, flow) {
		const char *client = text_of(flow, "client");
		bool bracket = client[0] == '[';
		const char *end = bracket ? strchr(client, ']') : strrchr(client, ':');

		if (!end)
			continue;
		client += bracket;
		snprintf(address, sizeof(address), "%.*s", (int)(end - client), client);
		complete_offer(address, NULL);
	}
	json_decref(flows);
}

static void offer_addresses(const struct completion *at)
{
	json_t *proxies = ask(at, "proxies");
	const json_t *proxy;
	size_t i;

	json_array_foreach(proxies, i, proxy)
		complete_offer(text_of(proxy, "address"), text_of(proxy, "identity"));
	json_decref(proxies);
}

/* Of one address, or with the address before it. */
static void offer_ports(const struct completion *at, const char *address, bool whole)
{
	json_t *ports = ask(at, "ports");
	char text[OFFER_TEXT_MAX];
	const json_t *port;
	size_t i;

	json_array_foreach(ports, i, port) {
		const char *of = text_of(port, "address");
		int number = (int)json_integer_value(json_object_get(port, "service_port"));

		if (address && strcmp(of, address) != 0)
			continue;
		if (whole)
			snprintf(text, sizeof(text), strchr(of, ':') ? "[%s]:%d" : "%s:%d", of,
				 number);
		else
			snprintf(text, sizeof(text), "%d", number);
		complete_offer(text, text_of(port, "identity"));
	}
	json_decref(ports);
}

static void offer_ports_of(const struct completion *at)
{
	offer_ports(at, at->previous, false);
}

static void offer_endpoints(const struct completion *at)
{
	offer_ports(at, NULL, true);
}

static void offer_interfaces(const struct completion *at)
{
	struct if_nameindex *interfaces = if_nameindex();

	(void)at;
	for (struct if_nameindex *one = interfaces; one && one->if_name; one++)
		complete_offer(one->if_name, NULL);
	if (interfaces)
		if_freenameindex(interfaces);
}

static void offer_files(const struct completion *at)
{
	(void)at;
	complete_offer(COMPLETE_FILES, NULL);
}

static void offer_columns(const struct completion *at)
{
	(void)at;
	for (size_t i = 0; i < top_column_count; i++)
		complete_offer(top_columns[i].name, NULL);
}

static void offer_value(const char *key, const char *value)
{
	char text[2 * OFFER_TEXT_MAX];

	snprintf(text, sizeof(text), "%s=%s", key, value);
	complete_offer(text, NULL);
}

static void offer_controls(const char *key)
{
	FILE *file = fopen(AVAILABLE_CONTROLS, "re");
	char name[64];

	while (file && fscanf(file, "%63s", name) == 1)
		if (strcmp(name, "linkrate") != 0)
			offer_value(key, name);
	if (file)
		fclose(file);
	offer_value(key, "linkrate");
}

/* A key; after its "=" the words that its value can be. */
static void offer_parameters(const struct completion *at)
{
	const char *equals = strchr(at->last, '=');
	const char *const *word;
	char text[OFFER_TEXT_MAX];

	if (!equals) {
		for (const char *const *key = params_keys; *key; key++) {
			snprintf(text, sizeof(text), "%s=", *key);
			complete_offer(text, params_expected(*key));
		}
		return;
	}
	snprintf(text, sizeof(text), "%.*s", (int)(equals - at->last), at->last);
	if (!strcmp(text, "flow-control"))
		offer_controls(text);
	for (word = params_words(text); word && *word; word++)
		offer_value(text, *word);
}

void complete_name(const struct completion *at, const char *name)
{
	static const struct {
		const char *name;
		void (*offer)(const struct completion *at);
	} names[] = {
		{ "ID", offer_flows },		{ "CLIENT", offer_clients },
		{ "ADDRESS", offer_addresses }, { "ADDRESS:PORT", offer_endpoints },
		{ "PORT", offer_ports_of },	{ "COLUMN", offer_columns },
		{ "DEV", offer_interfaces },	{ "FILE", offer_files },
		{ "DIR", offer_files },		{ "KEY=VALUE", offer_parameters },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(names[i].name, name))
			names[i].offer(at);
}
