// SPDX-License-Identifier: GPL-2.0
/* See flow_sampling.h. */
#include "flow_sampling.h"

#include <string.h>
#include <time.h>

/* Flows looked at in one turn: some six system calls each, so that no other flow
 * waits for long. */
#define FLOWS_PER_TURN 64

/* How often all flows are looked at, unless there are so many that it would take
 * more than this share of the relay's time. */
#define PASS_NS 250000000ULL
#define PASS_SHARE 50

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static bool is_wanted(const struct gateway_relay *relay)
{
	return __atomic_load_n(&relay->setup.shared->sampling, __ATOMIC_RELAXED);
}

/* ---- one flow ---- */

static void add_total(uint64_t *port, uint64_t *all, uint64_t now, uint64_t *counted)
{
	if (now <= *counted)
		return;
	relay_count((__u64 *)port, now - *counted);
	relay_count((__u64 *)all, now - *counted);
	*counted = now;
}

/* What of the flow is not in the totals yet. */
static void add_totals(struct gateway_flow *flow)
{
	const struct direction *up = &flow->core.up, *down = &flow->core.down;
	const struct gateway_relay_setup *setup = &gateway_relay_of(flow)->setup;
	struct flow_totals *port = &setup->port_stats[flow->port.port_id].totals;
	struct flow_totals *all = &setup->shared->stats.totals;
	struct flow_counted *counted = &flow->counted;

	add_total(&port->bytes_up, &all->bytes_up, up->bytes, &counted->up);
	add_total(&port->bytes_down, &all->bytes_down, down->bytes, &counted->down);
	add_total(&port->kernel_up, &all->kernel_up, up->kernel_bytes, &counted->kernel_up);
	add_total(&port->kernel_down, &all->kernel_down, down->kernel_bytes, &counted->kernel_down);
	add_total(&port->retrans, &all->retrans, flow->wan_retrans, &counted->retrans);
}

static void add_spread(struct flow_spread *spread, uint32_t value, bool first)
{
	spread->sum += value;
	if (first || value < spread->min)
		spread->min = value;
	if (first || value > spread->max)
		spread->max = value;
}

/* The sample of a pass, which nobody reads yet. */
static void add_sample(struct flow_sample *sample, uint32_t pass, const struct flow_record *record)
{
	bool first;

	if (sample->pass != pass)
		*sample = (struct flow_sample){ .pass = pass };
	if (record->state < FLOW_STATE_COUNT && record->engine < FLOW_ENGINE_COUNT)
		sample->flows[record->state][record->engine]++;
	sample->backlog_up += record->up.backlog;
	sample->backlog_down += record->down.backlog;
	if (!record->wan.rtt_us)
		return;
	first = sample->wan_legs++ == 0;
	sample->subflows += record->wan.subflows;
	add_spread(&sample->rtt_us, record->wan.rtt_us, first);
	add_spread(&sample->cwnd, record->wan.cwnd, first);
}

static void sample_flow(struct gateway_flow *flow, uint32_t pass)
{
	const struct gateway_relay_setup *setup = &gateway_relay_of(flow)->setup;
	struct flow_stats *port = &setup->port_stats[flow->port.port_id];
	struct flow_record record;

	gateway_flow_describe(flow, &record);
	flow->wan_retrans = record.wan.retrans;
	add_totals(flow);
	add_sample(&port->samples[pass & 1], pass, &record);
	add_sample(&setup->shared->stats.samples[pass & 1], pass, &record);
}

void flow_sampling_end(struct gateway_flow *flow, const struct flow_record *record)
{
	const struct gateway_relay *relay = gateway_relay_of(flow);
	enum flow_end end = flow->core.end;

	if (!is_wanted(relay))
		return;
	flow->wan_retrans = record->wan.retrans;
	relay_count((__u64 *)&relay->setup.port_stats[flow->port.port_id].totals.ended[end], 1);
	relay_count((__u64 *)&relay->setup.shared->stats.totals.ended[end], 1);
}

void flow_sampling_leave(struct gateway_flow *flow)
{
	struct flow_sampling *sampling = &gateway_relay_of(flow)->sampling;

	/* What the kernel has carried is known to the byte when the legs are closed. */
	if (is_wanted(gateway_relay_of(flow)))
		add_totals(flow);
	if (sampling->next == &flow->core.link)
		sampling->next = flow->core.link.next;
}

/* ---- passes ---- */

/* From here on main reads what this pass has found. */
static void end_pass(struct gateway_relay *relay, uint32_t pass)
{
	struct flow_sampling *sampling = &relay->sampling;
	struct flow_sample *all = &relay->setup.shared->stats.samples[pass & 1];
	uint64_t pause_ns = sampling->spent_ns * PASS_SHARE;

	if (all->pass != pass)
		*all = (struct flow_sample){ .pass = pass };
	__atomic_store_n(&relay->setup.shared->pass, pass, __ATOMIC_RELEASE);
	sampling->next = NULL;
	sampling->next_pass_ns = sampling->began_ns + (pause_ns > PASS_NS ? pause_ns : PASS_NS);
}

void flow_sampling_run(struct gateway_relay *relay)
{
	struct flow_sampling *sampling = &relay->sampling;
	uint32_t pass = relay->setup.shared->pass + 1;
	uint64_t start_ns;

	if (!sampling->next) {
		if (!is_wanted(relay) || relay->core.now_ns < sampling->next_pass_ns)
			return;
		sampling->next = relay->core.flows.next;
		sampling->began_ns = relay->core.now_ns;
		sampling->spent_ns = 0;
	}
	start_ns = clock_ns();
	for (int i = 0; i < FLOWS_PER_TURN && sampling->next != &relay->core.flows; i++) {
		struct relay_flow *flow = list_entry(sampling->next, struct relay_flow, link);

		sampling->next = sampling->next->next;
		sample_flow(gateway_flow_of(flow), pass);
	}
	sampling->spent_ns += clock_ns() - start_ns;
	if (sampling->next == &relay->core.flows)
		end_pass(relay, pass);
}

bool flow_sampling_is_due(const struct gateway_relay *relay)
{
	return relay->sampling.next != NULL;
}
