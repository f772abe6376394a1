// SPDX-License-Identifier: GPL-2.0
/* Adding up what the relays count; part of the supervisor. */
#include <string.h>
#include <sys/mman.h>

#include "supervisor_private.h"

/* The totals are an array of one kind: all of them only ever grow. */
#define TOTALS (sizeof(struct flow_totals) / sizeof(uint64_t))

_Static_assert(sizeof(struct flow_totals) % sizeof(uint64_t) == 0, "flow_totals is all totals");

static void add_totals(struct flow_totals *sum, const struct flow_totals *each)
{
	const uint64_t *from = (const uint64_t *)each;
	uint64_t *to = (uint64_t *)sum;

	for (size_t i = 0; i < TOTALS; i++)
		to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static void subtract_totals(struct flow_totals *sum, const struct flow_totals *base)
{
	const uint64_t *from = (const uint64_t *)base;
	uint64_t *to = (uint64_t *)sum;

	for (size_t i = 0; i < TOTALS; i++)
		to[i] -= from[i];
}

static void add_spread(struct flow_spread *sum, const struct flow_spread *each, bool first)
{
	sum->sum += each->sum;
	if (first || each->min < sum->min)
		sum->min = each->min;
	if (first || each->max > sum->max)
		sum->max = each->max;
}

/* Adds the sample of the relay's last whole pass, if it found a flow. */
static void add_sample(struct flow_sample *sum, const struct flow_stats *stats, uint32_t pass)
{
	struct flow_sample each = stats->samples[pass & 1];

	if (each.pass != pass)
		return;
	for (int state = 0; state < FLOW_STATE_COUNT; state++)
		for (int engine = 0; engine < FLOW_ENGINE_COUNT; engine++)
			sum->flows[state][engine] += each.flows[state][engine];
	sum->backlog_up += each.backlog_up;
	sum->backlog_down += each.backlog_down;
	if (each.wan_legs == 0)
		return;
	add_spread(&sum->rtt_us, &each.rtt_us, sum->wan_legs == 0);
	add_spread(&sum->cwnd, &each.cwnd, sum->wan_legs == 0);
	sum->wan_legs += each.wan_legs;
	sum->subflows += each.subflows;
}

static uint32_t last_pass(const struct relay_process *relay)
{
	return __atomic_load_n(&relay->shared->pass, __ATOMIC_ACQUIRE);
}

/* What all relays have counted for a number. False: nothing, ever. */
static bool port_totals(const struct supervisor *supervisor, uint32_t port_id,
			struct flow_totals *totals)
{
	uint64_t begun = 0;

	for (unsigned i = 0; i < supervisor->options.relays; i++)
		begun += supervisor->relays[i].shared->port_flows[port_id].begun;
	if (begun == 0)
		return false;
	memset(totals, 0, sizeof(*totals));
	for (unsigned i = 0; i < supervisor->options.relays; i++)
		add_totals(totals, &supervisor->relays[i].port_stats[port_id].totals);
	totals->begun = begun;
	return true;
}

uint64_t supervisor_flows(const struct supervisor *supervisor)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < supervisor->options.relays; i++)
		sum += supervisor->relays[i].shared->flows;
	return sum;
}

uint64_t supervisor_way_flows(const struct supervisor *supervisor, enum way_in way)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < supervisor->options.relays; i++) {
		const struct relay_shared *shared = supervisor->relays[i].shared;

		sum += way == WAY_XDP ? shared->rewritten_flows
				      : shared->flows - shared->rewritten_flows;
	}
	return sum;
}

uint64_t supervisor_port_flows(const struct supervisor *supervisor, uint32_t port_id)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < supervisor->options.relays; i++)
		sum += supervisor->relays[i].shared->port_flows[port_id].alive;
	return sum;
}

void supervisor_set_sampling(struct supervisor *supervisor, bool sampling)
{
	for (unsigned i = 0; i < supervisor->options.relays; i++)
		__atomic_store_n(&supervisor->relays[i].shared->sampling, sampling,
				 __ATOMIC_RELAXED);
}

void supervisor_figures(const struct supervisor *supervisor, struct flow_figures *figures)
{
	memset(figures, 0, sizeof(*figures));
	figures->alive = supervisor_flows(supervisor);
	for (unsigned i = 0; i < supervisor->options.relays; i++) {
		const struct relay_process *relay = &supervisor->relays[i];

		add_totals(&figures->totals, &relay->shared->stats.totals);
		add_sample(&figures->now, &relay->shared->stats, last_pass(relay));
	}
}

bool supervisor_port_figures(const struct supervisor *supervisor, uint32_t port_id,
			     struct flow_figures *figures)
{
	struct flow_totals totals;

	if (!port_totals(supervisor, port_id, &totals))
		return false;
	subtract_totals(&totals, &supervisor->port_bases[port_id]);
	if (totals.begun == 0)
		return false;
	memset(figures, 0, sizeof(*figures));
	figures->totals = totals;
	figures->alive = supervisor_port_flows(supervisor, port_id);
	for (unsigned i = 0; i < supervisor->options.relays; i++) {
		const struct relay_process *relay = &supervisor->relays[i];

		add_sample(&figures->now, &relay->port_stats[port_id], last_pass(relay));
	}
	return true;
}

void supervisor_port_made(struct supervisor *supervisor, uint32_t port_id)
{
	struct flow_totals totals;

	if (port_totals(supervisor, port_id, &totals))
		supervisor->port_bases[port_id] = totals;
}

struct flow_stats *port_stats_new(uint32_t max_ports)
{
	struct flow_stats *stats = mmap(NULL, max_ports * sizeof(*stats), PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return stats == MAP_FAILED ? NULL : stats;
}

void port_stats_free(struct flow_stats *stats, uint32_t max_ports)
{
	if (stats)
		munmap(stats, max_ports * sizeof(*stats));
}

void port_stats_forget(struct relay_process *relay)
{
	struct relay_shared *shared = relay->shared;

	for (uint32_t i = 0; i < relay->supervisor->options.max_ports; i++)
		if (shared->port_flows[i].alive)
			shared->port_flows[i].alive = 0;
	shared->flows = 0;
	shared->rewritten_flows = 0;
	/* No sample has this number: neither the last ones nor those of a pass that
	 * was under way. */
	shared->pass += 2;
}
