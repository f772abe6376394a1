// SPDX-License-Identifier: GPL-2.0
/* See metrics_snapshot.h. */
#include "metrics_snapshot.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "gateway.h"

/* ---- processes ---- */

/* Fields 14, 15 and 24 of /proc/PID/stat. The name before them may hold anything. */
static void read_usage(pid_t pid, struct metrics_process_figures *process)
{
	unsigned long long user, system, resident;
	char path[32], text[1024];
	const char *fields;
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return;
	length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[length] = '\0';
	fields = strrchr(text, ')');
	if (!fields || sscanf(fields,
			      ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu %*s %*s "
			      "%*s %*s %*s %*s %*s %*s %llu",
			      &user, &system, &resident) != 3)
		return;
	process->cpu_us = (user + system) * 1000000 / (unsigned long)sysconf(_SC_CLK_TCK);
	process->resident_bytes = resident * (unsigned long)sysconf(_SC_PAGESIZE);
}

static struct metrics_process_figures *add_process(struct metrics_snapshot *snapshot,
						   const char *name, pid_t pid, const char *state,
						   unsigned restarts)
{
	struct metrics_process_figures *process = &snapshot->processes[snapshot->process_count++];

	*process =
		(struct metrics_process_figures){ .name = name, .pid = pid, .restarts = restarts };
	snprintf(process->state, sizeof(process->state), "%s", state);
	if (pid)
		read_usage(pid, process);
	return process;
}

static void add_service(struct metrics_snapshot *snapshot, const char *name,
			struct service_report report)
{
	add_process(snapshot, name, report.pid, report.state, report.restarts);
}

static void add_processes(const struct gateway *gateway, struct metrics_snapshot *snapshot)
{
	struct relay_counters *sum = &snapshot->relays;

	snapshot->process_count = 0;
	memset(sum, 0, sizeof(*sum));
	add_process(snapshot, "main", getpid(), "serving", 0);
	for (unsigned i = 0; i < supervisor_relay_count(gateway->supervisor); i++) {
		struct relay_report report = supervisor_report(gateway->supervisor, i);
		struct metrics_process_figures *process =
			add_process(snapshot, "relay", report.pid, relay_phase_name(report.phase),
				    report.restarts);

		process->index = i;
		process->is_relay = true;
		process->flows = report.flows;
		process->flow_limit = report.flow_limit;
#define ADD_COUNTER(name, description) sum->name += report.counters.name;
		RELAY_COUNTERS(ADD_COUNTER)
#undef ADD_COUNTER
	}
	add_service(snapshot, "registrar", registrar_process_report(gateway->registrar));
	add_service(snapshot, "metrics", metrics_process_report(gateway->metrics));
}

/* ---- interfaces, tables, remotes ---- */

static void add_interfaces(const struct gateway *gateway, struct metrics_snapshot *snapshot)
{
	const struct list *list = intercept_interfaces(gateway->intercept);
	uint32_t count = 0;

	for (struct list *link = list->next; link != list && count < METRICS_INTERFACES_MAX;
	     link = link->next) {
		const struct intercept_interface *from =
			list_entry(link, struct intercept_interface, link);
		struct metrics_interface *to = &snapshot->interfaces[count++];

		memcpy(to->dev, from->dev, sizeof(to->dev));
		to->is_lan = from->side == SIDE_LAN;
		to->attached_by = intercept_attached_by(from);
	}
	snapshot->interface_count = count;
}

static void add_tables(const struct gateway *gateway, struct metrics_snapshot *snapshot)
{
	const struct gateway_config *config = gateway->config;
	const uint32_t(*flows)[FLOW_ENGINE_COUNT] = snapshot->figures.now.flows;
	uint64_t half_open = 0;

	for (int engine = 0; engine < FLOW_ENGINE_COUNT; engine++)
		half_open += flows[FLOW_CONNECTING][engine] + flows[FLOW_JOINING][engine];
	snapshot->proxies = (struct metrics_table){ registry_proxy_count(gateway->registry),
						    config->max_proxies };
	snapshot->ports = (struct metrics_table){ registry_port_count(gateway->registry),
						  config->max_ports };
	snapshot->params = (struct metrics_table){ registry_params_count(gateway->registry),
						   PARAM_TABLE_MAX };
	snapshot->half_open = (struct metrics_table){ half_open, config->half_open };
	snapshot->services = registry_leased_count(gateway->registry);
}

struct remotes {
	const struct gateway *gateway;
	struct metrics_snapshot *snapshot;
};

static void add_remote(const struct port_entry *port, void *context)
{
	struct remotes *remotes = context;
	struct metrics_snapshot *snapshot = remotes->snapshot;
	struct flow_figures figures;
	struct metrics_remote *remote;

	if (!supervisor_port_figures(remotes->gateway->supervisor, port->value.port_id, &figures))
		return;
	if (snapshot->remote_count == METRICS_REMOTES_MAX) {
		snapshot->remotes_omitted++;
		return;
	}
	remote = &snapshot->remotes[snapshot->remote_count++];
	*remote = (struct metrics_remote){ .service_port = port->service_port,
					   .trunk_port = port->value.trunk_port,
					   .nexthop = port->proxy->nexthop,
					   .draining = port_is_draining(port),
					   .figures = figures };
	memcpy(remote->address, port->proxy->address, sizeof(remote->address));
	if (port->lease)
		memcpy(remote->identity, port->lease->identity->name, sizeof(remote->identity));
}

void metrics_snapshot_take(const struct gateway *gateway, struct metrics_snapshot *snapshot)
{
	struct remotes remotes = { .gateway = gateway, .snapshot = snapshot };
	uint64_t now_us = child_now_us();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snapshot->taken_us = now_us;
	snapshot->uptime_us = now_us - gateway->started_us;
	snapshot->started_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 -
			       snapshot->uptime_us / 1000;
	snprintf(snapshot->state, sizeof(snapshot->state), "%s", gateway_state(gateway));
	intercept_read_counters(gateway->intercept, &snapshot->intercept);
	snapshot->registrar = registrar_process_counters(gateway->registrar);
	snapshot->log = *gateway->ended.counters;
	supervisor_figures(gateway->supervisor, &snapshot->figures);
	add_processes(gateway, snapshot);
	add_interfaces(gateway, snapshot);
	add_tables(gateway, snapshot);
	snapshot->remote_count = snapshot->remotes_omitted = 0;
	registry_each_port(gateway->registry, add_remote, &remotes);
}
