// SPDX-License-Identifier: GPL-2.0
/* `show flows --ended`: the latest flows that have ended, the last one first. */
#include "flow_json.h"
#include "requests.h"

void request_show_ended(struct gateway *gateway, struct control_request *request,
			const json_t *message)
{
	json_int_t limit = json_integer_value(json_object_get(message, "limit"));
	size_t count = ended_flows_kept(&gateway->ended);
	json_t *array = json_array();

	if (limit > 0 && (size_t)limit < count)
		count = (size_t)limit;
	for (size_t i = 0; i < count; i++) {
		const struct ended_flow *flow = ended_flows_get(&gateway->ended, i);

		json_array_append_new(array, flow_ended_json(&flow->record, flow->identity));
	}
	control_reply_result(request, json_pack("{s:o,s:I}", "flows", array, "ended",
						(json_int_t)gateway->ended.count));
}
