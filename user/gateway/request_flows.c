// SPDX-License-Identifier: GPL-2.0
/* `show flows` and `show flow ID`: what the relays say, as JSON. */
#include <stdlib.h>
#include <string.h>

#include "flow_json.h"
#include "requests.h"

struct flows_question {
	struct gateway *gateway;
	struct control_request *request;
	uint64_t only_id; /* 0: all */
};

const char *request_flow_identity(const struct gateway *gateway, const struct flow_record *flow)
{
	const struct port_entry *port = registry_port_by_id(gateway->registry, flow->port_id);

	return port ? port_identity(port) : "";
}

static void reply_one(const struct flows_question *question, const struct flow_record *records,
		      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		json_t *flow;

		if (records[i].id != question->only_id)
			continue;
		flow = flow_json(&records[i],
				 request_flow_identity(question->gateway, &records[i]));
		json_object_set_new(flow, "params", flow_params_json(&records[i]));
		json_object_set_new(flow, "idle_s", json_real((double)records[i].idle_ms / 1000));
		control_reply_result(question->request, json_pack("{s:o}", "flow", flow));
		return;
	}
	control_reply_error(question->request, "flow %llu: there is none, or it has ended",
			    (unsigned long long)question->only_id);
}

struct flows_answer {
	const struct gateway *gateway;
	const struct flow_record *records;
};

static json_t *answer_flow(size_t index, void *context)
{
	const struct flows_answer *answer = context;
	const struct flow_record *record = &answer->records[index];

	return flow_json(record, request_flow_identity(answer->gateway, record));
}

static void on_flows(struct flow_record *records, size_t count, void *context)
{
	struct flows_question *question = context;
	struct flows_answer answer = { question->gateway, records };

	if (question->only_id)
		reply_one(question, records, count);
	else
		control_reply_list(question->request, "flows", count, answer_flow, &answer);
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
