// SPDX-License-Identifier: GPL-2.0
/* `show flows` and `show flow ID`: what the relays say, as JSON. */
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "params.h"
#include "requests.h"

struct flows_question {
	struct gateway *gateway;
	struct control_request *request;
	uint64_t only_id; /* 0: all */
};

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

static const char *flow_identity(const struct gateway *gateway, const struct flow_record *flow)
{
	const struct port_entry *port = registry_port_by_id(gateway->registry, flow->port_id);

	return port ? port_identity(port) : "";
}

static json_t *flow_json(const struct gateway *gateway, const struct flow_record *flow)
{
	char client[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];

	endpoint_format(flow->tuple.client, flow->tuple.client_port, client);
	endpoint_format(flow->tuple.remote, flow->tuple.service_port, remote);
	return json_pack("{s:I,s:s,s:s,s:i,s:s,s:s,s:s,s:s,s:f,s:o,s:o,s:o,s:o}", "id",
			 (json_int_t)flow->id, "client", client, "remote", remote, "trunk_port",
			 flow->trunk_port, "identity", flow_identity(gateway, flow), "state",
			 flow_state_name(flow->state), "end", flow_end_name(flow->end), "engine",
			 flow_engine_name(flow->engine), "age_s", (double)flow->age_ms / 1000, "up",
			 direction_json(&flow->up), "down", direction_json(&flow->down), "lan",
			 lan_json(&flow->lan), "wan", wan_json(flow));
}

/* Nor is it put into words before it is known to have an end. */
static json_t *flow_params_json(const struct flow_record *flow)
{
	return params_are_speakable(&flow->params) ? params_to_json(&flow->params) : json_object();
}

static void reply_one(const struct flows_question *question, const struct flow_record *records,
		      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		json_t *flow;

		if (records[i].id != question->only_id)
			continue;
		flow = flow_json(question->gateway, &records[i]);
		json_object_set_new(flow, "params", flow_params_json(&records[i]));
		json_object_set_new(flow, "idle_s", json_real((double)records[i].idle_ms / 1000));
		control_reply_result(question->request, json_pack("{s:o}", "flow", flow));
		return;
	}
	control_reply_error(question->request, "flow %llu: there is none, or it has ended",
			    (unsigned long long)question->only_id);
}

static void on_flows(struct flow_record *records, size_t count, void *context)
{
	struct flows_question *question = context;
	json_t *array;

	if (!records && count == 0 && question->only_id == 0) {
		control_reply_result(question->request, json_pack("{s:[]}", "flows"));
	} else if (question->only_id) {
		reply_one(question, records, count);
	} else {
		array = json_array();
		for (size_t i = 0; i < count; i++)
			json_array_append_new(array, flow_json(question->gateway, &records[i]));
		control_reply_result(question->request, json_pack("{s:o}", "flows", array));
	}
	free(records);
	free(question);
}

void request_show_flows(struct gateway *gateway, struct control_request *request, uint64_t only_id)
{
	struct flows_question *question = calloc(1, sizeof(*question));

	if (question) {
		*question = (struct flows_question){ gateway, request, only_id };
		if (supervisor_list_flows(gateway->supervisor, on_flows, question) == 0)
			return;
	}
	free(question);
	control_reply_error(request, "out of memory");
}
