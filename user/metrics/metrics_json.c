// SPDX-License-Identifier: GPL-2.0
/* See metrics_json.h. */
#include "metrics_json.h"

#include <jansson.h>
#include <netinet/in.h>

#include "address.h"

/* ---- figures of flows ---- */

/* null when there is nothing that it would be of. */
static json_t *spread_json(const struct flow_spread *spread, uint32_t count)
{
	if (count == 0)
		return json_null();
	return json_pack("{s:I,s:f,s:I}", "min", (json_int_t)spread->min, "mean",
			 (double)spread->sum / count, "max", (json_int_t)spread->max);
}

/* Only the ways that there were. */
static json_t *ended_json(const struct flow_totals *totals)
{
	json_t *object = json_object();

	for (unsigned end = 0; end < FLOW_END_COUNT; end++)
		if (totals->ended[end])
			json_object_set_new(object, flow_end_name(end),
					    json_integer((json_int_t)totals->ended[end]));
	return object;
}

/* All ways, with what they mean. */
static json_t *outcomes_json(const struct flow_totals *totals)
{
	static const char *const meanings[] = {
#define MEANING(constant, name, letter, description) [constant] = description,
		FLOW_ENDS(MEANING)
#undef MEANING
	};
	json_t *array = json_array();

	for (unsigned end = FLOW_END_NONE + 1; end < FLOW_END_COUNT; end++)
		json_array_append_new(array, json_pack("{s:s,s:I,s:s}", "name", flow_end_name(end),
						       "value", (json_int_t)totals->ended[end],
						       "meaning", meanings[end]));
	return array;
}

static json_t *figures_json(const struct flow_figures *figures)
{
	const struct flow_totals *totals = &figures->totals;
	const struct flow_sample *now = &figures->now;

	return json_pack("{s:I,s:I,s:o,s:{s:I,s:I,s:I,s:I},s:{s:I,s:I},s:{s:I,s:I,s:I,s:o,s:o}}",
			 "flows", (json_int_t)figures->alive, "begun", (json_int_t)totals->begun,
			 "ended", ended_json(totals), "bytes", "up", (json_int_t)totals->bytes_up,
			 "down", (json_int_t)totals->bytes_down, "kernel_up",
			 (json_int_t)totals->kernel_up, "kernel_down",
			 (json_int_t)totals->kernel_down, "backlog", "up",
			 (json_int_t)now->backlog_up, "down", (json_int_t)now->backlog_down, "wan",
			 "legs", (json_int_t)now->wan_legs, "subflows", (json_int_t)now->subflows,
			 "retrans", (json_int_t)totals->retrans, "rtt_us",
			 spread_json(&now->rtt_us, now->wan_legs), "cwnd",
			 spread_json(&now->cwnd, now->wan_legs));
}

static json_t *states_json(const struct flow_sample *now)
{
	json_t *object = json_object();

	for (unsigned state = 0; state < FLOW_ENDED; state++) {
		json_int_t count = 0;

		for (unsigned engine = 0; engine < FLOW_ENGINE_COUNT; engine++)
			count += now->flows[state][engine];
		json_object_set_new(object, flow_state_name(state), json_integer(count));
	}
	return object;
}

/* Of flows that carry bytes. */
static json_t *engines_json(const struct flow_sample *now)
{
	json_t *object = json_object();

	for (unsigned engine = 0; engine < FLOW_ENGINE_COUNT; engine++) {
		json_int_t count = 0;

		for (unsigned state = FLOW_OPEN; state < FLOW_ENDED; state++)
			count += now->flows[state][engine];
		json_object_set_new(object, flow_engine_name(engine), json_integer(count));
	}
	return object;
}

/* ---- the rest ---- */

static json_t *remotes_json(const struct metrics_snapshot *snapshot)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < snapshot->remote_count; i++) {
		const struct metrics_remote *remote = &snapshot->remotes[i];
		char address[INET6_ADDRSTRLEN];
		json_t *object = json_pack("{s:s,s:i,s:i,s:s,s:b,s:b}", "address",
					   address_format(remote->address, address), "port",
					   remote->service_port, "trunk_port", remote->trunk_port,
					   "identity", remote->identity, "nexthop", remote->nexthop,
					   "draining", remote->draining);

		json_object_update_new(object, figures_json(&remote->figures));
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *processes_json(const struct metrics_snapshot *snapshot)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < snapshot->process_count; i++) {
		const struct metrics_process_figures *process = &snapshot->processes[i];
		json_t *object = json_pack("{s:s,s:i,s:s,s:i,s:i,s:I,s:I}", "name", process->name,
					   "index", (int)process->index, "state", process->state,
					   "pid", (int)process->pid, "restarts",
					   (int)process->restarts, "cpu_us",
					   (json_int_t)process->cpu_us, "resident",
					   (json_int_t)process->resident_bytes);

		if (process->is_relay) {
			json_object_set_new(object, "flows",
					    json_integer((json_int_t)process->flows));
			json_object_set_new(object, "flow_limit",
					    json_integer((json_int_t)process->flow_limit));
		}
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *interfaces_json(const struct metrics_snapshot *snapshot)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < snapshot->interface_count; i++) {
		const struct metrics_interface *interface = &snapshot->interfaces[i];

		json_array_append_new(array, json_pack("{s:s,s:s,s:s}", "dev", interface->dev,
						       "side", interface->is_lan ? "lan" : "wan",
						       "attach", interface->attached_by));
	}
	return array;
}

static json_t *table_json(const struct metrics_table *table)
{
	return json_pack("{s:I,s:I}", "entries", (json_int_t)table->entries, "limit",
			 (json_int_t)table->limit);
}

/* A list, so that the order of include/counters.h is kept. */
static json_t *counters_json(const struct metrics_snapshot *snapshot)
{
	json_t *intercept = json_array(), *relay = json_array(), *registrar = json_array();
	json_t *log = json_array();

#define ADD_COUNTER(array, group, name, description)                                        \
	json_array_append_new(array, json_pack("{s:s,s:I,s:s}", "name", #name, "value",     \
					       (json_int_t)snapshot->group.name, "meaning", \
					       description));
#define ADD_INTERCEPT(name, description) ADD_COUNTER(intercept, intercept, name, description)
#define ADD_RELAY(name, description) ADD_COUNTER(relay, relays, name, description)
#define ADD_REGISTRAR(name, description) ADD_COUNTER(registrar, registrar, name, description)
#define ADD_LOG(name, description) ADD_COUNTER(log, log, name, description)
	INTERCEPT_COUNTERS(ADD_INTERCEPT)
	RELAY_COUNTERS(ADD_RELAY)
	REGISTRAR_COUNTERS(ADD_REGISTRAR)
	LOG_COUNTERS(ADD_LOG)
#undef ADD_INTERCEPT
#undef ADD_RELAY
#undef ADD_REGISTRAR
#undef ADD_LOG
#undef ADD_COUNTER
	return json_pack("{s:o,s:o,s:o,s:o}", "intercept", intercept, "relay", relay, "registrar",
			 registrar, "log", log);
}

char *metrics_json(const struct metrics_snapshot *snapshot)
{
	const struct flow_sample *now = &snapshot->figures.now;
	json_t *root = json_pack(
		"{s:s,s:s,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:o,s:{s:o,s:o,s:o,s:o},s:I,s:o}",
		"version", SLUICE_VERSION, "state", snapshot->state, "taken_us",
		(json_int_t)snapshot->taken_us, "uptime_s",
		(json_int_t)(snapshot->uptime_us / 1000000), "all",
		figures_json(&snapshot->figures), "states", states_json(now), "engines",
		engines_json(now), "outcomes", outcomes_json(&snapshot->figures.totals), "remotes",
		remotes_json(snapshot), "remotes_omitted", (json_int_t)snapshot->remotes_omitted,
		"processes", processes_json(snapshot), "interfaces", interfaces_json(snapshot),
		"tables", "proxies", table_json(&snapshot->proxies), "ports",
		table_json(&snapshot->ports), "params", table_json(&snapshot->params), "half_open",
		table_json(&snapshot->half_open), "services", (json_int_t)snapshot->services,
		"counters", counters_json(snapshot));
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}
