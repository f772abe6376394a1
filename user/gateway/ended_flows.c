// SPDX-License-Identifier: GPL-2.0
/* See ended_flows.h. */
#include "ended_flows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "address.h"
#include "flow_json.h"
#include "gateway_config.h"
#include "log.h"

int ended_flows_init(struct ended_flows *ended)
{
	void *counters = mmap(NULL, sizeof(*ended->counters), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	memset(ended, 0, sizeof(*ended));
	if (counters == MAP_FAILED)
		return -ENOMEM;
	ended->counters = counters;
	ended->kept = calloc(ENDED_FLOWS_KEPT, sizeof(*ended->kept));
	return ended->kept ? 0 : -ENOMEM;
}

void ended_flows_free(struct ended_flows *ended)
{
	flow_log_close(ended->flow_log);
	free(ended->kept);
	if (ended->counters)
		munmap(ended->counters, sizeof(*ended->counters));
}

int ended_flows_prepare(const struct ended_flows *ended, const struct gateway_config *config,
			sd_event *event, const char *user, struct flow_log **flow_log, char *error,
			size_t size)
{
	*flow_log = NULL;
	if (!config->flow_log)
		return 0;
	return flow_log_open(config->flow_log, event, user, ended->counters, flow_log, error, size);
}

void ended_flows_apply(struct ended_flows *ended, const struct gateway_config *config,
		       struct flow_log *flow_log)
{
	flow_log_retire(ended->flow_log);
	ended->flow_log = flow_log;
	ended->log_level = config->log_flows;
}

/* key=value, so that it can be searched as it is. */
static void log_line(struct ended_flows *ended, const struct ended_flow *flow)
{
	const struct flow_record *record = &flow->record;
	char client[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX], code[FLOW_CODE_MAX];

	if (!log_enabled(ended->log_level))
		return;
	/* A log that nobody reads must not stop the gateway. */
	if (!log_has_room()) {
		ended->counters->log_dropped++;
		return;
	}
	log_write(ended->log_level,
		  "flow=%llu code=%s end=%s state=%s client=%s remote=%s trunk_port=%u "
		  "identity=\"%s\" duration_s=%.3f up=%llu down=%llu engine=%s lan_rtt_us=%u "
		  "wan_rtt_us=%u wan_retrans=%u",
		  (unsigned long long)record->id, flow_code(record->end, record->ended_in, code),
		  flow_end_name(record->end), flow_state_name(record->ended_in),
		  endpoint_format(record->tuple.client, record->tuple.client_port, client),
		  endpoint_format(record->tuple.remote, record->tuple.service_port, remote),
		  record->trunk_port, flow->identity, (double)record->age_ms / 1000,
		  (unsigned long long)record->up.bytes, (unsigned long long)record->down.bytes,
		  flow_engine_name(record->engine), record->lan.rtt_us, record->wan.rtt_us,
		  record->wan.retrans);
}

static void flow_log_line(struct ended_flows *ended, const struct ended_flow *flow)
{
	json_t *json = flow_ended_json(&flow->record, flow->identity);
	char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (line && flow_log_write(ended->flow_log, line) == 0)
		ended->counters->flow_log_lines++;
	else
		flow_log_count_dropped(ended->counters, 1);
	free(line);
	json_decref(json);
}

void ended_flows_add(struct ended_flows *ended, const struct flow_record *record,
		     const char *identity)
{
	struct ended_flow *flow = &ended->kept[ended->count++ % ENDED_FLOWS_KEPT];

	flow->record = *record;
	snprintf(flow->identity, sizeof(flow->identity), "%s", identity);
	if (ended->log_level)
		log_line(ended, flow);
	if (ended->flow_log)
		flow_log_line(ended, flow);
}

size_t ended_flows_kept(const struct ended_flows *ended)
{
	return ended->count < ENDED_FLOWS_KEPT ? ended->count : ENDED_FLOWS_KEPT;
}

const struct ended_flow *ended_flows_get(const struct ended_flows *ended, size_t ago)
{
	return &ended->kept[(ended->count - 1 - ago) % ENDED_FLOWS_KEPT];
}
