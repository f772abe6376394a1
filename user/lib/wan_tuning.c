// SPDX-License-Identifier: GPL-2.0
/* See wan_tuning.h. */
#include "wan_tuning.h"

#include <string.h>
#include <sys/param.h>

#define WINDOW_MAX (1U << 30)

/* A link that holds less needs no buffers of its own: autotuning begins about
 * here, and forgives a rate x rtt that was told, or measured, too small. */
#define WINDOW_COMPUTED_MIN (256U << 10)

/* A rate that may be lowered and names no minimum keeps this part of itself. */
#define FLOOR_PART 8

/* vbr: what the bucket holds, in seconds at the sustained rate. */
#define BURST_S 1

/* Without slow start there is no algorithm's own caution either: more than
 * twice the link's capacity in flight is queue and nothing else. */
#define CLAMP_FACTOR 2

/* What a class of service means on the wire when no DSCP is given: RFC 4594's
 * service classes that come nearest, and the queueing priority of the host. */
static const struct {
	uint8_t dscp;
	uint8_t priority;
} qos_classes[] = {
	[QOS_UBR] = { 0, 0 }, /* default forwarding */
	[QOS_CBR] = { 46, 6 }, /* expedited forwarding */
	[QOS_VBR] = { 34, 5 }, /* AF41, real-time with bursts */
	[QOS_ABR] = { 18, 4 }, /* AF21, elastic with a guaranteed minimum */
};

const char *wan_flow_control(const struct wan_params *params)
{
	if (params->flow_control[0])
		return params->flow_control;
	return params->qos == QOS_UBR ? "" : LINKRATE_NAME;
}

/* The most that is ever sent, bytes a second; 0: unknown. */
static uint64_t top_rate(const struct wan_params *params)
{
	if ((params->qos == QOS_VBR || params->qos == QOS_ABR) && params->peak)
		return params->peak / 8;
	return params->rate / 8;
}

/* Bytes that a rate has in flight in one RTT. */
static uint64_t capacity(uint64_t bytes_per_second, uint32_t rtt_us)
{
	return (uint64_t)((double)bytes_per_second * rtt_us / 1e6);
}

uint32_t wan_window(const struct wan_params *params)
{
	uint64_t window = params->window;

	if (window == 0) {
		window = 2 * capacity(top_rate(params), params->rtt_us);
		if (window < WINDOW_COMPUTED_MIN)
			return 0;
	}
	return (uint32_t)MIN(window, WINDOW_MAX);
}

uint64_t wan_pacing(const struct wan_params *params)
{
	return top_rate(params);
}

uint8_t wan_tos(const struct wan_params *params)
{
	uint8_t dscp = params->dscp == DSCP_UNSET ? qos_classes[params->qos].dscp : params->dscp;

	return (uint8_t)(dscp << 2);
}

uint8_t wan_priority(const struct wan_params *params)
{
	return qos_classes[params->qos].priority;
}

/* Between which bounds linkrate moves, and where it starts. */
static void set_rates(const struct wan_params *params, struct socket_tuning *tuning)
{
	uint64_t rate = params->rate / 8, minimum = params->minimum / 8;

	tuning->top = top_rate(params);
	tuning->rate = tuning->top;
	tuning->floor = minimum ? minimum : tuning->top / FLOOR_PART;
	switch (params->qos) {
	case QOS_CBR:
		tuning->floor = minimum ? minimum : tuning->top;
		break;
	case QOS_VBR:
		tuning->sustained = params->sustained / 8;
		tuning->burst = tuning->sustained * BURST_S;
		tuning->floor = minimum ? minimum : tuning->sustained / FLOOR_PART;
		break;
	case QOS_ABR:
		/* Only the minimum is promised. */
		tuning->rate = MIN(MAX(rate, minimum), tuning->top);
		break;
	default:
		break;
	}
	tuning->floor = MIN(tuning->floor, tuning->top);
}

/* [981] linkrate bounds what it has in flight by itself, and by the RTT that it
 * measures instead of the one that it was told. */
static void set_first_flight(const struct wan_params *params, struct socket_tuning *tuning)
{
	uint64_t initial = capacity(tuning->rate, params->rtt_us);
	uint64_t clamp = CLAMP_FACTOR * capacity(tuning->top, params->rtt_us);

	if (params->window)
		initial = MIN(initial, params->window);
	tuning->initial = (uint32_t)MIN(initial, WINDOW_MAX);
	tuning->skip_slow_start = params->skip_slow_start && tuning->initial;
	if (strcmp(wan_flow_control(params), LINKRATE_NAME) != 0)
		tuning->clamp = (uint32_t)MIN(clamp, WINDOW_MAX);
}

void wan_tuning(const struct wan_params *params, struct socket_tuning *tuning)
{
	const char *flow_control = wan_flow_control(params);

	memset(tuning, 0, sizeof(*tuning));
	set_rates(params, tuning);
	set_first_flight(params, tuning);
	tuning->pacing = wan_pacing(params);
	tuning->buffer = wan_window(params);
	tuning->offer = tuning->buffer;
	tuning->priority = wan_priority(params);
	tuning->tos = wan_tos(params);
	memcpy(tuning->flow_control, flow_control, strnlen(flow_control, SLUICE_CC_NAME_MAX - 1));
}
