// SPDX-License-Identifier: GPL-2.0
/*
 * See metrics_text.h. The figures of flows are in two families each: sluice_NAME
 * of all, sluice_remote_NAME by port entry and identity, never by flow.
 */
#include "metrics_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"

/* remote, port and identity with every character of it escaped. */
#define LABELS_MAX 256

#define PREFIX_ALL "sluice_"
#define PREFIX_REMOTE "sluice_remote_"

/* ---- the format ---- */

static void family(FILE *out, const char *prefix, const char *name, const char *type,
		   const char *help)
{
	fprintf(out, "# HELP %s%s %s.\n# TYPE %s%s %s\n", prefix, name, help, prefix, name, type);
}

/* One sample; labels and more are parts of a list, each may be empty. */
static void sample(FILE *out, const char *prefix, const char *name, const char *labels,
		   const char *more, double value)
{
	fprintf(out, "%s%s", prefix, name);
	if (*labels || *more)
		fprintf(out, "{%s%s%s}", labels, *labels && *more ? "," : "", more);
	/* Counts whole, measures as exact as they are. */
	fprintf(out, (double)(int64_t)value == value ? " %.0f\n" : " %.9g\n", value);
}

/* text as a label's value. out has room for twice its length. */
static void escape(const char *text, char *out)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			*out++ = '\\';
		*out++ = *text;
	}
	*out = '\0';
}

/* A family of one sample. */
static void single(FILE *out, const char *name, const char *type, const char *help, double value)
{
	family(out, PREFIX_ALL, name, type, help);
	sample(out, PREFIX_ALL, name, "", "", value);
}

/* ---- figures of flows, of all or of a port entry ---- */

/* Writes the samples of one family for these figures. */
typedef void figure_writer(FILE *out, const char *prefix, const char *name, const char *labels,
			   const struct flow_figures *figures);

static void write_begun(FILE *out, const char *prefix, const char *name, const char *labels,
			const struct flow_figures *figures)
{
	sample(out, prefix, name, labels, "", (double)figures->totals.begun);
}

static void write_alive(FILE *out, const char *prefix, const char *name, const char *labels,
			const struct flow_figures *figures)
{
	sample(out, prefix, name, labels, "", (double)figures->alive);
}

/* All ways for all; for a port entry those that there were. */
static void write_ended(FILE *out, const char *prefix, const char *name, const char *labels,
			const struct flow_figures *figures)
{
	char more[64];

	for (unsigned end = FLOW_END_NONE + 1; end < FLOW_END_COUNT; end++) {
		if (*labels && figures->totals.ended[end] == 0)
			continue;
		snprintf(more, sizeof(more), "end=\"%s\"", flow_end_name(end));
		sample(out, prefix, name, labels, more, (double)figures->totals.ended[end]);
	}
}

static void write_bytes(FILE *out, const char *prefix, const char *name, const char *labels,
			const struct flow_figures *figures)
{
	const struct flow_totals *totals = &figures->totals;

	sample(out, prefix, name, labels, "direction=\"up\",by=\"kernel\"",
	       (double)totals->kernel_up);
	sample(out, prefix, name, labels, "direction=\"up\",by=\"relay\"",
	       (double)(totals->bytes_up - totals->kernel_up));
	sample(out, prefix, name, labels, "direction=\"down\",by=\"kernel\"",
	       (double)totals->kernel_down);
	sample(out, prefix, name, labels, "direction=\"down\",by=\"relay\"",
	       (double)(totals->bytes_down - totals->kernel_down));
}

static void write_backlog(FILE *out, const char *prefix, const char *name, const char *labels,
			  const struct flow_figures *figures)
{
	sample(out, prefix, name, labels, "direction=\"up\"", (double)figures->now.backlog_up);
	sample(out, prefix, name, labels, "direction=\"down\"", (double)figures->now.backlog_down);
}

static void write_retrans(FILE *out, const char *prefix, const char *name, const char *labels,
			  const struct flow_figures *figures)
{
	sample(out, prefix, name, labels, "", (double)figures->totals.retrans);
}

static void write_wan_legs(FILE *out, const char *prefix, const char *name, const char *labels,
			   const struct flow_figures *figures)
{
	sample(out, prefix, name, labels, "", figures->now.wan_legs);
}

static void write_subflows(FILE *out, const char *prefix, const char *name, const char *labels,
			   const struct flow_figures *figures)
{
	sample(out, prefix, name, labels, "", figures->now.subflows);
}

/* Of no leg there is no round trip: then there is no sample. */
#define SPREAD_WRITER(function, spread, what, unit)                                               \
	static void function(FILE *out, const char *prefix, const char *name, const char *labels, \
			     const struct flow_figures *figures)                                  \
	{                                                                                         \
		const struct flow_sample *now = &figures->now;                                    \
                                                                                                  \
		if (now->wan_legs)                                                                \
			sample(out, prefix, name, labels, "", (double)(what) / (unit));           \
	}
SPREAD_WRITER(write_rtt_min, rtt_us, now->rtt_us.min, 1e6)
SPREAD_WRITER(write_rtt_mean, rtt_us, now->rtt_us.sum, 1e6 * now->wan_legs)
SPREAD_WRITER(write_rtt_max, rtt_us, now->rtt_us.max, 1e6)
SPREAD_WRITER(write_cwnd_min, cwnd, now->cwnd.min, 1.)
SPREAD_WRITER(write_cwnd_mean, cwnd, now->cwnd.sum, 1. * now->wan_legs)
SPREAD_WRITER(write_cwnd_max, cwnd, now->cwnd.max, 1.)

static const struct {
	const char *name, *type, *help;
	figure_writer *write;
} figures_of_flows[] = {
	{ "flows_alive", "gauge", "Flows now, half-open ones included", write_alive },
	{ "flows_begun_total", "counter", "Flows that began, half-open ones included",
	  write_begun },
	{ "flows_ended_total", "counter", "Flows that ended, by the way they did", write_ended },
	{ "bytes_total", "counter",
	  "Bytes taken from clients (up) and remotes (down), and who carried them", write_bytes },
	{ "backlog_bytes", "gauge",
	  "Bytes taken and not yet acknowledged by the receiving peer, by direction",
	  write_backlog },
	{ "wan_legs", "gauge", "WAN legs that the round trips and windows are of", write_wan_legs },
	{ "wan_subflows", "gauge", "TCP connections that these legs consist of", write_subflows },
	{ "wan_rtt_min_seconds", "gauge", "Least smoothed round trip of the WAN legs now",
	  write_rtt_min },
	{ "wan_rtt_mean_seconds", "gauge", "Mean smoothed round trip of the WAN legs now",
	  write_rtt_mean },
	{ "wan_rtt_max_seconds", "gauge", "Greatest smoothed round trip of the WAN legs now",
	  write_rtt_max },
	{ "wan_cwnd_min_segments", "gauge", "Least congestion window of the WAN legs now",
	  write_cwnd_min },
	{ "wan_cwnd_mean_segments", "gauge", "Mean congestion window of the WAN legs now",
	  write_cwnd_mean },
	{ "wan_cwnd_max_segments", "gauge", "Greatest congestion window of the WAN legs now",
	  write_cwnd_max },
	{ "wan_retransmits_total", "counter", "Segments retransmitted on WAN legs", write_retrans },
};

#define FIGURE_COUNT (sizeof(figures_of_flows) / sizeof(figures_of_flows[0]))

static void write_figures(FILE *out, const struct metrics_snapshot *snapshot)
{
	for (size_t i = 0; i < FIGURE_COUNT; i++) {
		family(out, PREFIX_ALL, figures_of_flows[i].name, figures_of_flows[i].type,
		       figures_of_flows[i].help);
		figures_of_flows[i].write(out, PREFIX_ALL, figures_of_flows[i].name, "",
					  &snapshot->figures);
	}
}

static void remote_labels(const struct metrics_remote *remote, char labels[LABELS_MAX])
{
	char address[INET6_ADDRSTRLEN], identity[2 * IDENTITY_NAME_MAX];

	escape(remote->identity, identity);
	snprintf(labels, LABELS_MAX, "remote=\"%s\",port=\"%u\",identity=\"%s\"",
		 address_format(remote->address, address), remote->service_port, identity);
}

/* 0 or -1: no memory. */
static int write_remotes(FILE *out, const struct metrics_snapshot *snapshot)
{
	char(*labels)[LABELS_MAX] = calloc(snapshot->remote_count + 1, sizeof(*labels));

	if (!labels)
		return -1;
	for (uint32_t i = 0; i < snapshot->remote_count; i++)
		remote_labels(&snapshot->remotes[i], labels[i]);
	for (size_t figure = 0; figure < FIGURE_COUNT; figure++) {
		const char *name = figures_of_flows[figure].name;

		family(out, PREFIX_REMOTE, name, figures_of_flows[figure].type,
		       figures_of_flows[figure].help);
		for (uint32_t i = 0; i < snapshot->remote_count; i++)
			figures_of_flows[figure].write(out, PREFIX_REMOTE, name, labels[i],
						       &snapshot->remotes[i].figures);
	}
	free(labels);
	single(out, "remotes_omitted", "gauge",
	       "Port entries with flows that have no series, as there are too many",
	       snapshot->remotes_omitted);
	return 0;
}

static void write_flows(FILE *out, const struct metrics_snapshot *snapshot)
{
	char labels[64];

	family(out, PREFIX_ALL, "flows", "gauge", "Flows now, by state and engine");
	for (unsigned state = 0; state < FLOW_ENDED; state++)
		for (unsigned engine = 0; engine < FLOW_ENGINE_COUNT; engine++) {
			snprintf(labels, sizeof(labels), "state=\"%s\",engine=\"%s\"",
				 flow_state_name(state), flow_engine_name(engine));
			sample(out, PREFIX_ALL, "flows", labels, "",
			       snapshot->figures.now.flows[state][engine]);
		}
}

/* ---- the gateway ---- */

static void write_gateway(FILE *out, const struct metrics_snapshot *snapshot)
{
	static const char *const states[] = { "running", "draining", "stopping" };
	char labels[64];

	family(out, PREFIX_ALL, "build_info", "gauge", "Always 1; the version is a label");
	sample(out, PREFIX_ALL, "build_info", "version=\"" SLUICE_VERSION "\"", "", 1);
	single(out, "start_time_seconds", "gauge", "When the gateway was started, since 1970",
	       (double)(snapshot->started_ms / 1000));
	family(out, PREFIX_ALL, "state", "gauge", "1 for the state that the gateway is in");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		snprintf(labels, sizeof(labels), "state=\"%s\"", states[i]);
		sample(out, PREFIX_ALL, "state", labels, "",
		       strcmp(states[i], snapshot->state) == 0);
	}
	single(out, "registered_services", "gauge", "Port entries that agents have registered",
	       (double)snapshot->services);
}

static void write_tables(FILE *out, const struct metrics_snapshot *snapshot)
{
	const struct {
		const char *labels;
		const struct metrics_table *table;
	} tables[] = {
		{ "table=\"proxies\"", &snapshot->proxies },
		{ "table=\"ports\"", &snapshot->ports },
		{ "table=\"params\"", &snapshot->params },
		{ "table=\"half_open\"", &snapshot->half_open },
	};
	const size_t count = sizeof(tables) / sizeof(tables[0]);

	family(out, PREFIX_ALL, "table_entries", "gauge", "Entries of a table");
	for (size_t i = 0; i < count; i++)
		sample(out, PREFIX_ALL, "table_entries", tables[i].labels, "",
		       (double)tables[i].table->entries);
	family(out, PREFIX_ALL, "table_entries_limit", "gauge",
	       "Entries that a table has room for");
	for (size_t i = 0; i < count; i++)
		sample(out, PREFIX_ALL, "table_entries_limit", tables[i].labels, "",
		       (double)tables[i].table->limit);
}

static void write_interfaces(FILE *out, const struct metrics_snapshot *snapshot)
{
	char labels[128], dev[2 * IFNAMSIZ];

	family(out, PREFIX_ALL, "interface_attached", "gauge",
	       "1 for an interface whose packets are looked at, 0 for one that is gone");
	for (uint32_t i = 0; i < snapshot->interface_count; i++) {
		const struct metrics_interface *interface = &snapshot->interfaces[i];

		escape(interface->dev, dev);
		snprintf(labels, sizeof(labels), "dev=\"%s\",side=\"%s\"", dev,
			 interface->is_lan ? "lan" : "wan");
		sample(out, PREFIX_ALL, "interface_attached", labels, "",
		       strcmp(interface->attached_by, "gone") != 0);
	}
}

/* ---- processes ---- */

typedef double process_figure(const struct metrics_process_figures *process);

static double process_serving(const struct metrics_process_figures *process)
{
	return strcmp(process->state, "serving") == 0;
}

static double process_restarts(const struct metrics_process_figures *process)
{
	return process->restarts;
}

static double process_cpu(const struct metrics_process_figures *process)
{
	return (double)process->cpu_us / 1e6;
}

static double process_resident(const struct metrics_process_figures *process)
{
	return (double)process->resident_bytes;
}

static double process_flows(const struct metrics_process_figures *process)
{
	return (double)process->flows;
}

static double process_flow_limit(const struct metrics_process_figures *process)
{
	return (double)process->flow_limit;
}

static const struct {
	const char *name, *type, *help;
	process_figure *figure;
	bool only_relays;
} figures_of_processes[] = {
	{ "process_serving", "gauge", "1 for a process that does its work", process_serving,
	  false },
	{ "process_restarts_total", "counter", "Times that the process had to be started again",
	  process_restarts, false },
	{ "process_cpu_seconds_total", "counter", "User and system time of the present process",
	  process_cpu, false },
	{ "process_resident_memory_bytes", "gauge", "Memory of the process, shared one included",
	  process_resident, false },
	{ "process_flows", "gauge", "Flows of a relay", process_flows, true },
	{ "process_flows_limit", "gauge", "Flows that a relay's descriptors suffice for",
	  process_flow_limit, true },
};

/* A process that is not wanted (no registrar is configured) has no series. */
static void write_processes(FILE *out, const struct metrics_snapshot *snapshot)
{
	char labels[64];

	for (size_t i = 0; i < sizeof(figures_of_processes) / sizeof(figures_of_processes[0]);
	     i++) {
		family(out, PREFIX_ALL, figures_of_processes[i].name, figures_of_processes[i].type,
		       figures_of_processes[i].help);
		for (uint32_t j = 0; j < snapshot->process_count; j++) {
			const struct metrics_process_figures *process = &snapshot->processes[j];

			if ((figures_of_processes[i].only_relays && !process->is_relay) ||
			    strcmp(process->state, "off") == 0)
				continue;
			snprintf(labels, sizeof(labels), "process=\"%s\",index=\"%u\"",
				 process->name, process->index);
			sample(out, PREFIX_ALL, figures_of_processes[i].name, labels, "",
			       figures_of_processes[i].figure(process));
		}
	}
}

/* ---- counters ---- */

static void write_counters(FILE *out, const struct metrics_snapshot *snapshot)
{
#define WRITE_COUNTER(group, field, name, description) \
	single(out, group "_" #name "_total", "counter", description, (double)snapshot->field.name);
#define WRITE_INTERCEPT(name, description) \
	WRITE_COUNTER("intercept", intercept, name, "Packets: " description)
#define WRITE_RELAY(name, description) WRITE_COUNTER("relay", relays, name, "Relays: " description)
#define WRITE_REGISTRAR(name, description) \
	WRITE_COUNTER("registrar", registrar, name, "Registrar: " description)
#define WRITE_LOG(name, description) WRITE_COUNTER("log", log, name, "Log: " description)
	INTERCEPT_COUNTERS(WRITE_INTERCEPT)
	RELAY_COUNTERS(WRITE_RELAY)
	REGISTRAR_COUNTERS(WRITE_REGISTRAR)
	LOG_COUNTERS(WRITE_LOG)
#undef WRITE_INTERCEPT
#undef WRITE_RELAY
#undef WRITE_REGISTRAR
#undef WRITE_LOG
#undef WRITE_COUNTER
}

char *metrics_text(const struct metrics_snapshot *snapshot)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int result;

	if (!out)
		return NULL;
	write_gateway(out, snapshot);
	write_flows(out, snapshot);
	write_figures(out, snapshot);
	result = write_remotes(out, snapshot);
	write_tables(out, snapshot);
	write_interfaces(out, snapshot);
	write_processes(out, snapshot);
	write_counters(out, snapshot);
	if (fclose(out) == 0 && result == 0)
		return text;
	free(text);
	return NULL;
}
