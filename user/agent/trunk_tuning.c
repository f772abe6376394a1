// SPDX-License-Identifier: GPL-2.0
/* See trunk_tuning.h. */
#include "trunk_tuning.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "log.h"
#include "params.h"
#include "units.h"

/* True when the parameters say something about how this host sends. */
static bool asks_for_tuning(const struct wan_params *params)
{
	struct wan_params plain;

	params_default(&plain);
	return params->window != plain.window || params->rate != plain.rate ||
	       params->rtt_us != plain.rtt_us || params->skip_slow_start != plain.skip_slow_start ||
	       params->qos != plain.qos || params->dscp != plain.dscp ||
	       memcmp(params->flow_control, plain.flow_control, sizeof(plain.flow_control)) != 0;
}

static bool is_wanted(const struct agent_config *config, uint16_t port)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (config->services[i].trunk_port == port &&
		    asks_for_tuning(&config->services[i].params))
			return true;
	return false;
}

/* Opens it once something is asked for. */
static bool open_tuning(struct trunk_tuning *tuning)
{
	char error[TUNE_ERROR_MAX];

	if (tuning->tune)
		return true;
	if (tune_open(&tuning->tune, error) == 0)
		return true;
	log_warning("%s: what this host sends is not tuned", error);
	return false;
}

static int set_port(const struct trunk_tuning *tuning, const struct agent_service *service)
{
	struct wan_params params = service->params;

	params.rtt_us = params.rtt_us ?: tuning->rtt_us;
	return tune_trunk_port_set(tuning->tune, service->trunk_port, &params);
}

static int tune_service(struct trunk_tuning *tuning, const struct agent_service *service)
{
	int result = set_port(tuning, service);
	uint16_t *port;

	if (result) {
		/* It may be tuned as it was asked for before. */
		tune_trunk_port_remove(tuning->tune, service->trunk_port);
		log_warning("trunk port %u is not tuned: %s", service->trunk_port,
			    result == -ENOENT ? "this kernel lacks its flow-control"
					      : strerror(-result));
		return 0;
	}
	port = array_add(&tuning->ports, &tuning->port_count, sizeof(*port));
	if (!port)
		return -ENOMEM;
	*port = service->trunk_port;
	return 0;
}

int trunk_tuning_apply(struct trunk_tuning *tuning, const struct agent_config *config)
{
	int result = 0;

	for (size_t i = 0; i < tuning->port_count; i++)
		if (config->nexthop || !is_wanted(config, tuning->ports[i]))
			tune_trunk_port_remove(tuning->tune, tuning->ports[i]);
	free(tuning->ports);
	tuning->ports = NULL;
	tuning->port_count = 0;
	if (config->nexthop) /* the trunk ports are those of hosts behind this one */
		return 0;
	for (size_t i = 0; i < config->service_count && !result; i++) {
		if (!asks_for_tuning(&config->services[i].params))
			continue;
		if (!open_tuning(tuning))
			return 0;
		result = tune_service(tuning, &config->services[i]);
	}
	return result;
}

/* Without a rate a round trip is of no use. */
static bool is_left_to_measure(const struct wan_params *params)
{
	return params->rtt_us == 0 && (params->rate > 0 || params->peak > 0);
}

static bool is_tuned(const struct trunk_tuning *tuning, uint16_t port)
{
	for (size_t i = 0; i < tuning->port_count; i++)
		if (tuning->ports[i] == port)
			return true;
	return false;
}

void trunk_tuning_path(struct trunk_tuning *tuning, const struct agent_config *config,
		       uint32_t rtt_us)
{
	char text[UNIT_TEXT_MAX];
	size_t tuned = 0;

	if (tuning->rtt_us == rtt_us)
		return;
	tuning->rtt_us = rtt_us;
	/* What could not be tuned was told when the configuration was applied. */
	for (size_t i = 0; i < config->service_count; i++) {
		const struct agent_service *service = &config->services[i];

		if (is_left_to_measure(&service->params) && is_tuned(tuning, service->trunk_port))
			tuned += set_port(tuning, service) == 0;
	}
	if (tuned > 0)
		log_info("%zu trunk ports tuned for a round trip of %s, as measured", tuned,
			 duration_format(rtt_us, text));
}

void trunk_tuning_keep(struct trunk_tuning *tuning)
{
	if (tuning->tune)
		tune_keep_linkrate(tuning->tune);
}

void trunk_tuning_free(struct trunk_tuning *tuning)
{
	tune_close(tuning->tune);
	free(tuning->ports);
}
