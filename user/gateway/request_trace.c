// SPDX-License-Identifier: GPL-2.0
/* `sluice trace`: hands what the relays tell of a flow to who asked, until either is gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "address.h"
#include "requests.h"

struct trace {
	struct gateway *gateway;
	struct control_request *request;
	unsigned slot;
	uint64_t lost; /* lines that the client did not take in time */
};

static void end(struct trace *trace, const char *why)
{
	struct gateway *gateway = trace->gateway;

	supervisor_trace_stop(gateway->supervisor, trace->slot);
	gateway->traces[trace->slot] = NULL;
	control_reply_result(trace->request, json_pack("{s:s}", "message", why));
	free(trace);
}

/* The client is gone. */
static void on_gone(void *context)
{
	end(context, "");
}

void request_trace_end_all(struct gateway *gateway)
{
	for (unsigned i = 0; i < TRACES_MAX; i++)
		if (gateway->traces[i])
			end(gateway->traces[i], "the gateway stops");
}

/* ---- events ---- */

static const struct {
	const char *name, *text;
} types[] = {
#define TRACE_TEXT(constant, name, description) [constant] = { name, description },
	TRACE_EVENTS(TRACE_TEXT)
#undef TRACE_TEXT
};

static json_t *time_json(uint64_t us)
{
	time_t seconds = (time_t)(us / 1000000);
	char date[24], text[40];
	struct tm utc = { 0 };

	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text, sizeof(text), "%s.%06uZ", date, (unsigned)(us % 1000000));
	return json_string(text);
}

static json_t *event_json(const struct trace_event *event)
{
	char client[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX], code[FLOW_CODE_MAX];
	json_t *json =
		json_pack("{s:s,s:s,s:o,s:f,s:I,s:s,s:s,s:i,s:I,s:I}", "event",
			  types[event->type].name, "text", types[event->type].text, "time",
			  time_json(event->time_us), "ms", (double)event->since_us / 1000, "flow",
			  (json_int_t)event->flow_id, "client",
			  endpoint_format(event->tuple.client, event->tuple.client_port, client),
			  "remote",
			  endpoint_format(event->tuple.remote, event->tuple.service_port, remote),
			  "trunk_port", event->trunk_port, "up", (json_int_t)event->up, "down",
			  (json_int_t)event->down);

	if (event->type == TRACE_JOINED || event->type == TRACE_ENGINE)
		json_object_set_new(json, "engine", json_string(flow_engine_name(event->engine)));
	if (event->type == TRACE_GIVEN_BACK)
		json_object_set_new(json, "times", json_integer(event->number));
	if (event->type == TRACE_ENDED) {
		json_object_set_new(json, "code",
				    json_string(flow_code(event->end, event->ended_in, code)));
		json_object_set_new(json, "end", json_string(flow_end_name(event->end)));
	}
	if (event->lost)
		json_object_set_new(json, "lost", json_integer(event->lost));
	return json;
}

void request_trace_event(struct gateway *gateway, const struct trace_event *event)
{
	/* A relay's word is not trusted. */
	if (event->type >= TRACE_EVENT_COUNT)
		return;
	for (unsigned i = 0; i < TRACES_MAX; i++) {
		struct trace *trace = gateway->traces[i];
		json_t *json;

		if (!trace || !(event->traces & 1U << i))
			continue;
		json = event_json(event);
		if (trace->lost)
			json_object_set_new(json, "lost",
					    json_integer((json_int_t)(trace->lost + event->lost)));
		if (control_reply_part(trace->request, json))
			trace->lost++;
		else
			trace->lost = 0;
	}
}

/* ---- the request ---- */

/* "*", "ADDRESS" or "ADDRESS:PORT". */
static int client_parse(const char *text, struct trace_filter *filter)
{
	if (strcmp(text, "*") == 0 || address_parse(text, filter->client) == 0)
		return 0;
	return endpoint_parse(text, filter->client, &filter->client_port);
}

void request_trace(struct gateway *gateway, struct control_request *request, const json_t *message)
{
	const char *client = json_string_value(json_object_get(message, "client"));
	const char *remote = json_string_value(json_object_get(message, "remote"));
	struct trace_filter filter = { 0 };
	struct trace *trace;
	unsigned slot = 0;

	if (!client || client_parse(client, &filter)) {
		control_reply_error(request,
				    "\"%.64s\" is no client: an address, with or without "
				    ":PORT, or *",
				    client ?: "");
		return;
	}
	if (!remote || (address_parse(remote, filter.remote) &&
			endpoint_parse(remote, filter.remote, &filter.service_port))) {
		control_reply_error(request, "\"%.64s\" is not ADDRESS:PORT", remote ?: "");
		return;
	}
	while (slot < TRACES_MAX && gateway->traces[slot])
		slot++;
	trace = slot < TRACES_MAX ? calloc(1, sizeof(*trace)) : NULL;
	if (!trace) {
		control_reply_error(request, "%d traces run already, end one of them first",
				    TRACES_MAX);
		return;
	}
	*trace = (struct trace){ .gateway = gateway, .request = request, .slot = slot };
	gateway->traces[slot] = trace;
	control_reply_in_parts(request, on_gone, trace);
	/* In this order: who reads "ready" may connect at once, and is followed. */
	supervisor_trace_start(gateway->supervisor, slot, &filter);
	control_reply_part(request, json_pack("{s:s}", "event", "ready"));
}
