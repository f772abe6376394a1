// SPDX-License-Identifier: GPL-2.0
/* Draining, stopping and reloading, as signals ask for them. */
#include <systemd/sd-daemon.h>
#include <time.h>

#include "gateway_loop.h"
#include "log.h"
#include "signals.h"

/* What a stop takes at most once flows have ended or were reset. */
#define STOP_S 30U

const char *gateway_state(const struct gateway *gateway)
{
	if (gateway->stopping)
		return "stopping";
	return gateway->draining ? "draining" : "running";
}

void gateway_drain(struct gateway *gateway)
{
	gateway->draining = true;
	intercept_set_accepting(gateway->intercept, false);
}

static int on_drain_timeout(sd_event_source *source, uint64_t now_us, void *context)
{
	struct gateway *gateway = context;

	(void)source;
	(void)now_us;
	log_notice("drain time is over, %llu flows are reset",
		   (unsigned long long)supervisor_flows(gateway->supervisor));
	return sd_event_exit(gateway->event, 0);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct gateway *gateway = context;
	int result;

	(void)source;
	(void)info;
	if (gateway->stopping) /* asked twice: at once */
		return sd_event_exit(gateway->event, 0);
	gateway->stopping = true;
	gateway_drain(gateway);
	supervisor_let_go(gateway->supervisor);
	/* A service manager must not kill what it sees stopping while flows may end. */
	sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
		   (gateway->config->drain_timeout_s + STOP_S) * 1000000ULL);
	if (supervisor_flows(gateway->supervisor) == 0)
		return sd_event_exit(gateway->event, 0);
	log_notice("stopping: waiting up to %u s for %llu flows to end",
		   gateway->config->drain_timeout_s,
		   (unsigned long long)supervisor_flows(gateway->supervisor));
	result = sd_event_add_time_relative(gateway->event, &gateway->drain_timer, CLOCK_MONOTONIC,
					    gateway->config->drain_timeout_s * 1000000ULL, 0,
					    on_drain_timeout, gateway);
	return result < 0 ? sd_event_exit(gateway->event, 0) : 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	char error[GATEWAY_ERROR_MAX];

	(void)source;
	(void)info;
	if (gateway_reload(context, error))
		log_error("%s", error);
	return 0;
}

int gateway_add_signals(struct gateway *gateway)
{
	return signals_add(gateway->event, on_terminate, on_hangup, gateway);
}
