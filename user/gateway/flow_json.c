// SPDX-License-Identifier: GPL-2.0
/* See flow_json.h. A record is a relay's word: nothing in it is trusted. */
#include "flow_json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "address.h"
#include "params.h"

static json_t *direction_json(const struct flow_direction *direction)
{
	return json_pack("{s:I,s:I,s:I,s:I}", "bytes", (json_int_t)direction->bytes, "kernel_bytes",
			 (json_int_t)direction->kernel_bytes, "relay_bytes",
			 (json_int_t)direction->relay_bytes, "backlog",
			 (json_int_t)direction->backlog);
}

/* A relay's text is bounded before it is trusted. */
static json_t *cc_json(const struct flow_leg *leg)
{
	json_t *text = json_stringn(leg->cc, strnlen(leg->cc, sizeof(leg->cc)));

	return text ?: json_string("?");
}

static json_t *lan_json(const struct flow_leg *leg)
{
	return json_pack("{s:I,s:I,s:I,s:o}", "rtt_us", (json_int_t)leg->rtt_us, "cwnd",
			 (json_int_t)leg->cwnd, "retrans", (json_int_t)leg->retrans, "cc",
			 cc_json(leg));
}

static json_t *wan_json(const struct flow_record *flow)
{
	const struct flow_leg *leg = &flow->wan;
	json_t *json = lan_json(leg);

	json_object_set_new(json, "pacing_bps", json_integer((json_int_t)leg->pacing_bps));
	json_object_set_new(json, "delivery_bps", json_integer((json_int_t)leg->delivery_bps));
	json_object_set_new(json, "subflows", json_integer((json_int_t)leg->subflows));
	json_object_set_new(json, "fallback", json_boolean(flow->one_connection));
	return json;
}

json_t *flow_json(const struct flow_record *flow, const char *identity)
{
	char client[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];

	endpoint_format(flow->tuple.client, flow->tuple.client_port, client);
	endpoint_format(flow->tuple.remote, flow->tuple.service_port, remote);
	return json_pack("{s:I,s:s,s:s,s:i,s:s,s:s,s:s,s:s,s:f,s:o,s:o,s:o,s:o}", "id",
			 (json_int_t)flow->id, "client", client, "remote", remote, "trunk_port",
			 flow->trunk_port, "identity", identity, "state",
			 flow_state_name(flow->state), "end", flow_end_name(flow->end), "engine",
			 flow_engine_name(flow->engine), "age_s", (double)flow->age_ms / 1000, "up",
			 direction_json(&flow->up), "down", direction_json(&flow->down), "lan",
			 lan_json(&flow->lan), "wan", wan_json(flow));
}

json_t *flow_ended_json(const struct flow_record *flow, const char *identity)
{
	json_t *json = flow_json(flow, identity);
	time_t seconds = (time_t)(flow->ended_ms / 1000);
	char code[FLOW_CODE_MAX], date[24], text[40];
	struct tm utc = { 0 };

	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text, sizeof(text), "%s.%03uZ", date, (unsigned)(flow->ended_ms % 1000));
	json_object_set_new(json, "time", json_string(text));
	json_object_set_new(json, "code", json_string(flow_code(flow->end, flow->ended_in, code)));
	json_object_set_new(json, "ended_in", json_string(flow_state_name(flow->ended_in)));
	json_object_set_new(json, "duration_s", json_real((double)flow->age_ms / 1000));
	return json;
}

/* Nor are parameters put into words before they are known to have an end. */
json_t *flow_params_json(const struct flow_record *flow)
{
	return params_are_speakable(&flow->params) ? params_to_json(&flow->params) : json_object();
}
